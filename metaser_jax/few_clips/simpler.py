"""What a handful of clips is worth without meta-learning, and the start without the clips.

A linear support vector machine, one against one, is written as a perceptron, so that a model folder, its readers and
its exports hold it as any other network. For emotions i < j with the margin d_ij = w_ij x + b_ij, above 0 for j,

  clip(d, -1, 1) = relu(d + 1) - relu(d - 1) - 1,      logit_j = sum_i clip(d_ij) - sum_k clip(d_jk)

which is the count of votes, those within the margin as parts of one.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from metaser_jax.adaptation.classical import balanced
from metaser_jax.types import Params

NETWORK, ZERO_SHOTS, SVM = "network", "zero_shots", "svm"
KINDS = (NETWORK, ZERO_SHOTS, SVM)
# What people call them.
NAMES = {
    NETWORK: "the network adapted to these clips",
    ZERO_SHOTS: "the start as it is, with none of these clips",
    SVM: "a support vector machine of these clips alone",
}
# Within .01 of the benchmark's radial one, of 1 to 20 shots: experiments/README.md.
C = 1.0
# Of an emotion without clips: below every emotion that has some.
_NEVER = -1.0


def units(classes: int) -> int:
    """Return the hidden units of the machine's perceptron: two for each pair of emotions."""
    return classes * (classes - 1)


def fit_svm(x: np.ndarray, y: np.ndarray, classes: int) -> Params:
    """Return the machine as the parameters of a perceptron with one member.

    Args:
      x: [n, feature], as the network is given it. y: [n] int, of two emotions or more.
      classes: number of emotions, with or without clips.
    """
    features, hidden = x.shape[1], units(classes)
    kernel, bias = np.zeros((features, hidden)), np.zeros(hidden)
    last, last_bias = np.zeros((hidden, classes)), np.zeros(classes)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > 0, std, 1.0)
    present = np.unique(y)
    last_bias[np.setdiff1d(np.arange(classes), present)] = _NEVER * classes
    with threadpool_limits(1):
        for number, (i, j) in enumerate(itertools.combinations(present, 2)):
            of = np.isin(y, (i, j))
            machine = SVC(kernel="linear", C=C).fit((x[of] - mean) / std, y[of] == j, balanced(y[of]))
            w = machine.coef_[0] / std
            b = float(machine.intercept_[0]) - mean @ w
            for unit, margin, sign in ((2 * number, 1, 1), (2 * number + 1, -1, -1)):
                kernel[:, unit], bias[unit] = w, b + margin
                last[unit, j], last[unit, i] = sign, -sign
            last_bias[j] -= 1
            last_bias[i] += 1
    layers = {"voice": {"kernel": kernel, "bias": bias}, "output": {"kernel": last, "bias": last_bias}}
    return {
        "params": {
            name: {k: np.asarray(a, np.float32)[None] for k, a in layer.items()} for name, layer in layers.items()
        }
    }


def logits_of(params: Any, x: np.ndarray) -> np.ndarray:
    """Return what the machine of `fit_svm` says of x [n, feature], [n, class] float32."""
    layers = params["params"]
    hidden = np.maximum(x @ layers["voice"]["kernel"][0] + layers["voice"]["bias"][0], 0)
    return hidden @ layers["output"]["kernel"][0] + layers["output"]["bias"][0]


def svm_logits(
    inputs: Sequence[np.ndarray], label: np.ndarray, tests: Sequence[np.ndarray], classes: int
) -> list[np.ndarray]:
    """Return what machines say that were fitted without each part, [n_test, class] of each.

    Args:
      inputs: of each part, all clips as the network is given them there, [n, feature].
      label: [n] int. tests: of each part, the clips that are not learned from.
    """
    found = []
    for x, test in zip(inputs, tests, strict=True):
        train = np.setdiff1d(np.arange(len(label)), test)
        found.append(logits_of(fit_svm(x[train], label[train], classes), x[test]))
    return found
