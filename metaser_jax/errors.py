"""The error that a user's input causes: its message says what was got, what was expected and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from outside the program: a file, a folder, a flag, a corpus. Programs print it without a traceback."""


def check_choice(what: str, got: str, valid: Iterable[str]) -> str:
    """Returns `got` if it is one of `valid`; otherwise raises an InputError that lists them all."""
    valid = sorted(valid)
    if got in valid:
        return got
    close = difflib.get_close_matches(got, valid, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(f"{what}: got {got!r}, expected one of: {', '.join(valid)}.{hint}")
