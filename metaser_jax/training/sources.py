"""The source corpora of a run, and what says which run it is."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from metaser_jax.config import HOW, MetaTrainConfig, PretrainConfig
from metaser_jax.datasets.ready import Ready, load_ready

# What a run may be continued with in another way: where things are, and how, not what, is computed.
FREE = ("data_dir", "run_dir", *HOW)


def load(config: MetaTrainConfig | PretrainConfig) -> list[Ready]:
    """Loads the source corpora, each with its random split.

    Raises:
      InputError: a corpus that is not prepared, or too small for a split.
    """
    return [
        load_ready(
            name,
            config.data_dir,
            emotions=config.emotions,
            split_kind="random",
            split_seed=config.split_seed,
            how=config.input,
        )
        for name in config.sources
    ]


def training_utterances(sources: Sequence[Ready]) -> np.ndarray:
    """[n, time, coef], the training parts of all sources: what initial parameters may look at."""
    return np.concatenate([r.corpus.mfcc[r.split.train] for r in sources])


def identity(config: MetaTrainConfig | PretrainConfig, method: str, sources: Sequence[Ready]) -> dict[str, Any]:
    """What config.json holds: the configuration, the method, and digests of what it learns from."""
    return dataclasses.asdict(config) | {
        "method": method,
        "corpus_digests": {name: r.raw_digest for name, r in zip(config.sources, sources, strict=True)},
        "split_digests": {name: r.split.digest for name, r in zip(config.sources, sources, strict=True)},
    }
