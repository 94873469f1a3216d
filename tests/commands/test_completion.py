"""Shells complete commands, flags and choices: what they offer, asked of the shells themselves."""

import functools
import shutil
import subprocess

import pytest
from subprograms import metaser

CASES = {
    "metaser pred": {"predict"},
    "metaser ": {"adapt", "predict", "meta-train", "completion"},
    "metaser predict --mod": {"--model="},
    "metaser predict --format=": {"table", "csv", "json"},
    "metaser predict --format=c": {"csv"},
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
        path = folder / f"metaser.{shell}"
        path.write_text(done.stdout)
        return path

    return write


def said(*command, **keywords):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **keywords)
    assert done.stderr == "", done.stderr
    return done.stdout


@pytest.mark.parametrize("typed", CASES)
def test_bash(script, typed):
    # As readline divides it: = is a word of its own.
    words = typed.replace("=", " = ").rstrip().split(" ") if typed.strip() != "metaser" else ["metaser"]
    words += [""] if typed.endswith((" ", "=")) and words[-1] != "=" else []
    call = f"source {script('bash')}; COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; "
    offered = set(said("bash", "--norc", "-c", call + '_metaser; printf "%s\\n" "${COMPREPLY[@]}"').split())
    assert offered >= CASES[typed]
    assert not typed.endswith(("pred", "mod", "=c", "=f", "nosk")) or offered == CASES[typed]


def test_bash_completes_files(script, tmp_path):
    (tmp_path / "a clip.wav").touch()
    call = f"source {script('bash')}; COMP_WORDS=(metaser predict a); COMP_CWORD=2; _metaser; "
    assert said("bash", "--norc", "-c", call + 'printf "%s\\n" "${COMPREPLY[@]}"', cwd=tmp_path) == "a clip.wav\n"


@pytest.mark.parametrize("typed", CASES)
def test_fish(script, typed):
    offered = said("fish", "--no-config", "-c", f"source {script('fish')}; complete -C {typed!r}").splitlines()
    words = {line.partition("\t")[0].rpartition("=")[2] or line.partition("\t")[0] for line in offered}
    # Fish adds what a flag takes by itself.
    assert {word.rstrip("=") for word in words} >= {word.rstrip("=") for word in CASES[typed]}


def test_zsh(script):
    """Without a terminal zsh completes nothing; that it reads the file, and knows the function, can be seen."""
    path = script("zsh")
    said("zsh", "-f", "-n", str(path))
    code = f"autoload -U compinit; compinit -D; source {path}; print $_comps[metaser]; whence -w _metaser"
    assert said("zsh", "-f", "-c", code) == "_metaser\n_metaser: function\n"


def test_another_shell_is_an_error():
    done = metaser("completion", "tcsh")
    assert done.returncode == 2
    assert "metaser completion: got 'tcsh', expected one of: bash, fish, zsh." in done.stderr
