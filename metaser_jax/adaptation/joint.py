"""Joint training: logistic regression on all sources and the target's clips together, for whoever has the sources.

The input, normalised, is not scaled again. Every emotion weighs the same within each source, the sources weigh the
same, and the target's clips SHOTS_WEIGHT of everything.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from metaser_jax.adaptation.classical import Labelled, adapt_classifier, balanced, together
from metaser_jax.data.target import Target
from metaser_jax.results.outcomes import Amount, Outcome
from metaser_jax.specs import FinetuneSpec

JOINT = "joint"
# Best of .2, .3 and .35 of everything, and of C .003, .01 and .03, on the benchmark's five corpora.
C = 0.01
SHOTS_WEIGHT = 0.3
MAX_ITERATIONS = 1000


def adapt_joint(
    spec: FinetuneSpec, folds: Sequence[Target], amounts: Sequence[Amount], seeds: int, sources: Sequence[Target]
) -> list[Outcome]:
    """Fit a regression for every fold, amount and seed; arguments, Returns and Raises as adapt_classifier."""
    return adapt_classifier(JOINT, fit_joint, spec, folds, amounts, seeds, sources)


def fit_joint(x: np.ndarray, y: np.ndarray, sources: Sequence[Labelled]) -> LogisticRegression:
    """Return the regression, fitted.

    Args:
      x: [n, feature], the target's drawn utterances, or none. y: [n] int.
      sources: (x, y) of each, as many features, at least one.
    """
    total = sum(len(other) for _, other in sources)
    of_sources = 1 - SHOTS_WEIGHT if len(y) else 1.0
    weight = [balanced(y) * SHOTS_WEIGHT * total / max(len(y), 1)]
    weight += [balanced(other) * of_sources * total / (len(other) * len(sources)) for _, other in sources]
    xs, ys = together(x, y, sources)
    return LogisticRegression(C=C, max_iter=MAX_ITERATIONS).fit(xs, ys, np.concatenate(weight))
