"""The baseline that a practitioner would pick: a support vector machine on statistics of an utterance's MFCC.

StandardScaler, then SVC (scikit-learn) on `utterance_statistics`, fitted on the same draws as the networks and on the
same normalised input. It needs no validation part: with --validation=draw it learns from all of the draw.

With source corpora their training parts, normalised in the same way, are learned from together with the draw. Every
emotion weighs the same within the draw, and within each source; all sources together weigh SOURCES_WEIGHT of the draw.
"""

import time
from collections.abc import Collection, Sequence

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metaser_jax.adaptation.draw import draw
from metaser_jax.data.target import Target
from metaser_jax.data.utterance_statistics import utterance_statistics
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import Amount, Outcome, outcome
from metaser_jax.specs import FinetuneSpec, FrontEnd

SVM = "svm"
# Chosen on the validation part of URDU (random split) and on EMO-DB and RAVDESS as targets (three folds by speaker), at
# 5 and 10 shots: experiments/README.md. C from 3 to 30, linear kernels and a search inside each draw are within .01.
KERNEL, C = "rbf", 10.0
GAMMA = 0.5  # divided by the number of features
# With all clips alike, those of other languages drown the few of this one, and cost .1 of macro F1.
SOURCES_WEIGHT = 0.1
# The fields of FinetuneConfig that say something about it; the others are about networks.
APPLIES = {
    *("data_dir", "init", "target", "out", "split", "split_seed", "folds", "shots", "fraction", "seeds", "sources"),
    *("emotions", "normalise", "normalise_by", "trim_db", "deltas"),
}


def make_svm(features: int) -> Pipeline:
    """Return the machine, not fitted yet.

    Its input is [n, features], utterance_statistics, 140 of 20 MFCC and 280 with their changes.
    """
    return Pipeline([("scale", StandardScaler()), ("svc", SVC(kernel=KERNEL, C=C, gamma=GAMMA / features))])


def adapt_svm(
    spec: FinetuneSpec,
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    seeds: int,
    sources: Sequence[Target] = (),
) -> list[Outcome]:
    """Fit a machine for every fold, amount and seed (0 .. seeds - 1), and predict the fold's test part.

    Args:
      spec: what is about networks is not looked at.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw.
      seeds: how many draws of each.
      sources: corpora whose training parts join the draw, not normalised yet.

    Returns:
      Outcomes in the order fold, amount, seed.

    Raises:
      InputError: no fold or amount; a draw that the training part does not allow, before the first is fitted; a source
        that is the target or has other emotions.
    """
    for what, got in (("folds", folds), ("amounts", amounts)):
        if not got:
            raise InputError(f"{what}: got none, expected at least one.")
    for source in sources:
        if source.corpus.name == folds[0].corpus.name:
            raise InputError(f"--sources: got {source.corpus.name}, which is the target. Give corpora that are not.")
        if source.corpus.emotions != folds[0].corpus.emotions:
            raise InputError(
                f"--sources: got {source.corpus.name} with {', '.join(source.corpus.emotions)}, expected the target's "
                f"{', '.join(folds[0].corpus.emotions)}. Load both with the same emotions."
            )
    cases = [
        (index, ready, amount, seed, draw(ready, amount, "none", seed)[0])
        for index, ready in enumerate(folds)
        for amount in amounts
        for seed in range(seeds)
    ]
    # Only the statistics of a training part, or of a draw, depend on the fold.
    by_draw = spec.of_split and spec.normalise_by == "drawn"
    features = [_features(ready, spec.front_end) for ready in (folds if spec.of_split else folds[:1])]
    joined = [_training_part(source, spec.front_end) for source in sources]
    source = {"method": SVM, "order": None, "sources": [s.corpus.name for s in sources], "inner_steps": None}
    nothing = {"adapt": None, "validation": None, "best_epoch": None, "epochs": None}
    outcomes = []
    for index, ready, amount, seed, drawn in cases:
        start = time.perf_counter()
        x = _features(ready, spec.front_end, drawn) if by_draw else features[min(index, len(features) - 1)]
        machine = fit_svm(x[drawn], ready.corpus.label[drawn], joined)
        predicted = machine.predict(x[ready.split.test])
        more = nothing | {"seconds": time.perf_counter() - start}
        outcomes.append(outcome(spec, ready, source, amount, seed, (drawn, drawn[:0]), predicted, **more))
    return outcomes


def fit_svm(x: np.ndarray, y: np.ndarray, sources: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> Pipeline:
    """Return the machine, fitted.

    Args:
      x: [n, feature], the target's drawn utterances. y: [n] int.
      sources: (x, y) of each, as many features.
    """
    weight = [_balanced(y)]
    for _, other in sources:
        weight.append(_balanced(other) * SOURCES_WEIGHT * len(y) / (len(other) * len(sources)))
    xs, ys = [x, *(s for s, _ in sources)], [y, *(s for _, s in sources)]
    weights = np.concatenate(weight)
    return make_svm(x.shape[1]).fit(
        np.concatenate(xs), np.concatenate(ys), scale__sample_weight=weights, svc__sample_weight=weights
    )


def load_sources(
    names: Sequence[str], data_dir: str, emotions: tuple[str, ...], load: Load = load_corpus
) -> tuple[Target, ...]:
    """Load corpora to learn from, split as for pre-training (random, seed 0); raises InputError as load_targets."""
    return tuple(one for name in names for one in load_targets(name, data_dir, emotions=emotions, load=load))


def check_applies(given: Collection[str]) -> None:
    """Raise an InputError if a flag that was given is about networks."""
    useless = sorted(set(given) - APPLIES)
    if useless:
        raise InputError(
            f"--init={SVM}: got --{', --'.join(useless)}, which a support vector machine has no use for. Leave "
            "out what is about networks and their training."
        )


def _features(ready: Target, front_end: FrontEnd, fit: np.ndarray | None = None) -> np.ndarray:
    corpus = ready.as_input(front_end, fit).corpus
    return utterance_statistics(corpus.mfcc, corpus.n_frames)


def _training_part(ready: Target, front_end: FrontEnd) -> tuple[np.ndarray, np.ndarray]:
    train = ready.split.train
    return _features(ready, front_end)[train], ready.corpus.label[train]


def _balanced(y: np.ndarray) -> np.ndarray:
    """Return the weight of each utterance, [n], 1 on average: every class weighs the same."""
    _, of, counts = np.unique(y, return_inverse=True, return_counts=True)
    return len(y) / (len(counts) * counts[of])
