"""What a request is refused with."""


class Refused(Exception):
    """Attributes: status, of HTTP; message, for the person at the page: what was got, and what to do."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message
