"""The console command itself, before and around its sub-commands."""

import importlib
import subprocess
import sys

import pytest

from metaser_jax import commands

_PROGRAM = "import sys; from metaser_jax.commands import main; main()"


def typed(*arguments):
    return subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True)


def test_interrupted_while_it_starts(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["metaser", "info"])
    monkeypatch.setattr(importlib, "import_module", interrupted)
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_flags_that_are_missing_are_all_named():
    done = typed("export", "--model=model")
    assert done.returncode == 2
    assert done.stderr == "error: --to, --out missing\n--help explains every flag.\n"
