"""The baseline that a practitioner would pick: a support vector machine on statistics of what is heard.

StandardScaler, then SVC (scikit-learn). With source corpora (classical.py) every emotion weighs the same within the
draw, and within each source; all sources together weigh SOURCES_WEIGHT of the draw.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metaser_jax.adaptation.classical import Labelled, adapt_classifier, balanced, together
from metaser_jax.data.target import Target
from metaser_jax.results.outcomes import Amount, Outcome
from metaser_jax.specs import FinetuneSpec

SVM = "svm"
# Chosen on the validation part of URDU (random split) and on EMO-DB and RAVDESS as targets (three folds by speaker), at
# 5 and 10 shots: experiments/README.md. C from 3 to 30, linear kernels and a search inside each draw are within .01.
KERNEL, C = "rbf", 10.0
GAMMA = 0.5  # divided by the number of features
# With all clips alike, those of other languages drown the few of this one, and cost .1 of macro F1.
SOURCES_WEIGHT = 0.1


def make_svm(features: int) -> Pipeline:
    """Return the machine, not fitted yet.

    Its input is [n, features]: of utterance_statistics 140 of 20 MFCC and 280 with their changes.
    """
    return Pipeline([("scale", StandardScaler()), ("svc", SVC(kernel=KERNEL, C=C, gamma=GAMMA / features))])


def adapt_svm(
    spec: FinetuneSpec,
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    seeds: int,
    sources: Sequence[Target] = (),
) -> list[Outcome]:
    """Fit a machine for every fold, amount and seed; arguments, Returns and Raises as adapt_classifier."""
    return adapt_classifier(SVM, fit_svm, spec, folds, amounts, seeds, sources)


def fit_svm(x: np.ndarray, y: np.ndarray, sources: Sequence[Labelled] = ()) -> Pipeline:
    """Return the machine, fitted.

    Args:
      x: [n, feature], the target's drawn utterances. y: [n] int. Without any the sources' weigh 1 on average.
      sources: (x, y) of each, as many features.
    """
    xs, ys = together(x, y, sources)
    of_sources = SOURCES_WEIGHT * len(y) if len(y) else len(ys)
    weight = [balanced(y), *(balanced(other) * of_sources / (len(other) * len(sources)) for _, other in sources)]
    weights = np.concatenate(weight)
    return make_svm(x.shape[1]).fit(xs, ys, scale__sample_weight=weights, svc__sample_weight=weights)
