"""Progress output: log lines (text or JSON) and progress bars, as --quiet and --log_format say."""

import contextlib
import datetime
import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

TEXT, JSON = "text", "json"
# Fewer recordings are read before a bar of them is seen.
MIN_FILES_FOR_BAR = 64

_LEVEL = re.compile(r"(error|warning|note): ")
_how = {"quiet": False, "format": TEXT, "log": "{}"}


def say_how(*, quiet: bool = False, log_format: str = TEXT) -> None:
    """Choose what is said from now on.

    Args:
      quiet: errors and warnings alone, and no bars.
      log_format: TEXT, or JSON: an object per line with time, level ("error", "warning" or "info") and message.
    """
    _how.update(quiet=quiet, format=log_format)


def say(text: str, to: TextIO | None = None) -> None:
    """Print a line, above the bar if there is one; "warning: " or "error: " at its beginning is its level.

    Args:
      to: instead of stderr.
    """
    to = sys.stderr if to is None else to
    found = _LEVEL.match(text)
    level = found[1] if found and found[1] != "note" else "info"
    if level == "info" and _how["quiet"]:
        return
    if _how["format"] == JSON:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        message = text[found.end() :] if found else text
        text = json.dumps({"time": now, "level": level, "message": message.strip()}, ensure_ascii=False)
    if tqdm := sys.modules.get("tqdm"):
        tqdm.tqdm.write(text, file=to)
    else:
        print(text, file=to)


def log(text: str) -> None:
    """Print a line of how the work goes to stdout, as `say`."""
    if _how["log"]:
        say(_how["log"].format(text), sys.stdout)
        sys.stdout.flush()


@contextlib.contextmanager
def logged_as(pattern: str) -> Iterator[None]:
    """Surround work whose lines of `log` have a pattern, such as "    {}"; with "" they are not shown."""
    before = _how["log"]
    _how["log"] = pattern
    try:
        yield
    finally:
        _how["log"] = before


def progress_bar(over: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> "tqdm":
    """Return a tqdm bar on stderr, which is drawn if that is a terminal, and nothing speaks against it.

    Args:
      over: what is gone through.
      shown: whether it is wanted at all.
      options: of tqdm.
    """
    from tqdm import tqdm

    wanted = shown and not _how["quiet"] and _how["format"] == TEXT
    # None: tqdm looks whether it is a terminal.
    return tqdm(over, disable=None if wanted else True, dynamic_ncols=True, **options)
