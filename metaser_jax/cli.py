"""The command line by which this program was started, so that messages name commands that their reader has."""

import shlex
import sys
from pathlib import Path

_MODULE = "__main__.py"


def program(name: str) -> str:
    """Return how a program is started: as `metaser NAME`, or in the way in which this one was.

    That is python -m metaser_jax NAME, or, of a program of experiments/, python experiments/NAME.py.

    Args:
      name: a sub-command of metaser.
    """
    started = Path(sys.argv[0])
    file = started.with_name(f"{name.replace('-', '_')}.py")
    if started.parent.name == "experiments" and started.suffix == ".py" and file.exists():
        return f"python experiments/{file.name}"
    return f"{_metaser()} {name}"


def line() -> str:
    """Return the command that was typed, for a shell."""
    started = Path(sys.argv[0])
    if started.suffix == ".py" and started.name != _MODULE:
        return shlex.join(["python", *sys.argv])
    return f"{_metaser()} {shlex.join(sys.argv[1:])}"


def _metaser() -> str:
    return "python -m metaser_jax" if Path(sys.argv[0]).name == _MODULE else "metaser"
