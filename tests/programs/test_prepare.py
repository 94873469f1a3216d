"""experiments/prepare.py as a user runs it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from subprograms import python

PROGRAM = Path(__file__).resolve().parents[2] / "experiments" / "prepare.py"


def prepare(corpora: str, folder: Path, *flags: str):
    return python(PROGRAM, f"--corpora={corpora}", f"--manual_dir={folder}", f"--data_dir={folder}/data", *flags)


@pytest.fixture
def folder(tmp_path):
    """Two recordings of EMO-DB and one of URDU."""
    for file in ("emodb/wav/03a01Fa.wav", "emodb/wav/08b02Wa.wav", "urdu/Sad/SF1_F1_S01.wav"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / file, np.linspace(-0.1, 0.1, 8000 + len(file)), 16000)
    return tmp_path


def test_prepares_then_reports(folder):
    run = prepare("emodb,urdu", folder)
    assert run.returncode == 0, run.stderr
    assert "emodb (German): 2 utterances of 535 published, 2 speakers, 1 s" in run.stdout
    assert "  happy      happiness      1\n" in run.stdout
    assert "sampling rates: 16,000 Hz (2)" in run.stdout
    assert "skipped: none" in run.stdout
    assert run.stdout.count("prepared in") == 2
    assert run.stdout.rstrip().splitlines()[-1].startswith("Next: python experiments/meta_train.py --data_dir=")
    assert run.stderr == "", "neither our bars, without a terminal, nor TFDS's, nor absl's lines"

    again = prepare("emodb", folder, "--manual_dir=/nowhere")
    assert again.returncode == 0, again.stderr
    assert "was prepared already; --overwrite" in again.stdout


@pytest.mark.parametrize(
    ("corpora", "expected"),
    [
        ("emodb,udru", "error: --corpora: got 'udru', expected one of: demo_english"),
        (
            "emodb,ravdess",
            "has no folder 'ravdess' and no archive ravdess.zip or Audio_Speech_Actors_01-24.zip; it has",
        ),
    ],
)
def test_errors_come_before_any_work(folder, corpora, expected):
    run = prepare(corpora, folder)
    assert run.returncode == 2
    assert expected in run.stderr
    assert "Traceback" not in run.stderr
    assert not (folder / "data").exists()
