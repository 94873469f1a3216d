"""The errors that a user's input causes: messages say what was got, what was expected and what to do."""

import difflib
from collections.abc import Iterable

# Exit codes of a job's processes. 75 is EX_TEMPFAIL of sysexits.h: the same command goes on.
PREEMPTED, LOST_PEER = 75, 76


class InputError(ValueError):
    """Bad input from outside the program: a file, a folder, a flag, a corpus. Programs print it without a traceback."""


class NotAllCameError(InputError):
    """The job's processes did not find each other in time; when its nodes are all up, the same command may."""


class Preempted(Exception):
    """The run stopped because of a SIGTERM, after its checkpoint was written; the same command goes on with it."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error, of whatever kind, comes of too little memory."""
    # Of Python's threads, the loader of libraries, and XLA.
    signs = ("can't start new thread", "Cannot allocate memory", "cannot map", "failed to map", "RESOURCE_EXHAUSTED")
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in signs)


class RecordingError(InputError):
    """A recording that cannot be used.

    Attributes:
      path: the file.
      reason: what was found in it, and what was expected.
      advice: what to do, a sentence.
      listed: the reason, with what to do if that is more than to fetch it again; where files are listed by it, it does
        not repeat their names.
    """

    def __init__(self, path: str, reason: str, advice: str = "", advice_for_many: str = ""):
        super().__init__(path, reason, advice, advice_for_many)
        self.path = path
        self.reason = reason
        self.advice = advice or "Fetch this recording again, or leave it out."
        self.listed = ". ".join(filter(None, (reason, advice_for_many or advice)))

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. {self.advice}"


def check_choice(what: str, got: str, valid: Iterable[str]) -> str:
    """Return `got` if it is one of `valid`; otherwise raises an InputError that lists them all."""
    valid = sorted(valid)
    if got in valid:
        return got
    in_lower_case = {one.lower(): one for one in valid}
    close = difflib.get_close_matches(got.lower(), in_lower_case, n=1)
    hint = f" Did you mean {in_lower_case[close[0]]!r}?" if close else ""
    raise InputError(f"{what}: got {got!r}, expected one of: {', '.join(valid)}.{hint}")
