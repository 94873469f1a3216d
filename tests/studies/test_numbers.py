"""Which methods are compared with which; one number for the same rows, whoever prints it."""

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax.data.splits import speaker_folds, split
from metaser_jax.data.target import Target
from metaser_jax.report import summarise, table
from metaser_jax.report.adaptation import adaptation_figure
from metaser_jax.results.outcomes import Amount, outcome, scored
from metaser_jax.results.series import series_label
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.studies import StudySpec
from metaser_jax.studies import tables
from metaser_jax.studies.driver import comparisons_of
from metaser_jax.studies.tables import comparison_line, line_of

CORPUS = fake_corpus("c", per_emotion=15)


def runs(method, *sources, adapt="all", folds=0, **more):
    source = {"method": method, "order": None, "sources": list(sources)} | more
    outcomes = []
    for number, part in enumerate(speaker_folds(CORPUS, folds, 0) if folds else (split(CORPUS, "random", 0),)):
        label, target = CORPUS.label[part.test], Target(CORPUS, part, "digest")
        for seed in range(2):
            # Folds differ more than seeds do.
            rng = np.random.default_rng([seed, number])
            predicted = np.where(rng.random(len(label)) < 0.3 * number, label, rng.permutation(label))
            drawn = part.train[:8], part.valid
            one = FinetuneSpec(adapt=adapt), target, source, Amount("shots", 2), seed, drawn
            outcomes.append(outcome(*one, predicted, seconds=0.0))
    return scored(outcomes, CORPUS)


def test_against_the_same_sources_and_against_none():
    of = [*runs("metaser", "a"), *runs("metaser", "a", adapt="head"), *runs("metaser", "a", "b")]
    of += [*runs("multiser", "a"), *runs("multiser", "a", "b"), *runs("scratch")]
    found = [comparison_line(one, 0.95) for one in comparisons_of(summarise(of), StudySpec(resamples=10))]
    pairs = {(tuple(x["sources"]), x["adapt"], x["other_method"], tuple(x["other_sources"])) for x in found}
    assert pairs == {
        *((("a",), adapt, *other) for adapt in ("all", "head") for other in (("multiser", ("a",)), ("scratch", ()))),
        *((("a", "b"), "all", *other) for other in (("multiser", ("a", "b")), ("scratch", ()))),
    }
    assert len(found) == len(pairs)


@pytest.mark.parametrize("folds", [0, 3])
def test_finetune_and_a_study_print_one_number(folds):
    of = runs("metaser", "a", folds=folds, algorithm="meta_sgd")
    rows = [run.row for run in of]
    (one,) = summarise(of, resamples=10)
    header, text = table(summarise(rows), style="markdown").splitlines()[::2]
    printed = dict(zip(*([cell.strip() for cell in one.split("|")] for one in (header, text)), strict=True))
    for score, name in (("macro_f1", "macro F1"), ("uar", "UAR")):
        # A draw's score is the mean over its folds.
        draws = [np.mean([row[score] for row in rows if row["seed"] == seed]) for seed in (0, 1)]
        assert printed[name] == str(getattr(one, score)) == f"{np.mean(draws):.3f} ± {np.std(draws, ddof=1):.3f}"
    assert printed["± over"] == ("2 draws of 3 folds" if folds else "2 draws")
    (axes,) = adaptation_figure([one]).axes
    (bar,) = (c for c in axes.containers if c.has_yerr)
    (low, high) = bar[2][0].get_segments()[0][:, 1]
    assert f"{(low + high) / 2:.3f} ± {(high - low) / 2:.3f}" == printed["macro F1"]


def test_a_study_keeps_its_name_on_disk_and_shows_what_ran():
    of = [*runs("metaser", "a", algorithm="meta_sgd", order="second"), *runs("scratch")]
    one, other = summarise(of, resamples=10)
    (compared,) = comparisons_of([one, other], StudySpec(resamples=10))
    lines = line_of(one, 0.95), comparison_line(compared, 0.95)
    assert series_label(one.series) == "Meta-SGD, all layers"
    for line in lines:
        assert (line["method"], line["algorithm"], line["order"]) == ("metaser", "meta_sgd", "second")
    assert (lines[1]["other_method"], lines[1]["other_algorithm"]) == ("scratch", None)
    for shown in (tables.all_scores({"": [one]}), tables.comparisons({"": [compared]}), tables.by_amount([one])):
        assert "MetaSER" not in str(shown)
        assert "Meta-SGD" in str(shown)
