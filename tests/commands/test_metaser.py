"""The command as it is typed: what it says of itself, of sub-commands, of mistyped ones, and to shells."""

import dataclasses
import datetime
import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import fake_model
from subprograms import METASER, forked, metaser, python

from metaser_jax import cli, extras
from metaser_jax.commands import CLOSED_PIPE, COMMANDS, configured
from metaser_jax.errors import InputError
from metaser_jax.extras import EXTRAS
from metaser_jax.recogniser.folder import save_model
from metaser_jax.specs.help_page import is_required

ROOT = Path(__file__).resolve().parents[2]
# What takes long to import.
HEAVY = {"jax", "numpy", "flax", "optax", "orbax", "scipy", "sklearn", "librosa", "tensorflow_datasets"}


def test_what_there_is(tmp_path):
    calls = [(), ("--help",), ("help",), ("--version",), ("predcit", "--model=m")]
    *helped, version, mistyped = forked(tmp_path, calls)
    for done in helped:
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"  {name} " in done.stdout and command.what in done.stdout for name, command in COMMANDS.items())
    assert version.stdout.startswith("metaser_jax 0.")
    assert (mistyped.returncode, mistyped.stdout) == (2, "")
    assert "Did you mean 'predict'?" in mistyped.stderr


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    """(command, option) -> what it prints."""
    calls = [(command, option) for command in COMMANDS for option in ("--help", "--helpfull")]
    done = forked(tmp_path_factory.mktemp("help"), calls)
    return {call: one.stdout for call, one in zip(calls, done, strict=True)}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_explains_its_flags(helps, command):
    few, all_of_them = (helps[command, option] for option in ("--help", "--helpfull"))
    assert f"metaser {command} " in few, "an example that can be copied"
    fields = dataclasses.fields(configured(COMMANDS[command])[0])
    for field in fields:
        flag = rf"^  (-\w, )?--(\[no\])?{field.name.removesuffix('_')}\b"
        assert re.search(flag, all_of_them, re.M), field.name
        shown = is_required(field) or field.metadata["common"]
        assert bool(re.search(flag, few, re.M)) == shown, field.name
    if any(map(is_required, fields)):
        assert few.index("\nRequired:") < min(few.find(f"\n{title}:") % len(few) for title in ("Options", "The target"))


def test_help_groups_the_flags(helps):
    said = helps["meta-train", "--helpfull"]
    titles = re.findall(r"^([A-Z].*):$", said, re.M)
    assert titles[:2] + titles[-2:] == ["Required", "Options", "How it is computed", "Every command"]
    assert {"The network", "What is heard", "The sources", "Meta-learning"} <= set(titles)
    assert len(set(titles)) == len(titles)
    for flag in (
        "  --order=second|first|annealed\n",
        "  --[no]pool_sources\n",
        "(encoder: 8, lstm: 4, paper: 8, recommended: 8)",
    ):
        assert flag in said


