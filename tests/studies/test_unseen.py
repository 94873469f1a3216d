"""The benchmark, whole but tiny: from flags to a report, its numbers over corpora, and what it refuses."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.adaptation import egemaps
from metaser_jax.datasets.targets import Corpora
from metaser_jax.results.significance import SCORE, seed_interval
from metaser_jax.specs import presets
from metaser_jax.specs.studies import UnseenConfig
from metaser_jax.studies.study import open_study
from metaser_jax.studies.unseen import ALONE, run_unseen

CORPORA = ("ravdess", "emodb")
METHODS = ("metaser", "multiser", "joint", "svm", "svm_sources", "egemaps")


def unseen_config(out, **changes):
    values = {"data_dir": "data", "out": str(out), "corpora": CORPORA, "shots": (0, 2), "seeds": 2, "folds": 2}
    values |= {"pretrain_seeds": 1, "resamples": 50, "methods": METHODS, "adapt": ("all",)}
    values |= {"manual_dir": ("recordings",)}
    return UnseenConfig(**values | changes)


@pytest.fixture
def corpora(tiny, monkeypatch):
    """Another preset has another inner rate, of which no program depends."""
    monkeypatch.setitem(presets.META_TRAIN, "other", presets.META_TRAIN["recommended"] | {"inner_lr": 0.2})
    for name in ("PRETRAIN", "FINETUNE"):
        monkeypatch.setitem(getattr(presets, name), "other", getattr(presets, name)["recommended"])
    return tiny


def extract(sources):
    """What is heard of recordings, of which the name is all that there is."""
    for source in sources:
        emotion, number = source.split("/")
        yield np.array([len(emotion), int(number[:4]) % 7], np.float32)


def test_benchmark(tmp_path, corpora, runs, monkeypatch):
    def find(name):
        return {file: file for file in corpora.load(name, "data").file}

    fakes = {"opensmile": lambda: None, "find_in": lambda *_: find, "extract_all": extract}
    for name, fake in fakes.items():
        monkeypatch.setattr(egemaps, name, fake)
    config = unseen_config(tmp_path / "o", candidates=("recommended", "other"), runs=runs)
    page = run_unseen(config, "python experiments/unseen.py", corpora=corpora).read_text()
    found = json.loads((tmp_path / "o" / "unseen.json").read_text())
    of = {(one["name"], one["shots"]): one for one in found["over_corpora"]}
    alone = {"FOMAML", "MultiSER", "joint training", "eGeMAPS, joint training", "SVM, with the sources"}
    together = {f"{name}, clips together" for name in alone - {"SVM, with the sources"}}
    together, svm = together | {"SVM, clips together, with the sources"}, "SVM, target alone"
    assert of.keys() == {*((n, k) for n in alone | together for k in (0, 2)), (svm, 2)}
    assert {name for (name, _), one in of.items() if one["together"]} == together
    assert all(one["corpora"].keys() == set(CORPORA) for one in of.values())
    assert "MetaSER" not in page.partition('id="how-to-cite"')[0]
    assert "not defined" in page

    rows = [json.loads(line) for line in (tmp_path / "o" / "results.jsonl").read_text().splitlines()]
    for (name, shots), one in of.items():
        for text in (f"{one['macro_f1']:.3f}", f"{one['over_corpora'][0]:.3f} to {one['over_corpora'][1]:.3f}"):
            assert text in page, (name, shots)

    # By hand: draws are means over folds, the corpora's means are of draws.
    def scores(corpus, seed):
        key = ("joint", corpus, 2, seed, False)
        told_apart = [(r["method"], r["target"], r["shots"], r["seed"], r.get("together", False)) for r in rows]
        return [r["macro_f1"] for r, of_row in zip(rows, told_apart, strict=True) if of_row == key]

    means = np.mean([[np.mean(scores(corpus, seed)) for seed in (0, 1)] for corpus in CORPORA], axis=1)
    assert of["joint training", 2]["macro_f1"] == pytest.approx(means.mean())
    assert of["joint training", 2]["over_corpora"] == pytest.approx(seed_interval(means, ends=SCORE).interval[:2])
    own = {one["name"]: one for one in found["differences"] if one["minus"] == "its own zero shots"}
    zero = of["joint training", 0]["macro_f1"]
    assert own["joint training"]["difference"] == pytest.approx(means.mean() - zero)
    assert own.keys() == {name for name, _ in of} - {svm}
    minus = {one["minus"]: {} for one in found["differences"]}
    for one in found["differences"]:
        minus[one["minus"]][one["name"], one["shots"]] = one["difference"]
    with_multiser = "MultiSER, clips together"
    assert minus.keys() == {"MultiSER", with_multiser, ALONE, "its own zero shots"}
    assert {name for name, _ in minus[ALONE]} == together
    assert {name for name, _ in minus["MultiSER"]} == {*alone, svm} - {"MultiSER"}
    assert {name for name, _ in minus[with_multiser]} == together - {with_multiser}
    for name, other in ((ALONE, "FOMAML"), (with_multiser, with_multiser)):
        expected = of["FOMAML, clips together", 2]["macro_f1"] - of[other, 2]["macro_f1"]
        assert minus[name]["FOMAML, clips together", 2] == pytest.approx(expected)
    assert found["nested"]["choice"].keys() == set(CORPORA)
    points = [(one["shots"], one["together"]) for one in found["nested"]["scores"]]
    assert points == [(0, False), (0, True), (2, False), (2, True)]
    assert "chosen on the other corpora, clips together" in page
    for name in ("unseen.png", "unseen.svg", "unseen.csv", "confusion_matrix.png", "report.md"):
        assert (tmp_path / "o" / name).stat().st_size > 1000

    # Other methods may join, and nothing is computed again.
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "o").glob("*/*/results.jsonl")}
    run_unseen(unseen_config(tmp_path / "o", methods=("joint", "scratch"), runs=runs), "c", corpora=corpora)
    assert {path: path.stat().st_mtime_ns for path in cells} == cells
    assert "from scratch" in (tmp_path / "o" / "report.md").read_text()


def test_methods(tiny, monkeypatch):
    study = open_study(unseen_config("o"), "c", tiny)
    expected = {"metaser": "first", "maml": "second", "fomaml": "first", "meta_sgd": "second", "reptile": "first"}
    specs = {method: study.method_spec(method, ("urdu",), 0) for method in expected}
    assert {method: one.order for method, one in specs.items()} == expected
    assert [one.algorithm for one in specs.values()] == ["maml", "maml", "maml", "meta_sgd", "reptile"]
    # What a run's learner does is of all layers.
    assert [study.finetune_spec("metaser", of).optimizer for of in (None, "all", "head")] == ["learner"] * 2 + ["sgd"]
    own = {"meta_sgd": {"learn": {"episodes": 6}, "adapt": {"max_epochs": 9}}}
    monkeypatch.setitem(presets.OF_METHOD, "recommended", own)
    assert study.method_spec("meta_sgd", ("urdu",), 0) == dataclasses.replace(specs["meta_sgd"], episodes=6)
    assert (study.finetune_spec("meta_sgd").max_epochs, study.finetune_spec("metaser").max_epochs) == (9, 3)


def test_as_many_folds_as_speakers_allow():
    def folds(speakers, most=5):
        corpus = fake_corpus("emodb", per_emotion=2 * speakers, speakers=speakers)
        config = unseen_config("o", folds=most)
        return open_study(config, "c", Corpora(lambda *_: corpus, lambda *_: True)).even_folds("emodb")

    assert [folds(n) for n in (2, 4, 6, 9, 10, 24)] == [2, 4, 3, 3, 5, 5]
    assert folds(10, most=2) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpora": ("ravdess",)}, r"--corpora: got .*expected at least two"),
        ({"methods": ("metasr",)}, r"--methods: got 'metasr'.*Did you mean 'metaser'"),
        ({"shots": (-1,)}, r"--shots: got .*0 or more"),
        ({"candidates": ("best", "recommended")}, "--candidates: got 'best'"),
        ({"manual_dir": ()}, r"--manual_dir: got .*egemaps hears"),
        ({"start": "open"}, "some of metaser, scratch, svm with --start=open"),
    ],
)
def test_refuses_flags(changes, message):
    with pytest.raises(InputError, match=message):
        unseen_config("o", **changes)


def test_refuses(tmp_path, tiny, monkeypatch):
    config = unseen_config(tmp_path / "o", corpora=("ravdess", "tess"))
    with pytest.raises(InputError, match="--corpora=ravdess,tess: not prepared in data: tess"):
        run_unseen(config, "c", corpora=tiny)
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(InputError, match=r'needs openSMILE(.|\n)*pip install "metaser_jax\[peers\]"'):
        run_unseen(unseen_config(tmp_path / "o"), "c", corpora=tiny)
    assert not (tmp_path / "o").exists()


def test_from_one_start(tmp_path, tiny):
    options = {"start": "open", "methods": ("metaser", "scratch", "svm"), "manual_dir": ()}
    config = unseen_config(tmp_path / "o", corpora=("ravdess",), **options)
    page = run_unseen(config, "c", corpora=tiny).read_text()
    found = json.loads((tmp_path / "o" / "unseen.json").read_text())["over_corpora"]
    points = {(one["method"], one["shots"]) for one in found}
    assert points == {("cautious_proto_maml", 0), ("cautious_proto_maml", 2), ("scratch", 2), ("svm", 2)}
    assert "MetaSER starts from open, which has learned from none of these corpora" in page
    with pytest.raises(InputError, match="emodb is one of the sources of open"):
        run_unseen(unseen_config(tmp_path / "p", corpora=CORPORA, **options), "c", corpora=tiny)
