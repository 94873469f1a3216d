"""Python in a process of its own, with all that it prints."""

import subprocess
import sys
from typing import Any

METASER = "from metaser_jax.commands import main; main()"


def python(*arguments: Any, timeout: float = 300, **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS`: a file and its flags, or "-c" and code."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **keywords)


def metaser(*arguments: Any, **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run `metaser ARGUMENTS`."""
    return python("-c", METASER, *arguments, **keywords)
