"""From rows and predictions to results: draws averaged over folds, methods paired on the same draws, refusals."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.data.splits import speaker_folds, split
from metaser_jax.data.target import Target
from metaser_jax.results import summary
from metaser_jax.results.bootstrap import bootstrap
from metaser_jax.results.metrics import scores
from metaser_jax.results.outcomes import Amount, outcome, read_scored, scored, write_predictions
from metaser_jax.results.run_dir import to_lines
from metaser_jax.results.series import Series
from metaser_jax.results.significance import SCORE, holm, paired_test, seed_interval
from metaser_jax.results.summary import summarise
from metaser_jax.specs import FinetuneSpec

CORPUS = fake_corpus("c", per_emotion=15)


def results(runs):
    return summarise(runs, resamples=2000)


def compare(runs, *arguments, **options):
    return summary.compare(summarise(runs), *arguments, **options)


SHOTS = Amount("shots", 2)
METASER, SVM = Series("metaser", "second", "all", ("a",), "none", "maml"), Series("svm", None, None, (), "none")


def run(method="metaser", right=0.7, folds=0, seeds=3, amount=SHOTS, split_seed=0, corpus=CORPUS, split_kind="speaker"):
    """Outcomes of a method that is right as often as `right`."""
    parts = speaker_folds(corpus, folds, split_seed) if folds else (split(corpus, split_kind, split_seed),)
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


def test_results_of_one_split():
    (result,) = results(scored(run(), CORPUS))
    outcomes = run()
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


def test_results_of_folds():
    """A draw is the mean over its folds; the bootstrap has every speaker, in one confusion of each draw."""
    outcomes = run(folds=3)
    (result,) = results(scored(outcomes, CORPUS))
    f1 = np.array([o.row["macro_f1"] for o in outcomes]).reshape(3, 3)  # [fold, seed]
    over, speakers = result.macro_f1, result.test["macro_f1"]
    assert (over.n, over.mean) == (3, pytest.approx(f1.mean()))
    assert over.deviation == pytest.approx(f1.mean(0).std(ddof=1))
    assert (speakers.by, speakers.units) == ("speakers", 6)
    predicted = np.zeros((3, 60), int)
    for o in outcomes:
        predicted[o.row["seed"], o.test] = o.predicted
    expected = bootstrap(CORPUS.label, predicted, CORPUS.speaker)
    assert speakers.value == pytest.approx(expected.value)
    assert speakers.value == pytest.approx(np.mean([scores(CORPUS.label, p, 4)["macro_f1"] for p in predicted]))
    assert speakers.interval == pytest.approx(expected.interval, abs=0.01)


def macro_f1(label, predicted):
    """Return the macro F1 of four classes by its definition; scikit-learn's takes a minute for 12,000 of them."""
    confusion = np.bincount(4 * label + predicted, minlength=16).reshape(4, 4)
    return np.mean(2 * np.diag(confusion) / np.maximum(confusion.sum(0) + confusion.sum(1), 1))


@pytest.mark.parametrize("folds", [0, 3])
def test_compare(folds):
    a, b = run(folds=folds), run("svm", 0.3, folds)
    more = Amount("shots", 4)
    a4, b4 = run(folds=folds, amount=more, right=0.8), run("svm", 0.79, folds, amount=more)
    found = compare(scored([*b4, *a, *b, *a4], CORPUS), METASER)
    assert [(c.reference.series, c.other.series, c.other.shots) for c in found] == [
        (METASER, SVM, 2),
        (METASER, SVM, 4),
    ]
    f1 = [np.array([o.row["macro_f1"] for o in of]).reshape(-1, 3).mean(0) for of in (a, b)]
    assert found[0].draws == paired_test(*f1)
    assert [c.p_holm for c in found] == holm([c.draws.p_t for c in found])
    assert found[0].speakers.interval.low > 0
    if not folds:
        test = a[0].test
        label = CORPUS.label[test]
        means = [np.mean([scores(label, o.predicted, 4)["macro_f1"] for o in of]) for of in (a, b)]
        assert found[0].speakers.value == pytest.approx(means[0] - means[1])
        # The plain bootstrap, in numpy: the same utterances are drawn for both.
        rng, differences = np.random.default_rng(0), []
        for _ in range(2000):
            again = rng.integers(0, len(label), len(label))
            of_method = [np.mean([macro_f1(label[again], o.predicted[again]) for o in of]) for of in (a, b)]
            differences.append(of_method[0] - of_method[1])
        low, high, _ = found[0].speakers.interval
        assert (high - low) / (2 * 1.96 * np.std(differences)) == pytest.approx(1, abs=0.1)
    else:
        assert (found[0].speakers.by, found[0].speakers.units) == ("speakers", 6)
    back = compare(scored([*a, *b], CORPUS), SVM)[0]
    assert back.draws.difference.mean == pytest.approx(-found[0].draws.difference.mean)
    assert back.speakers.value == pytest.approx(-found[0].speakers.value)


