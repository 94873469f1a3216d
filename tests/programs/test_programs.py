"""A whole tiny run through the programs of experiments/, as a user types them, on made-up clips; mistyped ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from subprograms import forked, python

from metaser_jax.datasets import demo_voices

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def succeeds(program, **flags):
    done = typed(program, **flags)
    assert done.returncode == 0, done.stderr
    return done


def typed(program, **flags):
    return python(EXPERIMENTS / f"{program}.py", *(f"--{name}={value}" for name, value in flags.items()))


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_prepare_meta_train_finetune(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the extra 'demo' is not installed")
    recordings, data, meta, tuned, pretrained = (tmp_path / name for name in ("sound", "data", "meta", "tuned", "pre"))
    demo_voices.synthesise(
        recordings, languages=["english", "urdu"], speakers=3, per_speaker=4, workers=1, progress=False
    )
    said = succeeds("prepare", corpora="demo_english,demo_urdu", manual_dir=recordings, data_dir=data).stdout
    for corpus in ("demo_english (English)", "demo_urdu (Urdu)"):
        assert f"{corpus}: 48 utterances, 3 speakers, " in said  # 3 speakers x 4 emotions x 4 clips

    small = {"data_dir": data, "sources": "demo_english", "hidden_dim": 4, "checkpoint_every": 2}
    tasks = {"tasks_per_episode": 2, "shots": 2, "queries": 2, "episodes": 4, "log_every": 2, "inner_steps": 1}
    said = succeeds("meta_train", run_dir=meta, seed=3, order="first", inner_lr=0.1, **small, **tasks).stdout
    assert "Compiled in" in said
    assert len(lines(meta / "metrics.jsonl")) == 2
    config = json.loads((meta / "config.json").read_text())
    assert (config["seed"], config["network"]) == (3, "perceptron"), "flags win over presets, presets over defaults"

    of = {"data_dir": data, "init": meta, "shots": 2}
    few = {"split": "random", "adapt": "head", "optimizer": "sgd", "seeds": 2, "max_epochs": 2}
    said = succeeds("finetune", target="demo_urdu", out=tuned, **of, **few).stdout
    rows = lines(tuned / "results.jsonl")
    assert [(row["seed"], row.get("together", False)) for row in rows] == [(0, False), (0, True), (1, False), (1, True)]
    assert "±" in said
    assert rows[0]["split_digest"] in said

    of_baseline = {"method": "multiser", "preset": "paper", "max_epochs": 2, "log_every": 1}
    assert f"--init={pretrained}" in succeeds("pretrain", run_dir=pretrained, **of_baseline, **small).stdout
    assert len(lines(pretrained / "metrics.jsonl")) == 2

    failed = typed("finetune", target="demo_urdo", out=f"{tuned}2", **of)
    assert failed.returncode == 2
    assert "demo_urdu" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_study_by_its_flagfile_says_what_is_not_prepared(tmp_path):
    studies = {"table2": "urdu", "figure2": "urdu", "ablation-order": "urdu", "sweep": "ravdess_emodb"}
    folder, places = EXPERIMENTS / "flagfiles", (f"--data_dir={tmp_path}", f"--out={tmp_path}/out")
    files = {name: folder / f"{name.replace('-', '_')}_{of}.flags" for name, of in studies.items()}
    calls = [(name, f"--flagfile={file}", *places) for name, file in files.items()]
    for failed in forked(tmp_path, calls):
        assert failed.returncode == 2, failed.stderr
        assert "metaser prepare --corpora=" in failed.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(tmp_path):
    """Two recordings of EMO-DB and one of URDU."""
    for file in ("emodb/wav/03a01Fa.wav", "emodb/wav/08b02Wa.wav", "urdu/Sad/SF1_F1_S01.wav"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / file, np.linspace(-0.1, 0.1, 8000 + len(file)), 16000)
    return tmp_path


def test_prepares_then_reports(folder):
    to = {"data_dir": folder / "data"}
    run = succeeds("prepare", corpora="emodb,urdu", manual_dir=folder, **to)
    said = ("emodb (German): 2 utterances of 535 published, 2 speakers, 1 s", "  happy      happiness      1\n")
    for one in (*said, "sampling rates: 16,000 Hz (2)", "skipped: none"):
        assert one in run.stdout
    assert run.stdout.count("prepared in") == 2
    assert run.stdout.rstrip().splitlines()[-1].startswith("Next: python experiments/meta_train.py --data_dir=")
    assert run.stderr == "", "neither our bars, without a terminal, nor TFDS's, nor absl's lines"
    again = succeeds("prepare", corpora="emodb", manual_dir="/nowhere", **to).stdout
    assert "was prepared already; --overwrite" in again


def test_errors_come_before_any_work(folder):
    places = (f"--manual_dir={folder}", f"--data_dir={folder}/data")
    typo, missing = forked(folder, [("prepare", f"--corpora=emodb,{name}", *places) for name in ("udru", "ravdess")])
    assert (typo.returncode, missing.returncode) == (2, 2)
    assert typo.stderr.startswith("error: --corpora: got 'udru', expected one of: demo_english")
    assert "has no folder 'ravdess' and no archive ravdess.zip or Audio_Speech_Actors_01-24.zip; it " in missing.stderr
    assert "Traceback" not in missing.stderr
    assert not (folder / "data").exists()
