"""File names that are not written as a corpus has them, and mean the same: in another case, or of a copy."""

import itertools
import re
from collections.abc import Callable

# As Windows, macOS and Linux call a copy.
_COPY_MARKS = (
    re.compile(r"(?:copy|kopie|copie|copia) (?:of|von|de|di) (?P<stem>.+)", re.IGNORECASE),
    re.compile(r"(?P<stem>.+?)(?: ?-? ?(?:copy|kopie|copie|copia))(?: ?\(?\d+\)?)?", re.IGNORECASE),
    re.compile(r"(?P<stem>.+?) ?\(\d+\)"),
)
_CASES: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower, str.capitalize)


def documented(stem: str, pattern: str) -> re.Match[str] | None:
    """Return the match of a corpus's pattern with a stem as the corpus writes it; None: it is none of its names.

    Args: pattern: with the group `code`, and parts in a case of their own.
    """
    for one in dict.fromkeys([stem, without_copy_marks(stem)]):
        if match := re.fullmatch(pattern, one, re.ASCII) or _in_its_case(one, pattern):
            return match
    return None


def without_copy_marks(stem: str) -> str:
    """Return `X` of "Copy of X", "X - Copy", "X copy 2" and "X (1)"; otherwise the stem."""
    for mark in _COPY_MARKS:
        if match := mark.fullmatch(stem):
            return without_copy_marks(match["stem"])
    return stem


def within(stem: str, pattern: str) -> str | None:
    """Return the part of a stem that is a name of the corpus, with more around it."""
    found = re.search(pattern, stem, re.ASCII | re.IGNORECASE)
    return found[0] if found else None


def _in_its_case(stem: str, pattern: str) -> re.Match[str] | None:
    """Return the match of the stem with its groups, and all else, in the case in which the pattern allows them."""
    loose = re.fullmatch(pattern, stem, re.ASCII | re.IGNORECASE)
    if loose is None:
        return None
    spans = sorted(loose.span(group) for group in loose.re.groupindex if loose[group] is not None)
    ends = [0, *itertools.chain.from_iterable(spans), len(stem)]
    if ends != sorted(ends):  # one group in another
        return None
    parts = [stem[start:end] for start, end in itertools.pairwise(ends)]
    for between in _CASES:
        for cases in itertools.product(_CASES, repeat=len(spans)):
            written = [cases[i // 2](part) if i % 2 else between(part) for i, part in enumerate(parts)]
            if match := re.fullmatch(pattern, "".join(written), re.ASCII):
                return match
    return None
