"""Which methods are compared with which, and what they are called; a sweep's table."""

import numpy as np
from fakes import fake_corpus

from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.report import summarise
from metaser_jax.results.outcomes import Amount, outcome, scored
from metaser_jax.results.series import series_label
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.studies import StudySpec
from metaser_jax.studies import tables
from metaser_jax.studies.driver import comparisons_of
from metaser_jax.studies.sweep import text_of
from metaser_jax.studies.tables import comparison_line, line_of

CORPUS = fake_corpus("c", per_emotion=15)


def runs(method, *sources, adapt="all", **more):
    source = {"method": method, "order": None, "sources": list(sources)} | more
    part = split(CORPUS, "random", 0)
    of = FinetuneSpec(adapt=adapt), Target(CORPUS, part, "digest"), source, Amount("shots", 2)
    label, drawn = CORPUS.label[part.test], (part.train[:8], part.valid)
    predicted = [np.random.default_rng(seed).permutation(label) for seed in range(2)]
    return scored([outcome(*of, seed, drawn, p, seconds=0.0) for seed, p in enumerate(predicted)], CORPUS)


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


def test_a_sweep_has_a_row_per_setting():
    lines = [
        {
            "setting": {"meta_lr": rate},
            "chosen": rate == 0.1,
            "train_seeds": [0, 1],
            "stopped_seeds": [],
            "valid_query_loss": 0.5,
            "valid_query_loss_deviation": 0.01,
        }
        for rate in (0.1, 0.2)
    ]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text_of(lines).splitlines()]
    assert cells[0] == ["meta_lr", "training seeds", "validation loss on the sources"]
    assert cells[2:] == [["0.1", "2", "0.500 ± 0.010 (chosen)"], ["0.2", "2", "0.500 ± 0.010"]]
