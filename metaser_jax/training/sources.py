"""The source corpora of a run, and what says which run it is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaser_jax.data.splits import Parts
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets, load_together
from metaser_jax.specs import JobSpec, MetaTrainSpec, PretrainSpec, how_fields
from metaser_jax.specs.training import SourcesSpec

# What a run may be continued with in another way: where things are, and how, not what, is computed. Where a run's start
# is may change; what it is has a digest.
FREE = ("data_dir", "run_dir", "init", *how_fields(MetaTrainSpec), *how_fields(PretrainSpec), *how_fields(JobSpec))


def load_sources(spec: SourcesSpec, data_dir: str, load: Load = load_corpus) -> list[Target]:
    """Load the source corpora, each with its random split and as the network is given it.

    With spec.learn_from "all" a test part joins the training part.

    Raises:
      InputError: a corpus that is not prepared, lacks an emotion, or is too small for a split.
    """
    load = load_together(spec.sources, data_dir, spec.emotions, load)
    of_each = {"emotions": spec.emotions, "split_seed": spec.split_seed, "load": load}
    loaded = [target for name in spec.sources for target in load_targets(name, data_dir, **of_each)]
    if spec.learn_from == "all":
        loaded = [target._replace(split=_whole(target.split)) for target in loaded]
    return [target.as_input(spec.front_end) for target in loaded]


def _whole(split: Parts) -> Parts:
    train = np.sort(np.concatenate([split.train, split.test]))
    return dataclasses.replace(split, train=train, test=split.test[:0])


def training_utterances(sources: Sequence[Target]) -> np.ndarray:
    """Return [n, time, coef], the training parts of all sources: what initial parameters may look at."""
    return np.concatenate([source.corpus.mfcc[source.split.train] for source in sources])


def identity(
    settings: Mapping[str, Any], method: str, names: Sequence[str], sources: Sequence[Target]
) -> dict[str, Any]:
    """Return what config.json holds: the settings, the method, and digests of what the run learns from."""
    return dict(settings) | {
        "method": method,
        "corpus_digests": {name: source.digest for name, source in zip(names, sources, strict=True)},
        "split_digests": {name: source.split.digest for name, source in zip(names, sources, strict=True)},
    }
