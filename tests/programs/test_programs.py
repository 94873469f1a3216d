"""A whole tiny run through the three programs, as a user types them, on a few synthetic clips; and mistyped ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from subprograms import forked, python

from metaser_jax.datasets import demo_voices

ROOT = Path(__file__).resolve().parents[2]


PREPARE = ROOT / "experiments" / "prepare.py"


def run(program, *flags):
    return python(ROOT / "experiments" / f"{program}.py", *flags)


def succeeds(program, *flags):
    done = run(program, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_prepare_meta_train_finetune(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the extra 'demo' is not installed")
    demo_voices.synthesise(
        tmp_path / "recordings", languages=["english", "urdu"], speakers=3, per_speaker=4, workers=1, progress=False
    )
    data, meta, tuned = (f"{tmp_path}/{name}" for name in ("data", "meta", "tuned"))
    said = succeeds(
        "prepare", "--corpora=demo_english,demo_urdu", f"--manual_dir={tmp_path}/recordings", f"--data_dir={data}"
    )
    for corpus in ("demo_english (English)", "demo_urdu (Urdu)"):
        assert f"{corpus}: 48 utterances, 3 speakers, " in said  # 3 speakers x 4 emotions x 4 clips
    said = succeeds(
        "meta_train",
        *(f"--data_dir={data}", "--sources=demo_english", f"--run_dir={meta}", "--order=first", "--inner_steps=1"),
        *("--hidden_dim=4", "--tasks_per_episode=2", "--shots=2", "--queries=2", "--episodes=4", "--seed=3"),
        *("--inner_lr=0.1", "--meta_lr=1e-3", "--log_every=2", "--checkpoint_every=2"),
    )
    assert "Compiled in" in said
    assert len(Path(meta, "metrics.jsonl").read_text().splitlines()) == 2
    config = json.loads(Path(meta, "config.json").read_text())
    assert (config["seed"], config["network"]) == (3, "perceptron"), "flags win over presets, presets over defaults"
    said = succeeds(
        "finetune",
        *(f"--data_dir={data}", f"--init={meta}", "--target=demo_urdu", "--split=random", "--shots=2"),
        *("--adapt=head", "--optimizer=sgd", "--seeds=2", "--max_epochs=2", f"--out={tuned}"),
    )
    rows = [json.loads(line) for line in Path(tuned, "results.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    assert "±" in said
    assert rows[0]["split_digest"] in said

    pretrained = f"{tmp_path}/pretrained"
    said = succeeds(
        "pretrain",
        *(f"--data_dir={data}", "--method=multiser", "--sources=demo_english", f"--run_dir={pretrained}"),
        *("--hidden_dim=4", "--max_epochs=2", "--log_every=1", "--checkpoint_every=1", "--preset=paper"),
    )
    assert f"--init={pretrained}" in said
    assert len(Path(pretrained, "metrics.jsonl").read_text().splitlines()) == 2

    failed = run(
        "finetune", f"--data_dir={data}", f"--init={meta}", "--target=demo_urdo", "--shots=2", f"--out={tuned}2"
    )
    assert failed.returncode == 2
    assert "demo_urdu" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_study_by_its_flagfile_says_what_is_not_prepared(tmp_path):
    flagfiles = ROOT / "experiments" / "flagfiles"
    studies = {"table2": "urdu", "figure2": "urdu", "ablation-order": "urdu", "sweep": "ravdess_emodb"}
    calls = [
        (name, f"--flagfile={flagfiles}/{name.replace('-', '_')}_{of}.flags", f"--data_dir={tmp_path}", "--out=out")
        for name, of in studies.items()
    ]
    for failed in forked(tmp_path, calls):
        assert failed.returncode == 2, failed.stderr
        assert "metaser prepare --corpora=" in failed.stderr
    assert not Path("out").exists()


def prepare(corpora: str, folder: Path, *flags: str):
    return python(PREPARE, f"--corpora={corpora}", f"--manual_dir={folder}", f"--data_dir={folder}/data", *flags)


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
