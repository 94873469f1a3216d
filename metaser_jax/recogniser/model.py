"""An adapted model and its parts. `folder.py` writes it to a folder and reads it again."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from metaser_jax.audio.encoder import Encoder
from metaser_jax.data.corpus import Corpus
from metaser_jax.data.inputs import Scale
from metaser_jax.data.together import Labelled, Shape
from metaser_jax.specs import ModelSpec
from metaser_jax.types import Params


class Start(NamedTuple):
    """The start of an adaptation, so that it can be done again with other clips.

    Attributes:
      params: of the network.
      rates: the inner rate of each parameter, where they were learned with them (Meta-SGD); else None.
      learner: how the start was meta-trained to adapt, JSON-able: `settings` of the algorithm, and what it has learned
        besides parameters and rates, `numbers` by name; None where it was not.
    """

    params: Params
    rates: Params | None
    learner: Mapping[str, Any] | None = None


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
      support: the clips that it was adapted with, with their sha256; features, no sound. None where they were left out.
      about: provenance, JSON-able; docs/model_folder.md says what it holds.
      shape: what the sources say of the input, for clips that are labelled together; None: not known.
      labelled: what the clips that it was adapted to count for there, in the input's space; None: there are none.
      encoder: the speech encoder that it hears with; None unless features is "encoder".
    """

    settings: ModelSpec
    params: Params
    scale: Scale | None
    temperature: float
    start: Start | None
    support: Corpus | None
    about: dict[str, Any]
    shape: Shape | None = None
    labelled: Labelled | None = None
    encoder: Encoder | None = None


def trained_settings(model: Model) -> ModelSpec:
    """Return the settings that an adaptation starts with: normalise as the start was trained, which may be "auto".

    What "auto" became is of the clips that the model was adapted to, and says nothing of others.
    """
    normalise = (model.about.get("init") or {}).get("normalise") or model.settings.normalise
    return dataclasses.replace(model.settings, normalise=normalise)
