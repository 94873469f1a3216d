"""What an adapted model is made of. `files.py` writes it to a folder and reads it again."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.data.normalise import Scale
from metaser_jax.specs import ModelSpec
from metaser_jax.types import Params


class Start(NamedTuple):
    """Where an adaptation starts, so that it can be done again with other clips.

    Attributes:
      params: of the network.
      rates: the inner rate of each parameter, where they were learned with them (Meta-SGD); else None.
      learner: how the start was meta-trained to adapt, JSON-able: `settings` of the algorithm, and what it has learned
        besides parameters and rates, `numbers` by name; None where it was not.
    """

    params: Params
    rates: Params | None
    learner: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Support:
    """The labelled clips of an adaptation: features, no sound. All have n entries along their first axis.

    Attributes:
      mfcc: [n, 120, 20] float32, zero after the real frames. n_frames: [n] int32, 1 to 120. Copies are found by them.
      label: [n] int32, index into the model's emotions.
      speaker: [n] str, corpus.UNKNOWN_SPEAKER where it is not known.
      file: [n] str, unique. sha256: [n] str, hexadecimal, of the file's bytes. seconds: [n] float32, of the recording.
      voice: [n, 171] float32, statistics of the whole clip's voice; None of a model over MFCC, which has no use for it.
    """

    mfcc: np.ndarray
    n_frames: np.ndarray
    label: np.ndarray
    speaker: np.ndarray
    file: np.ndarray
    sha256: np.ndarray
    seconds: np.ndarray
    voice: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: np.ndarray) -> "Support":
        """Return the clips at `index`, [m] integers or [n] booleans, in that order."""
        return Support(**{name: array[index] for name, array in self.arrays().items()})

    def with_others(self, others: "Support") -> "Support":
        """Return these clips, and others after them, which have the same arrays."""
        more = others.arrays()
        return Support(**{name: np.concatenate([array, more[name]]) for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return those that are there, by name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: array for name, array in fields.items() if array is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """An adapted model.

    Attributes:
      settings: the network and its input; normalise is not "auto".
      params: of the network, NumPy arrays.
      scale: mean, std [coef] float64 that features are normalised by; normalise "speaker" takes it for voices that it
        has too little of, or, of a model over the voice, shrinks each voice's mean to it. None where normalise is
        "none" or "utterance".
      temperature: logits are divided by it before the softmax, so that probabilities are calibrated; 1 changes nothing.
      start: None where it is not known; then it can only be adapted further, from params.
      support: the clips that it was adapted with, None where they were left out.
      about: provenance, JSON-able; README of docs/model_folder.md says what it holds.
    """

    settings: ModelSpec
    params: Params
    scale: Scale | None
    temperature: float
    start: Start | None
    support: Support | None
    about: dict[str, Any]


def trained_settings(model: Model) -> ModelSpec:
    """Return the settings that an adaptation starts with: normalise as the start was trained, which may be "auto".

    What "auto" became is of the clips that the model was adapted to, and says nothing of others.
    """
    normalise = (model.about.get("init") or {}).get("normalise") or model.settings.normalise
    return dataclasses.replace(model.settings, normalise=normalise)


def is_start(model: Model) -> bool:
    """Return whether a model was adapted to no clips: it has learned from its sources alone."""
    return bool(model.about.get("init")) and not model.about.get("adaptation") and model.support is None