def test_nobody_reads_any_more(tmp_path):
    save_model(tmp_path / "model", fake_model())
    command = [sys.executable, "-c", METASER, "info", str(tmp_path / "model")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == CLOSED_PIPE


def test_interrupted_while_it_starts():
    code = "import signal; from metaser_jax import cli, commands; cli.program = lambda _: signal.raise_signal(2); "
    done = python("-c", f"{code}commands.main(['info', 'm'])")
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


FINETUNE = ("finetune", "--data_dir=.", "--target=a", "--out=o")
# What is typed, and what of it stands in the message.
WRONG = {
    "an unknown command": (("predcit",), "predcit"),
    "an unknown flag": (("predict", "--modle=m", "a.wav"), "--model"),
    "a flag of another command": (("info", "--shots=5", "model"), "--format"),
    "missing flags": (("export", "--model=model"), "--to, --out missing"),
    "a wrong value": ((*FINETUNE, "--init=scratch", "--shots=-1"), "--shots: got -1"),
    "a wrong choice": (("predict", "--model=m", "--format=xml", "a.wav"), "xml"),
    "no model": (("predict", "--model=nowhere", "a.wav"), "--model: nowhere"),
    "no clips": (("adapt", "--init=open", "--support=nowhere", "--out=o"), "--support: nowhere"),
    "no corpora": (("table2", "--data_dir=nowhere", "--out=o"), "--data_dir: nowhere"),
    "by a flagfile": (("table2", "--flagfile=table2_urdu", "--data_dir=nowhere", "--out=o"), "--data_dir: nowhere"),
    "no flagfile": (("table2", "--flagfile=table2_ur"), "table2_ur"),
    "no run": ((*FINETUNE, "--init=nowhere", "--shots=1"), "--init: nowhere"),
    "no model among the arguments": (("predict", "italian", "new"), "italian is no model folder"),
    "too few arguments": (("info",), "metaser info: got none"),
    "too many arguments": (("info", "a", "b"), "metaser info: got 'a' 'b'"),
    "another shell": (("completion", "tcsh"), "completion: got 'tcsh', expected one of: bash, fish, zsh."),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    done = forked(tmp_path_factory.mktemp("wrong"), [args for args, _ in WRONG.values()])
    return dict(zip(WRONG, done, strict=True))


@pytest.mark.parametrize("what", WRONG)
def test_mistakes_are_told_before_anything_is_imported(mistakes, what):
    """Seconds would depend on the machine; what has been imported does not."""
    done = mistakes[what]
    assert (done.returncode, done.stdout, done.modules & HEAVY) == (2, "", frozenset())
    assert done.stderr.startswith("error: ")
    assert WRONG[what][1] in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_argument_may_be_the_model_and_lines_have_levels(tmp_path):
    model, clip, nowhere = (str(tmp_path / name) for name in ("model", "clip.wav", "nowhere.wav"))
    save_model(model, fake_model())
    soundfile.write(clip, np.sin(np.arange(22050) / 20), 22050)
    quiet = metaser("predict", "-m", model, clip, nowhere, "-q")
    logged = metaser("predict", model, clip, nowhere, "--log_format=json")
    assert (logged.returncode, logged.stdout) == (quiet.returncode, quiet.stdout), logged.stderr
    assert (quiet.returncode, clip in quiet.stdout, "error: " in quiet.stderr) == (1, True, True)
    assert "recordings failed" not in quiet.stderr
    lines = [json.loads(line) for line in logged.stderr.splitlines()]
    assert {line["level"] for line in lines} == {"info", "error"}
    assert any("1 of 2 recordings failed." in line["message"] for line in lines)
    assert all(datetime.datetime.fromisoformat(line["time"]).tzinfo is not None for line in lines)


def test_messages_name_the_command_that_was_typed(monkeypatch):
    for started, prepare in (
        ("/usr/bin/metaser", "metaser prepare"),
        ("/x/metaser_jax/__main__.py", "python -m metaser_jax prepare"),
        (f"{ROOT}/experiments/table2.py", "python experiments/prepare.py"),
        (f"{ROOT}/experiments/benchmarks/race.py", "metaser prepare"),
    ):
        monkeypatch.setattr(sys, "argv", [started, "--x=1 2"])
        assert cli.program("prepare") == prepare
    for typed, line in (
        (["experiments/table2.py"], "python experiments/table2.py"),
        (["/usr/bin/metaser", "table2"], "metaser table2"),
    ):
        monkeypatch.setattr(sys, "argv", [*typed, "--x=1 2"])
        assert cli.line() == f"{line} '--x=1 2'"


@pytest.mark.parametrize("file", sorted(ROOT.joinpath("experiments").glob("*.py")), ids=lambda file: file.stem)
def test_each_program_of_experiments_is_a_command(file):
    assert file.stem.replace("_", "-") in COMMANDS
    assert f"python experiments/{file.name} --" in python(file, "--help").stdout


def test_a_missing_extra_is_named_before_any_work(tmp_path):
    hide = "import sys; sys.modules['tensorboardX'] = sys.modules['orbax'] = None; "
    flags = [f"--data_dir={tmp_path}", "--sources=a", f"--run_dir={tmp_path}/run"]
    done = python("-c", f"{hide}sys.argv = ['metaser', 'meta-train', *{flags}]; {METASER}")
    said = "metaser meta-train needs orbax-checkpoint and tensorboardX, which are not installed: pip install "
    assert (done.returncode, done.stderr) == (2, f"error: {said}'metaser_jax[train]'\n")


def test_the_extra_that_has_all_of_it_is_named(monkeypatch):
    monkeypatch.setattr(extras, "_is_there", lambda module: module == "matplotlib")
    said = "demo needs array_record, tensorboardX and espeakng-loader, which are .* 'metaser_jax.demo.'$"
    with pytest.raises(InputError, match=said):
        extras.require_extras("metaser demo", "array_record", "tensorboardX", "matplotlib", "espeakng_loader")


def test_extras_are_those_of_setup():
    setup = ROOT.joinpath("setup.py").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^([A-Z]+) = \[(.*?)\]$", setup, re.M | re.S))
    for package, extra in EXTRAS.values():
        of_extra = listed[extra.upper()] + listed["PLOT"] * ("*PLOT" in listed[extra.upper()])
        assert f'"{package}>=' in of_extra, package
    assert {name for command in COMMANDS.values() for name in command.needs} == set(EXTRAS)


COMPLETED = {
    "metaser pred": {"predict"},
    "metaser ": {"adapt", "predict", "meta-train", "completion"},
    "metaser predict --mod": {"--model="},
    "metaser predict --format=": {"table", "csv", "json"},
    "metaser adapt --nosk": {"--noskip_bad"},
    "metaser meta-train --order=f": {"first"},
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Shell -> the file with its completion."""
    folder = tmp_path_factory.mktemp("completion")

    @functools.cache
    def write(shell):
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        done = metaser("completion", shell)
        assert done.returncode == 0, done.stderr
        (folder / shell).write_text(done.stdout)
        return str(folder / shell)

    return write


def shell_said(*command, **keywords):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **keywords)
    assert done.stderr == "", done.stderr
    return done.stdout


@pytest.mark.parametrize("typed", [*COMPLETED, "metaser predict a"])
def test_bash_completes(script, typed, tmp_path):
    (tmp_path / "a clip.wav").touch()
    # As readline divides it: = is a word of its own.
    words = typed.replace("=", " = ").split(" ")
    call = f"source {script('bash')}; COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; "
    call += '_metaser; printf "%s\\n" "${COMPREPLY[@]}"'
    offered = set(shell_said("bash", "--norc", "-c", call, cwd=tmp_path).splitlines())
    assert offered >= COMPLETED.get(typed, {"a clip.wav"})
    assert all(word.startswith(words[-1]) for word in offered)


@pytest.mark.parametrize("typed", COMPLETED)
def test_fish_completes(script, typed):
    offered = shell_said("fish", "--no-config", "-c", f"source {script('fish')}; complete -C {typed!r}").splitlines()
    words = {line.partition("\t")[0].rpartition("=")[2] or line.partition("\t")[0] for line in offered}
    # Fish adds what a flag takes by itself.
    assert {word.rstrip("=") for word in words} >= {word.rstrip("=") for word in COMPLETED[typed]}


def test_zsh_completes(script):
    """Without a terminal zsh completes nothing; that it reads the file, and knows the function, can be seen."""
    code = f"autoload -U compinit; compinit -D; source {script('zsh')}; print $_comps[metaser]; whence -w _metaser"
    assert shell_said("zsh", "-f", "-c", code) == "_metaser\n_metaser: function\n"
