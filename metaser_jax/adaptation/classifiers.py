"""Classifiers without gradient steps: support vector machines, and joint training with the sources.

They are fitted on the same draws and the same normalised input as the networks, and need no validation part: with
--validation=draw they learn from all of the draw. With source corpora their training parts, normalised in the same way,
are learned from together with the draw; with no shots, these alone.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from metaser_jax.adaptation.engine import draw_cases
from metaser_jax.data.inputs import utterance_statistics, weights
from metaser_jax.data.target import Target
from metaser_jax.data.together import count_labelled, label_together, shape_of
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import Amount, Outcome, outcome
from metaser_jax.results.run_dir import processor
from metaser_jax.specs import FinetuneSpec, FrontEnd
from metaser_jax.types import Params

SVM, JOINT, EGEMAPS = "svm", "joint", "egemaps"

# The support vector machine: chosen on the validation part of URDU (random split) and on EMO-DB and RAVDESS as targets
# (three folds by speaker), at 5 and 10 shots: experiments/README.md. C from 3 to 30, linear kernels and a search inside
# each draw are within .01.
KERNEL, SVM_C = "rbf", 10.0
GAMMA = 0.5  # divided by the number of features
# With all clips alike, those of other languages drown the few of this one, and cost .1 of macro F1.
SOURCES_WEIGHT = 0.1
# Joint training: best of .2, .3 and .35 of everything, and of C .003, .01 and .03, on the benchmark's five corpora.
JOINT_C = 0.01
SHOTS_WEIGHT = 0.3
# The linear machine: within .01 of the radial one, of 1 to 20 shots: experiments/README.md.
LINEAR_C = 1.0


class Labelled(NamedTuple):
    """Labelled clips of one corpus. Attributes: x [n, feature]; y [n] int."""

    x: np.ndarray
    y: np.ndarray


Features = Callable[[Target, FrontEnd, np.ndarray | None], np.ndarray]
"""(target, front end, utterances whose statistics count, by default the training part) -> x [n, feature]."""


def fit_svm(clips: Labelled, sources: Sequence[Labelled] = ()) -> Pipeline:
    """Return StandardScaler and SVC (scikit-learn), fitted: the baseline that a practitioner would pick.

    Every emotion weighs the same within the clips, and within each source; all sources together weigh SOURCES_WEIGHT of
    the clips, or, without any, 1 an utterance on average.
    """
    x, y = _together(clips, sources)
    of_sources = SOURCES_WEIGHT * len(clips.y) if len(clips.y) else len(y)
    weights = [balanced(other.y) * of_sources / (len(other.y) * len(sources)) for other in sources]
    weight = np.concatenate([balanced(clips.y), *weights])
    machine = Pipeline([("scale", StandardScaler()), ("svc", SVC(kernel=KERNEL, C=SVM_C, gamma=GAMMA / x.shape[1]))])
    return machine.fit(x, y, scale__sample_weight=weight, svc__sample_weight=weight)


def fit_joint(clips: Labelled, sources: Sequence[Labelled]) -> LogisticRegression:
    """Return a logistic regression (scikit-learn) on all sources, at least one, and the target's clips, or none.

    The input, normalised, is not scaled again. Every emotion weighs the same within each source, the sources weigh the
    same, and the clips SHOTS_WEIGHT of everything.
    """
    total = sum(len(other.y) for other in sources)
    of_clips = balanced(clips.y) * SHOTS_WEIGHT * total / max(len(clips.y), 1)
    share = 1 - SHOTS_WEIGHT if len(clips.y) else 1.0
    weights = [balanced(other.y) * share * total / (len(other.y) * len(sources)) for other in sources]
    weight = np.concatenate([of_clips, *weights])
    return LogisticRegression(C=JOINT_C, max_iter=1000).fit(*_together(clips, sources), weight)


# Of (the target's drawn clips, those of each source) they make a classifier with scikit-learn's predict.
FITS: dict[str, Callable[..., Any]] = {SVM: fit_svm, JOINT: fit_joint, EGEMAPS: fit_joint}


def count_units(classes: int) -> int:
    """Return the hidden units of the linear machine's perceptron: two for each pair of emotions."""
    return classes * (classes - 1)


