"""The demo, whole but tiny: what it leaves behind, and that it may be run again."""

import functools

import pytest

from metaser_jax import datasets, demo_voices
from metaser_jax.report import read_results
from metaser_jax.specs import presets
from metaser_jax.specs.programs import DemoConfig
from metaser_jax.studies import demo

TRAIN = {"hidden_dim": 4, "tasks_per_episode": 2, "shots": 1, "queries": 1, "episodes": 2, "order": "first"}
TUNE = {"max_epochs": 1}


def test_demo(tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader", reason="the extra 'demo' is not installed")
    small = {"languages": ["english", "urdu"], "speakers": 4, "per_speaker": 4, "workers": 1, "progress": False}
    options = {"synthesise": functools.partial(demo_voices.synthesise, **small), "languages": ("english",)}
    options["prepare"] = functools.partial(datasets.prepare, workers=1)  # to start processes takes longer than the rest
    for preset, changes in ((presets.DEMO_META_TRAIN, TRAIN), (presets.DEMO_FINETUNE, TUNE)):
        for name, value in changes.items():
            monkeypatch.setitem(preset, name, value)
    config = DemoConfig(out=str(tmp_path / "demo"), shots=(1,), seeds=2)
    for _ in range(2):
        report = demo.run_demo(config, "python experiments/demo.py", **options)
        said = capsys.readouterr().out
        assert "no claim of accuracy" in said
        assert str(report) in said
        assert "±" in said
        assert report.read_text().count("synthetic") >= 1
        rows = read_results(tmp_path / "demo" / "results.jsonl")
        assert {(row["method"], row["target"], row["seed"]) for row in rows} == {
            (method, "demo_urdu", seed) for method in ("cautious_proto_maml", "scratch") for seed in (0, 1)
        }
    for picture in ("adaptation_curve.png", "confusion_matrix.png", "training.png"):
        assert (tmp_path / "demo" / picture).stat().st_size > 1000
