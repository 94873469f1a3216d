"""The ground: compiled programs on disk, and what programs say: bars for terminals alone, levels, and JSON."""

import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from subprograms import METASER, python

import metaser_jax
from metaser_jax import jit_cache, messages
from metaser_jax.commands import COMMANDS

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.mark.parametrize("before", ["", "import jax; "])
def test_jax_is_told(tmp_path, before):
    """The folder, and from how many seconds on it keeps a program."""
    print_them = "import jax; print(jax.config.jax_compilation_cache_dir)"
    print_them += "; print(jax.config.jax_persistent_cache_min_compile_time_secs)"
    environment = os.environ | {"METASER_CACHE": "", "XDG_CACHE_HOME": str(tmp_path)}
    keep = "from metaser_jax.jit_cache import keep_compiled; keep_compiled()"
    folder, seconds = python("-c", f"{before}{keep}; {print_them}", env=environment).stdout.split()
    assert Path(folder).parent == tmp_path / "metaser_jax" / "jax"
    assert Path(folder).is_dir()
    assert float(seconds) == 0


@pytest.fixture
def keep(monkeypatch):
    """keep(**environment) -> the folder, in a process without jax."""
    monkeypatch.delitem(sys.modules, "jax")
    of_jax = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    ours = ("METASER_CACHE", "XDG_CACHE_HOME", *of_jax)

    def keep(most_bytes=jit_cache.MOST_BYTES, **environment):
        with monkeypatch.context() as patch:
            for variable in ours:
                patch.setenv(variable, environment.get(variable, ""))
            return jit_cache.keep_compiled(most_bytes=most_bytes)

    return keep


def test_the_folder_is_the_users(tmp_path, keep):
    (file := tmp_path / "file").touch()
    assert keep(METASER_CACHE=str(tmp_path / "own")).parent == tmp_path / "own"
    assert keep(METASER_CACHE="off", XDG_CACHE_HOME=str(tmp_path)) is None
    assert keep(METASER_CACHE=str(file / "below")) is None, "a place that cannot be written"
    assert keep(METASER_CACHE=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "theirs")) is None


def test_every_kind_of_processor_has_its_folder(tmp_path):
    names = []
    for flags in ("fma avx2", "fma avx2 avx512f", "fma avx2"):
        said = f"processor\t: 0\nflags\t\t: {flags}\ncpu MHz\t\t: {len(names)}\n\nflags\t: x\n"
        (tmp_path / "cpuinfo").write_text(said)
        names.append(jit_cache._processor(tmp_path / "cpuinfo"))
    assert names[1] != names[0] == names[2]


def test_what_was_used_longest_ago_goes(tmp_path, keep):
    (tmp_path / "another").mkdir()
    for age, name in enumerate(("new", "another/middle", "old")):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (time.time() - age, time.time() - age))
    (tmp_path / "mine").write_bytes(bytes(1000))
    assert keep(most_bytes=250, METASER_CACHE=str(tmp_path)) is not None
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"new-cache", "middle-cache", "mine"}


START = """
import runpy, sys
import metaser_jax.specs.flags as flags
flags.keep_compiled = lambda: sys.exit(f"kept, jax {'jax' in sys.modules}")
sys.argv = sys.argv[1:]
"""


@pytest.mark.parametrize("program", ["table2.py", "meta-train", "predict"])
def test_programs_keep_what_they_compile(program):
    """And know of mistakes in their flags before they import jax."""
    run = METASER if program in COMMANDS else 'runpy.run_path(sys.argv[0], run_name="__main__")'
    path = ["metaser", program] if program in COMMANDS else [EXPERIMENTS / program]
    required = ("data_dir", "run_dir", "out", "sources", "target", "model", "init", "support", "classes", "corpora")
    given = dict.fromkeys((*required, "targets"), "a") | {"to": "npz", "method": "multiser"}
    flags = [f"--{name}={value}" for name, value in given.items()]
    done = python("-c", f"{START}\n{run}", *path, f"--undefok={','.join(given)}", *flags)
    assert done.stderr.splitlines()[-1:] == ["kept, jax False"], done.stderr


def test_a_table_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("METASER_CACHE", str(tmp_path / "new"))
    made = []

    def make():
        made.append(1)
        return np.arange(3.0)

    for _ in range(2):
        np.testing.assert_array_equal(jit_cache.kept_table("t", make), np.arange(3.0))
    assert len(made) == 1
    (kept,) = (tmp_path / "new").iterdir()
    kept.write_bytes(kept.read_bytes()[:20])  # as a full disk would leave it
    np.testing.assert_array_equal(jit_cache.kept_table("t", make), np.arange(3.0))
    monkeypatch.setenv("METASER_CACHE", "off")
    np.testing.assert_array_equal(jit_cache.kept_table("t", make), np.arange(3.0))
    assert len(made) == 3


@pytest.fixture
def as_before():
    yield
    messages.say_how()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("how", [{}, {"quiet": True}, {"log_format": "json"}])
@pytest.mark.usefixtures("as_before")
def test_bars_are_for_terminals(monkeypatch, how):
    messages.say_how(**how)
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with messages.progress_bar(total=3, desc="work") as bar:
            bar.update(3)
            bar.set_postfix(loss="1")
        assert ("work" in stream.getvalue()) == (stream.isatty() and not how)
    assert list(messages.progress_bar("abc", shown=False)) == ["a", "b", "c"]
    package = Path(metaser_jax.__file__).parent
    assert [p.name for p in package.rglob("*.py") if "import tqdm" in p.read_text(encoding="utf-8")] == ["messages.py"]


@pytest.mark.usefixtures("as_before")
def test_quiet_keeps_warnings_and_errors_and_json_has_levels(capsys):
    for quiet in (False, True):
        messages.say_how(quiet=quiet)
        for text in ("note: n", "warning: w", "error: e", "plain"):
            messages.say(text)
        messages.log("logged")
    assert capsys.readouterr() == ("logged\n", "note: n\nwarning: w\nerror: e\nplain\nwarning: w\nerror: e\n")

    messages.say_how(log_format="json")
    for text in ("note: n", "warning: w", "  indented"):
        messages.say(text)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["level"], one["message"]) for one in said] == [("info", "n"), ("warning", "w"), ("info", "indented")]
