"""Classifiers without a network, fitted on the same draws and the same normalised input as the networks.

They need no validation part: with --validation=draw they learn from all of the draw. With source corpora their training
parts, normalised in the same way, are learned from together with the draw; with no shots, these alone.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from metaser_jax.adaptation.draw import draw
from metaser_jax.data.inputs import utterance_statistics
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.results.environment import processor
from metaser_jax.results.outcomes import Amount, Outcome, outcome
from metaser_jax.specs import FinetuneSpec, FrontEnd

# The fields of FinetuneConfig that say something about them; the others are about networks.
APPLIES = {
    *("data_dir", "init", "target", "out", "split", "split_seed", "folds", "shots", "fraction", "seeds", "sources"),
    *("emotions", "normalise", "normalise_by", "trim_db", "deltas", "features", "track_groups"),
}

Labelled = tuple[np.ndarray, np.ndarray]
"""x [n, feature], y [n] int."""

Fit = Callable[[np.ndarray, np.ndarray, Sequence[Labelled]], Any]
"""(x, y of the draw, (x, y) of each source) -> what has a method predict, as scikit-learn's have."""

Features = Callable[[Target, FrontEnd, np.ndarray | None], np.ndarray]
"""(target, front end, utterances whose statistics count, by default the training part) -> x [n, feature]."""


def features_of(ready: Target, front_end: FrontEnd, fit: np.ndarray | None = None) -> np.ndarray:
    """Return the statistics that are heard of a voice, else utterance_statistics of the frames, [n, feature]."""
    if front_end.features == "both":
        front_end = dataclasses.replace(front_end, features="voice")
    corpus = ready.as_input(front_end, fit).corpus
    return corpus.mfcc[:, 0] if front_end.features == "voice" else utterance_statistics(corpus.mfcc, corpus.n_frames)


def adapt_classifier(
    method: str,
    fit: Fit,
    spec: FinetuneSpec,
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    seeds: int,
    sources: Sequence[Target] = (),
    *,
    features: Features = features_of,
) -> list[Outcome]:
    """Fit a classifier for every fold, amount and seed (0 .. seeds - 1), and predict the fold's test part.

    Args:
      method: what rows call it.
      fit: makes the classifier.
      spec: what is about networks is not looked at.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw.
      seeds: how many draws of each.
      sources: corpora whose training parts join the draw, not normalised yet.
      features: what is heard.

    Returns:
      Outcomes in the order fold, amount, seed.

    Raises:
      InputError: no fold or amount; no shots and no sources; a draw that the training part does not allow, before the
        first is fitted; a source that is the target or has other emotions.
    """
    for what, got in (("folds", folds), ("amounts", amounts)):
        if not got:
            raise InputError(f"{what}: got none, expected at least one.")
    if not sources and any(amount.value == 0 for amount in amounts):
        raise InputError(f"--shots=0: {method} has nothing to learn from. Give --sources, or shots.")
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
    seen = [features(ready, spec.front_end, None) for ready in (folds if spec.of_split else folds[:1])]
    joined = [_training_part(source, spec.front_end, features) for source in sources]
    source = {"method": method, "order": None, "sources": [s.corpus.name for s in sources], "inner_steps": None}
    # What somebody needs who has the clips alone.
    source["start_size"] = sum(x.size for x, _ in joined)
    nothing = {"adapt": None, "validation": None, "best_epoch": None, "epochs": None}
    # Without shots every draw is the same.
    unadapted = functools.cache(lambda: fit(seen[0][:0], folds[0].corpus.label[:0], joined))
    outcomes = []
    # So small products are slower by several threads, and much so where others work, too.
    with threadpool_limits(1):
        for index, ready, amount, seed, drawn in cases:
            start = time.perf_counter()
            x = features(ready, spec.front_end, drawn) if by_draw else seen[min(index, len(seen) - 1)]
            fitted = fit(x[drawn], ready.corpus.label[drawn], joined) if len(drawn) else unadapted()
            predicted = fitted.predict(x[ready.split.test])
            more = nothing | {"seconds": time.perf_counter() - start, "device": f"1 x cpu ({processor()})"}
            outcomes.append(outcome(spec, ready, source, amount, seed, (drawn, drawn[:0]), predicted, **more))
    return outcomes


def balanced(y: np.ndarray) -> np.ndarray:
    """Return the weight of each utterance, [n], 1 on average: every class of y [n] weighs the same."""
    _, of, counts = np.unique(y, return_inverse=True, return_counts=True)
    return len(y) / (len(counts) * counts[of])


def together(x: np.ndarray, y: np.ndarray, sources: Sequence[Labelled]) -> Labelled:
    """Return the draw and the sources as one set, in that order."""
    return np.concatenate([x, *(s for s, _ in sources)]), np.concatenate([y, *(s for _, s in sources)])


def load_sources(
    names: Sequence[str], data_dir: str, emotions: tuple[str, ...], load: Load = load_corpus
) -> tuple[Target, ...]:
    """Load corpora to learn from, all of each, since nothing is scored on it; raises InputError as load_targets."""
    found = []
    for name in names:
        (one,) = load_targets(name, data_dir, emotions=emotions, load=load)
        found.append(one._replace(split=dataclasses.replace(one.split, train=np.arange(len(one.corpus)))))
    return tuple(found)


def check_applies(init: str, name: str, given: Collection[str]) -> None:
    """Raise an InputError if a flag that was given is about networks; init and name: what --init and people call it."""
    useless = sorted(set(given) - APPLIES)
    if useless:
        raise InputError(
            f"--init={init}: got --{', --'.join(useless)}, which {name} has no use for. Leave out what is about "
            "networks and their training."
        )


def _training_part(ready: Target, front_end: FrontEnd, features: Features) -> Labelled:
    train = ready.split.train
    return features(ready, front_end, None)[train], ready.corpus.label[train]
