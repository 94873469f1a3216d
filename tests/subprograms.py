"""Python in a process of its own, with all that it prints; and worker processes without processes."""

import json
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

METASER = "from metaser_jax.commands import main; main()"
# Forks of one process, which has imported what every command does.
_FORKED = """
import json, os, sys
import metaser_jax.commands, metaser_jax.specs.flags

folder, calls = json.loads(sys.argv[1])
for i, call in enumerate(calls):
    if not (child := os.fork()):
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}/{i}.{name}", os.O_CREAT | os.O_WRONLY), number)
        sys.argv = ["metaser", *call]
        try:
            metaser_jax.commands.main()
        finally:
            open(f"{folder}/{i}.modules", "w").write(" ".join(sys.modules))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    open(f"{folder}/{i}.returncode", "w").write(str(status))
"""


def python(*arguments: Any, timeout: float = 300, **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS`: a file and its flags, or "-c" and code."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **keywords)


def metaser(*arguments: Any, **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run `metaser ARGUMENTS`."""
    return python("-c", METASER, *arguments, **keywords)


class Forked(subprocess.CompletedProcess[str]):
    """A finished call. Attribute: modules, those that it has imported."""

    modules: frozenset[str]


def forked(folder: Path, calls: list[tuple[Any, ...]]) -> list[Forked]:
    """Run `metaser ARGUMENTS` for each of some calls that end early, in forks of one process: much faster than alone.

    Args:
      folder: for what they print.
    """
    typed = [list(map(str, call)) for call in calls]
    done = python("-c", _FORKED, json.dumps([str(folder), typed]))
    assert done.returncode == 0, done.stderr
    found = []
    for i, call in enumerate(typed):
        status, out, err, modules = (
            folder.joinpath(f"{i}.{name}").read_text(encoding="utf-8")
            for name in ("returncode", "stdout", "stderr", "modules")
        )
        found.append(Forked(call, int(status), out, err))
        found[-1].modules = frozenset(modules.split())
    return found


class PicklingPool:
    """A pool of processes, as far as what goes to them and comes back is concerned."""

    def __init__(self, workers: int):
        pass

    def submit(self, function, *args):
        function, args = pickle.loads(pickle.dumps((function, args)))
        return types.SimpleNamespace(result=lambda: pickle.loads(pickle.dumps(function(*args))))

    def shutdown(self, cancel_futures: bool) -> None:
        pass
