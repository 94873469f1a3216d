"""The command as it is typed: what it says of itself, of sub-commands, and of mistyped ones."""

import dataclasses
import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from fakes import fake_model
from subprograms import METASER, metaser

from metaser_jax import commands
from metaser_jax.commands import CLOSED_PIPE, COMMANDS
from metaser_jax.recogniser.folder import save_model


@pytest.mark.parametrize("args", [(), ("--help",), ("help",)])
def test_what_there_is(args):
    done = metaser(*args)
    assert (done.returncode, done.stderr) == (0, "")
    for command, what in COMMANDS.items():
        assert f"{command} " in done.stdout
        assert what in done.stdout


def test_version():
    assert metaser("--version").stdout.startswith("metaser_jax 0.")


def test_mistyped():
    done = metaser("predcit", "--model=m")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'predict'?" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_explains_its_flags(command):
    done = metaser(command, "--help")
    assert f"metaser {command} " in done.stdout + done.stderr, "an example that can be copied"
    assert "flags:" in done.stdout + done.stderr
    config = importlib.import_module(f"metaser_jax.commands.{command.replace('-', '_')}").CONFIG
    for field in dataclasses.fields(config):
        assert re.search(rf"--(\[no\])?{field.name}\b", done.stdout), field.name


def test_a_flag_of_another_command_is_an_error_that_lists_its_own():
    done = metaser("info", "--shots=5", "model")
    assert done.returncode == 2
    assert "The flags of this program: --format" in done.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("info",), "metaser info: got none, expected"),
        (("info", "a", "b"), "metaser info: got 'a' 'b', expected"),
        (("adapt", "--init=a", "--support=b", "--out=c", "d"), "metaser adapt: got 'd', expected nothing but flags"),
    ],
)
def test_too_few_or_too_many(args, says):
    done = metaser(*args)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize("command", ["info", "predict"])
def test_nobody_reads_any_more(command, tmp_path):
    model, clip = str(tmp_path / "model"), str(tmp_path / "clip.wav")
    save_model(model, fake_model())
    soundfile.write(clip, np.sin(np.arange(22050) / 20), 22050)
    args = ("info", model) if command == "info" else ("predict", f"--model={model}", clip)
    with subprocess.Popen(
        [sys.executable, "-c", METASER, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == CLOSED_PIPE


def test_interrupted_while_it_starts(capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        commands.main(["info"], interrupted)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_flags_that_are_missing_are_all_named():
    done = metaser("export", "--model=model")
    assert done.returncode == 2
    assert done.stderr == "error: --to, --out missing\n--help explains every flag.\n"