def test_compare_some():
    runs = scored([*run(), *run("svm")], CORPUS)
    assert compare(runs, METASER, others=[]) == []
    assert len(compare(runs, METASER, others=[SVM])) == 1
    assert compare(scored([*run(), *run("svm", amount=Amount("fraction", 0.5))], CORPUS), METASER) == []
    with pytest.raises(InputError, match=r"got no run of .'metaser'.*expected one of these in the results: .'svm'"):
        compare(scored(run("svm"), CORPUS), METASER)


def test_the_same_predictions_differ_by_nothing():
    runs = scored(run(), CORPUS)
    other = [r._replace(row=r.row | {"adapt": "head"}) for r in runs]
    (found,) = compare([*runs, *other], METASER)
    assert (found.draws.difference.mean, found.draws.p_t, found.p_holm) == (0, 1, 1)
    assert found.speakers[:2] == (0, (0, 0, 0.95))


def test_one_draw_says_that_it_is_one():
    runs = scored([*run(seeds=1), *run("svm", 0.3, seeds=1)], CORPUS)
    (found,) = compare(runs, METASER)
    assert (found.draws.difference.interval, found.draws.p_t, found.p_holm) == (None, None, None)
    assert found.speakers.interval is not None
    assert results(runs)[0].uar.interval is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"seeds": 2},
            r"on c \(speaker split, 2 shots, normalise none\) and SVM on c .*seeds \[0, 1, 2\] and \[0, 1\]",
        ),
        ({"split_seed": 1}, r"split seeds \[0\] and \[1\]"),
    ],
)
def test_draws_that_do_not_match(other, message):
    with pytest.raises(InputError, match=message):
        compare(scored([*run(), *run("svm", **other)], CORPUS), METASER)


def test_splits_that_do_not_match():
    other = fake_corpus("c", per_emotion=15, speakers=5)  # the same files, of other speakers
    with pytest.raises(InputError, match=r"seed 0, split digests .{16} and .{16}, expected the same"):
        compare([*scored(run(), CORPUS), *scored(run("svm", corpus=other), other)], METASER)
    relabelled = dataclasses.replace(CORPUS, label=3 - CORPUS.label)
    runs = [*scored(run(), CORPUS), *scored(run("svm", corpus=relabelled), relabelled)]
    digest = runs[0].row["split_digest"]
    runs = [r._replace(row=r.row | {"split_digest": digest}) for r in runs]
    with pytest.raises(InputError, match=r"test utterances \(files or labels\)"):
        compare(runs, METASER)


def test_several_split_seeds_are_draws():
    runs = scored([*run(), *run(split_seed=1)], CORPUS)
    (result,) = results(runs)
    assert (result.uar.n, result.seeds) == (6, (0, 1, 2, 0, 1, 2))


def test_read_from_a_folder(tmp_path):
    outcomes = [*run(folds=3), *run("svm", folds=3)]
    write_predictions(tmp_path / "predictions.npz", CORPUS, outcomes)
    (tmp_path / "results.jsonl").write_text(to_lines([o.row for o in outcomes]))
    assert results(read_scored(tmp_path)) == results(scored(outcomes, CORPUS))
    (tmp_path / "results.jsonl").write_text(to_lines([o.row for o in reversed(outcomes)]))
    with pytest.raises(InputError, match="line 1: got predictions that do not give the confusion matrix of the row"):
        read_scored(tmp_path)
    (tmp_path / "predictions.npz").write_bytes(b"half")
    with pytest.raises(InputError, match=r"predictions.npz: cannot be read"):
        read_scored(tmp_path)
    (tmp_path / "predictions.npz").unlink()
    with pytest.raises(InputError, match=r"predictions.npz: cannot be read"):
        read_scored(tmp_path)
    with pytest.raises(InputError, match=r"results.jsonl: cannot be read"):
        read_scored(tmp_path / "nowhere")
