"""Which methods are compared with which."""

import numpy as np
from fakes import fake_corpus

from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.results.outcomes import Amount, outcome
from metaser_jax.results.scored import scored
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.studies import StudySpec
from metaser_jax.studies.numbers import comparisons_of

CORPUS = fake_corpus("c", per_emotion=15)


def runs(method, *sources, adapt="all"):
    part = split(CORPUS, "random", 0)
    source = {"method": method, "order": None, "sources": list(sources)}
    label, ready = CORPUS.label[part.test], Target(CORPUS, part, "digest")
    outcomes = []
    for seed in range(2):
        predicted = np.random.default_rng(seed).permutation(label)
        one = (
            FinetuneSpec(adapt=adapt),
            ready,
            source,
            Amount("shots", 2),
            seed,
            (part.train[:8], part.valid),
        )
        outcomes.append(outcome(*one, predicted, seconds=0.0))
    return scored(outcomes, CORPUS)


def test_against_the_same_sources_and_against_none():
    of = [*runs("metaser", "a"), *runs("metaser", "a", adapt="head"), *runs("metaser", "a", "b")]
    of += [*runs("multiser", "a"), *runs("multiser", "a", "b"), *runs("scratch")]
    found = comparisons_of(of, StudySpec(resamples=10))
    pairs = {(tuple(x["sources"]), x["adapt"], x["other_method"], tuple(x["other_sources"])) for x in found}
    assert pairs == {
        *((("a",), adapt, *other) for adapt in ("all", "head") for other in (("multiser", ("a",)), ("scratch", ()))),
        *((("a", "b"), "all", *other) for other in (("multiser", ("a", "b")), ("scratch", ()))),
    }
    assert len(found) == len(pairs)