def fit_votes(clips: Labelled, classes: int) -> Params:
    """Fit a linear support vector machine, one against one, as the parameters of a perceptron with one member.

    So a model folder, its readers and its exports hold it as any other network. For emotions i < j with the margin
    d_ij = w_ij x + b_ij, above 0 for j,

      clip(d, -1, 1) = relu(d + 1) - relu(d - 1) - 1,      logit_j = sum_i clip(d_ij) - sum_k clip(d_jk)

    which is the count of votes, those within the margin as parts of one.

    Args: clips: of two emotions or more. classes: with those without clips.
    """
    x, y = clips
    hidden = count_units(classes)
    kernel, bias = np.zeros((x.shape[1], hidden)), np.zeros(hidden)
    last, last_bias = np.zeros((hidden, classes)), np.zeros(classes)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > 0, std, 1.0)
    present = np.unique(y)
    # Of an emotion without clips: below every emotion that has some.
    last_bias[np.setdiff1d(np.arange(classes), present)] = -classes
    with threadpool_limits(1):
        for number, (i, j) in enumerate(itertools.combinations(present, 2)):
            of = np.isin(y, (i, j))
            machine = SVC(kernel="linear", C=LINEAR_C).fit((x[of] - mean) / std, y[of] == j, balanced(y[of]))
            w = machine.coef_[0] / std
            b = float(machine.intercept_[0]) - mean @ w
            for unit, margin, sign in ((2 * number, 1, 1), (2 * number + 1, -1, -1)):
                kernel[:, unit], bias[unit] = w, b + margin
                last[unit, j], last[unit, i] = sign, -sign
            last_bias[j] -= 1
            last_bias[i] += 1

    def layer(kernel: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
        return {"kernel": np.asarray(kernel, np.float32)[None], "bias": np.asarray(bias, np.float32)[None]}

    return {"params": {"voice": layer(kernel, bias), "output": layer(last, last_bias)}}


def votes(machine: Params, x: np.ndarray) -> np.ndarray:
    """Return the votes for each emotion of x [n, feature], by the params of fit_votes: [n, class] float32."""
    layers = machine["params"]
    hidden = np.maximum(x @ layers["voice"]["kernel"][0] + layers["voice"]["bias"][0], 0)
    return hidden @ layers["output"]["kernel"][0] + layers["output"]["bias"][0]


def balanced(y: np.ndarray) -> np.ndarray:
    """Return the weight of each utterance, [n], 1 on average: every class of y [n] weighs the same."""
    _, of, counts = np.unique(y, return_inverse=True, return_counts=True)
    return len(y) / (len(counts) * counts[of])


def _together(clips: Labelled, sources: Sequence[Labelled]) -> Labelled:
    return Labelled(*map(np.concatenate, zip(clips, *sources, strict=True)))


def features_of(target: Target, front_end: FrontEnd, fit: np.ndarray | None = None) -> np.ndarray:
    """Return the statistics that are heard of a voice, else utterance_statistics of the frames, [n, feature]."""
    corpus = target.as_input(front_end, fit).corpus
    return corpus.mfcc[:, 0] if front_end.of_voice else utterance_statistics(corpus.mfcc, corpus.n_frames)


def adapt_classifier(
    method: str,
    spec: FinetuneSpec,
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    seeds: int,
    sources: Sequence[Target] = (),
    *,
    features: Features = features_of,
    together: bool = False,
) -> list[Outcome]:
    """Fit a classifier for every fold, amount and seed (0 .. seeds - 1), and predict the fold's test part.

    Args:
      method: of FITS; what rows call it.
      spec: what is about networks is not looked at.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw.
      seeds: how many draws of each.
      sources: corpora whose training parts join the draw, not normalised yet.
      features: what is heard.
      together: whether after each outcome there is one of the test part's clips labelled together, by voices; of what
        has learned from sources.

    Returns:
      Outcomes in the order fold, amount, seed.

    Raises:
      InputError: no shots and no sources; a draw that the training part does not allow, before the first is fitted.
    """
    cases = draw_cases(folds, amounts, seeds, "none")
    if not sources and any(amount.value == 0 for amount in amounts):
        raise InputError(f"--shots=0: {method} has nothing to learn from. Give --sources, or shots.")
    # Only the statistics of a training part, or of a draw, depend on the fold.
    by_draw = spec.of_split and spec.normalise_by == "drawn"
    seen = [features(target, spec.front_end, None) for target in (folds if spec.of_split else folds[:1])]
    joined, parts = [], []
    for one in sources:
        x, train = features(one, spec.front_end, None), one.split.train
        joined.append(Labelled(x[train], one.corpus.label[train]))
        parts.append((*joined[-1], one.corpus.speaker[train]))
    shape = shape_of(parts, len(spec.emotions)) if together and parts and spec.of_voice else None
    weight = weights(spec.front_end) if features is features_of else 1.0
    about = {"method": method, "order": None, "sources": [s.corpus.name for s in sources], "inner_steps": None}
    # The numbers that somebody needs who has the clips alone.
    about["start_size"] = sum(source.x.size for source in joined)
    # Without shots every draw is the same.
    unadapted = functools.cache(lambda: FITS[method](Labelled(seen[0][:0], folds[0].corpus.label[:0]), joined))
    outcomes = []
    # So small products are slower by several threads, and much so where others work, too.
    with threadpool_limits(1):
        for index, amount, seed, (drawn, nothing) in cases:
            start, target = time.perf_counter(), folds[index]
            x = features(target, spec.front_end, drawn) if by_draw else seen[min(index, len(seen) - 1)]
            clips = Labelled(x[drawn], target.corpus.label[drawn])
            machine, test = FITS[method](clips, joined) if len(drawn) else unadapted(), target.split.test
            found = [(machine.predict(x[test]), {})]
            if shape is not None:
                voice, labelled = target.corpus.speaker[test], count_labelled(*clips, len(spec.emotions))
                answer = functools.partial(_logits, machine)
                every = label_together(x[test], voice, answer, shape, labelled, weight=weight)
                found.append((every.posteriors.argmax(-1), {"together": True}))
            more = dict.fromkeys(("adapt", "validation", "best_epoch", "epochs"))
            more |= {"seconds": time.perf_counter() - start, "device": f"1 x cpu ({processor()})"}
            for predicted, kind in found:
                outcomes.append(outcome(spec, target, about, amount, seed, (drawn, nothing), predicted, **more, **kind))
    return outcomes


def _logits(machine: Any, x: np.ndarray) -> np.ndarray:
    """Return a fitted machine's log-probabilities [n, class] of x [n, feature]; of one without, its margins."""
    if hasattr(machine, "predict_log_proba"):
        return machine.predict_log_proba(x)
    margins = machine.decision_function(x)
    return margins if margins.ndim > 1 else np.stack([-margins, margins], 1)


def load_sources(
    names: Sequence[str], data_dir: str, emotions: tuple[str, ...], load: Load = load_corpus
) -> tuple[Target, ...]:
    """Load corpora to learn from, all of each, since nothing is scored on it; raises InputError as load_targets."""
    found = []
    for name in names:
        (one,) = load_targets(name, data_dir, emotions=emotions, load=load)
        found.append(one._replace(split=dataclasses.replace(one.split, train=np.arange(len(one.corpus)))))
    return tuple(found)
