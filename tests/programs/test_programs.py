"""A whole tiny run through the three programs, as a user types them, on a few synthetic clips; and mistyped ones."""

import json
from pathlib import Path

import pytest
from subprograms import python

from metaser_jax import demo_voices

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize("program", ["meta_train", "pretrain", "finetune", "sweep"])
def test_a_mistyped_flag_lists_the_valid_ones(program):
    failed = run(program, "--sead=1")
    assert failed.returncode == 2
    assert "sead" in failed.stderr
    assert "--seed" in failed.stderr
    assert "--data_dir" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("name", ["table2_urdu", "figure2_urdu", "ablation_order_urdu", "sweep_ravdess_emodb"])
def test_a_study_by_its_flagfile_says_what_is_not_prepared(name, tmp_path):
    program = name.removesuffix("_urdu").removesuffix("_ravdess_emodb")
    flagfile = ROOT / "experiments" / "flagfiles" / f"{name}.flags"
    failed = run(program, f"--flagfile={flagfile}", f"--data_dir={tmp_path}", f"--out={tmp_path}/out")
    assert failed.returncode == 2, failed.stderr
    assert "python experiments/prepare.py --corpora=" in failed.stderr
    assert not (tmp_path / "out").exists()
