"""From rows and predictions to results: draws averaged over folds, methods paired on the same draws, refusals."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.data.splits import speaker_folds, split
from metaser_jax.data.target import Target
from metaser_jax.results.bootstrap import bootstrap
from metaser_jax.results.metrics import scores
from metaser_jax.results.outcomes import Amount, Scored, outcome, read_scored, write_predictions
from metaser_jax.results.rows import Series, complete
from metaser_jax.results.run_dir import to_lines
from metaser_jax.results.significance import SCORE, holm, paired_test, seed_interval
from metaser_jax.results.summary import compare, summarise
from metaser_jax.specs import FinetuneSpec

CORPUS = fake_corpus("c", per_emotion=15)
SHOTS = Amount("shots", 2)
METASER, SVM = Series("metaser", "second", "all", ("a",), "none", "maml"), Series("svm", None, None, (), "none")


def run(method="metaser", right=0.7, folds=0, seeds=3, amount=SHOTS, split_seed=0, corpus=CORPUS):
    """Outcomes of a method that is right as often as `right`."""
    parts = speaker_folds(corpus, folds, split_seed) if folds else (split(corpus, "speaker", split_seed),)
    of = METASER if method == "metaser" else SVM
    source = {"method": method, "algorithm": of.algorithm, "order": of.order, "sources": list(of.sources)}
    outcomes = []
    for part in parts:
        for seed in range(seeds):
            rng = np.random.default_rng([seed, int(100 * right), part.test[0]])
            label = corpus.label[part.test]
            predicted = np.where(rng.random(len(label)) < right, label, rng.integers(0, 4, len(label)))
            drawn = part.train[:8], part.valid
            target = Target(corpus, part, "digest")
            outcomes.append(outcome(FinetuneSpec(), target, source, amount, seed, drawn, predicted, adapt=of.adapt))
    return outcomes


def scored(outcomes, corpus=CORPUS):
    of = corpus.file, corpus.speaker, corpus.label
    return [Scored(complete(one.row, ""), *(array[one.test] for array in of), one.predicted) for one in outcomes]


def test_results_of_one_split():
    outcomes = run()
    (result,) = summarise(scored(outcomes), resamples=2000)
    assert (result.series, result.target, result.folds) == (METASER, "c", None)
    assert (result.shots, result.fraction, result.seeds) == (2, None, (0, 1, 2))
    test = outcomes[0].test
    assert result.mean("n_train") == 8
    for score, speakers in result.test.items():
        assert getattr(result, score) == seed_interval([o.row[score] for o in outcomes], ends=SCORE)
        label, speaker = CORPUS.label[test], CORPUS.speaker[test]
        again = bootstrap(label, [o.predicted for o in outcomes], speaker, score=score, classes=4)
        assert speakers.value == pytest.approx(again.value)
        assert (speakers.by, speakers.units) == (again.by, again.units) == ("utterances", len(test))
    assert result.speaker_oracle_macro_f1.mean == pytest.approx(outcomes[0].row["speaker_oracle_macro_f1"])
    (both,) = summarise([*scored(outcomes), *scored(run(split_seed=1))])
    assert (both.uar.n, both.seeds) == (6, (0, 1, 2, 0, 1, 2)), "several split seeds are draws"


def test_results_of_folds():
    """A draw is the mean over its folds; the bootstrap has every speaker, in one confusion of each draw."""
    outcomes = run(folds=3)
    (result,) = summarise(scored(outcomes), resamples=2000)
    f1 = np.array([o.row["macro_f1"] for o in outcomes]).reshape(3, 3)  # [fold, seed]
    over, speakers = result.macro_f1, result.test["macro_f1"]
    assert (over.n, over.mean) == (3, pytest.approx(f1.mean()))
    assert over.deviation == pytest.approx(f1.mean(0).std(ddof=1))
    assert (speakers.by, speakers.units) == ("speakers", 6)
    predicted = np.zeros((3, 60), int)
    for o in outcomes:
        predicted[o.row["seed"], o.test] = o.predicted
    expected = bootstrap(CORPUS.label, predicted, CORPUS.speaker, classes=4)
    assert speakers.value == pytest.approx(expected.value)
    assert speakers.value == pytest.approx(np.mean([scores(CORPUS.label, p, 4)["macro_f1"] for p in predicted]))
    assert speakers.interval == pytest.approx(expected.interval, abs=0.01)


@pytest.mark.parametrize("folds", [0, 3])
def test_compare(folds):
    a, b = run(folds=folds), run("svm", 0.3, folds)
    more = Amount("shots", 4)
    a4, b4 = run(folds=folds, amount=more, right=0.8), run("svm", 0.79, folds, amount=more)
    found = compare(summarise(scored([*b4, *a, *b, *a4])), METASER)
    assert [(c.other.series, c.other.shots) for c in found] == [(SVM, 2), (SVM, 4)]
    assert {c.reference.series for c in found} == {METASER}
    f1 = [np.array([o.row["macro_f1"] for o in of]).reshape(-1, 3).mean(0) for of in (a, b)]
    assert found[0].draws == paired_test(*f1)
    assert [c.p_holm for c in found] == holm([c.draws.p_t for c in found])
    assert found[0].speakers.interval.low > 0
    assert (found[0].speakers.by == "speakers") == bool(folds)
    if not folds:
        label = CORPUS.label[a[0].test]
        means = [np.mean([scores(label, o.predicted, 4)["macro_f1"] for o in of]) for of in (a, b)]
        assert found[0].speakers.value == pytest.approx(means[0] - means[1])


def test_compare_some_the_same_and_single_draws():
    both = summarise(scored([*run(), *run("svm")]))
    assert compare(both, METASER, others=[]) == []
    assert len(compare(both, METASER, others=[SVM])) == 1
    assert compare(summarise(scored([*run(), *run("svm", amount=Amount("fraction", 0.5))])), METASER) == []
    runs = scored(run())
    (found,) = compare(summarise([*runs, *[r._replace(row=r.row | {"adapt": "head"}) for r in runs]]), METASER)
    assert (found.draws.difference.mean, found.draws.p_t, found.p_holm) == (0, 1, 1)
    assert found.speakers[:2] == (0, (0, 0, 0.95))
    single = summarise(scored([*run(seeds=1), *run("svm", 0.3, seeds=1)]))
    (found,) = compare(single, METASER)
    assert (found.draws.difference.interval, found.draws.p_t, found.p_holm) == (None, None, None)
    assert found.speakers.interval is not None
    assert single[0].uar.interval is None


def test_draws_that_do_not_match():
    other = fake_corpus("c", per_emotion=15, speakers=5)  # the same files, of other speakers
    relabelled = dataclasses.replace(CORPUS, label=3 - CORPUS.label)
    digest = scored(run())[0].row["split_digest"]
    of_relabelled = scored(run("svm", corpus=relabelled), relabelled)
    for others, message in (
        (scored(run("svm", seeds=2)), r"on c \(speaker split, .* and SVM on c .*seeds \[0, 1, 2\] and \[0, 1\]"),
        (scored(run("svm", split_seed=1)), r"split seeds \[0\] and \[1\]"),
        (scored(run("svm", corpus=other), other), r"seed 0, split digests .{16} and .{16}, expected the same"),
        ([r._replace(row=r.row | {"split_digest": digest}) for r in of_relabelled], r"test utterances"),
    ):
        with pytest.raises(InputError, match=message):
            compare(summarise([*scored(run()), *others]), METASER)


def test_read_from_a_folder(tmp_path):
    outcomes = [*run(folds=3), *run("svm", folds=3)]
    write_predictions(tmp_path / "predictions.npz", CORPUS, outcomes)
    (tmp_path / "results.jsonl").write_text(to_lines([o.row for o in outcomes]))
    assert summarise(read_scored(tmp_path), resamples=200) == summarise(scored(outcomes), resamples=200)
    (tmp_path / "results.jsonl").write_text(to_lines([o.row for o in reversed(outcomes)]))
    with pytest.raises(InputError, match="line 1: got predictions that do not give the confusion matrix of the row"):
        read_scored(tmp_path)
    (tmp_path / "predictions.npz").write_bytes(b"half")
    with pytest.raises(InputError, match=r"predictions.npz: cannot be read"):
        read_scored(tmp_path)
    with pytest.raises(InputError, match=r"results.jsonl: cannot be read"):
        read_scored(tmp_path / "nowhere")
