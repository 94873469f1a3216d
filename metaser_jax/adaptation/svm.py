"""The baseline that a practitioner would pick: a support vector machine on statistics of an utterance's MFCC.

StandardScaler, then SVC (scikit-learn) on `utterance_statistics`, fitted on the same draws as the networks and on the
same normalised input. It needs no validation part: with --validation=draw it learns from all of the draw.

With source corpora their training parts, normalised in the same way, are learned from together with the draw. Every
emotion weighs the same within the draw, and within each source; all sources together weigh SOURCES_WEIGHT of the draw.
"""

import dataclasses
import time
from collections.abc import Collection, Sequence

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from metaser_jax.adaptation.draw import draw_amount
from metaser_jax.config import FinetuneConfig
from metaser_jax.data.inputs import Input
from metaser_jax.data.utterance_statistics import utterance_statistics
from metaser_jax.datasets.ready import Ready, load_splits
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import Amount, Outcome, outcome

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
    """Not fitted yet; its input is [n, features], utterance_statistics, 140 of 20 MFCC and 280 with their changes."""
    return Pipeline([("scale", StandardScaler()), ("svc", SVC(kernel=KERNEL, C=C, gamma=GAMMA / features))])


def adapt_svm(
    config: FinetuneConfig, folds: Sequence[Ready], amounts: Sequence[Amount], sources: Sequence[Ready] = ()
) -> list[Outcome]:
    """Fits a machine for every fold, amount and seed (0 .. config.seeds - 1), and predicts the fold's test part.

    Args:
      config: its shots, fraction and what is about networks are not looked at.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw.
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
        if source.corpus.name == config.target:
            raise InputError(f"--sources: got {config.target}, which is the target. Give corpora that are not.")
        if source.corpus.emotions != folds[0].corpus.emotions:
            raise InputError(
                f"--sources: got {source.corpus.name} with {', '.join(source.corpus.emotions)}, expected the target's "
                f"{', '.join(folds[0].corpus.emotions)}. Load both with the same emotions."
            )
    whole = dataclasses.replace(config, validation="none")
    cases = [
        (index, ready, amount, seed, draw_amount(whole, ready, amount, seed)[0])
        for index, ready in enumerate(folds)
        for amount in amounts
        for seed in range(config.seeds)
    ]
    # Only the statistics of a training part, or of a draw, depend on the fold.
    by_draw = config.input.of_split and config.normalise_by == "drawn"
    features = [_features(ready, config.input) for ready in (folds if config.input.of_split else folds[:1])]
    joined = [_training_part(source, config.input) for source in sources]
    source = {"method": SVM, "order": None, "sources": [s.corpus.name for s in sources], "inner_steps": None}
    nothing = {"adapt": None, "validation": None, "best_epoch": None, "epochs": None}
    outcomes = []
    for index, ready, amount, seed, drawn in cases:
        start = time.perf_counter()
        x = _features(ready, config.input, drawn) if by_draw else features[min(index, len(features) - 1)]
        machine = fit_svm(x[drawn], ready.corpus.label[drawn], joined)
        predicted = machine.predict(x[ready.split.test])
        more = nothing | {"seconds": time.perf_counter() - start}
        outcomes.append(outcome(config, ready, source, amount, seed, (drawn, drawn[:0]), predicted, **more))
    return outcomes


def fit_svm(x: np.ndarray, y: np.ndarray, sources: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> Pipeline:
    """The machine, fitted.

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


def load_sources(config: FinetuneConfig) -> tuple[Ready, ...]:
    """The corpora of --sources, split as for pre-training (random, seed 0); raises InputError as load_splits."""
    return tuple(
        ready
        for name in config.sources
        for ready in load_splits(name, config.data_dir, emotions=config.emotions, split_kind="random", split_seed=0)
    )


def check_applies(given: Collection[str]) -> None:
    """Raises an InputError if a flag that was given is about networks."""
    useless = sorted(set(given) - APPLIES)
    if useless:
        raise InputError(
            f"--init={SVM}: got --{', --'.join(useless)}, which a support vector machine has no use for. Leave "
            "out what is about networks and their training."
        )


def _features(ready: Ready, how: Input, fit: np.ndarray | None = None) -> np.ndarray:
    corpus = ready.as_input(how, fit).corpus
    return utterance_statistics(corpus.mfcc, corpus.n_frames)


def _training_part(ready: Ready, how: Input) -> tuple[np.ndarray, np.ndarray]:
    train = ready.split.train
    return _features(ready, how)[train], ready.corpus.label[train]


def _balanced(y: np.ndarray) -> np.ndarray:
    """[n], 1 on average: every class weighs the same."""
    _, of, counts = np.unique(y, return_inverse=True, return_counts=True)
    return len(y) / (len(counts) * counts[of])
