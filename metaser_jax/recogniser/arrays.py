"""A model's arrays by name, as in arrays.npz and support.npz: names, dtypes and shapes follow from the settings."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from metaser_jax.audio.mfcc import MAX_FRAMES
from metaser_jax.data.inputs import Scale
from metaser_jax.models.classifier import make_network
from metaser_jax.npz import Spec
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import STATISTICS
from metaser_jax.types import N_MFCC, Params

POSITIVE = ("scale/std",)
"""Arrays that are divided by."""

_FLOAT, _DOUBLE, _INTEGER = np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i4")


def specs(settings: ModelSpec, start: Mapping[str, Any] | None) -> dict[str, Spec]:
    """Return what arrays.npz holds: params/*, scale/*, and where there are some start/* and rates/*.

    Args: start: as in model.json, {"rates": bool}; None where it is not known.
    """
    x = jax.ShapeDtypeStruct((1, settings.rows, settings.coefs), np.float32)
    params: Any = jax.eval_shape(lambda x: make_network(settings).init(jax.random.key(0), x), x)
    prefixes = ["params"] + ([] if start is None else ["start", "rates"] if start["rates"] is True else ["start"])
    leaves: dict[str, Any] = flatten_dict(dict.fromkeys(prefixes, params["params"]), sep="/")
    found = {name: Spec(_FLOAT, leaf.shape) for name, leaf in leaves.items()}
    if settings.normalise in ("corpus", "speaker"):
        found |= {f"scale/{name}": Spec(_DOUBLE, (settings.coefs,)) for name in Scale._fields}
    return found


def support_specs(settings: ModelSpec, clips: int) -> dict[str, Spec]:
    """Return what support.npz holds."""
    found = {"mfcc": Spec(_FLOAT, (clips, MAX_FRAMES, N_MFCC)), "seconds": Spec(_FLOAT, (clips,))}
    found |= dict.fromkeys(("n_frames", "label"), Spec(_INTEGER, (clips,)))
    found |= dict.fromkeys(("speaker", "file", "sha256"), Spec(None, (clips,)))
    if settings.of_voice:
        found["voice"] = Spec(_FLOAT, (clips, len(STATISTICS)))
    return found | ({"vectors": Spec(_FLOAT, (clips, *settings.vectors))} if settings.vectors[0] else {})


def pack(model: Model) -> dict[str, np.ndarray]:
    """Return the content of arrays.npz."""
    trees: dict[str, Any] = {"params": model.params["params"]}
    if model.scale is not None:
        trees["scale"] = model.scale._asdict()
    if model.start is not None:
        trees["start"] = model.start.params["params"]
        if model.start.rates is not None:
            trees["rates"] = model.start.rates["params"]
    return {name: np.asarray(array) for name, array in flatten_dict(trees, sep="/").items()}


def unpack(
    arrays: Mapping[str, np.ndarray], learner: Mapping[str, Any] | None = None
) -> tuple[Params, Scale | None, Start | None]:
    """Return `pack` undone: parameters, scale, start, which has this learner."""
    trees = unflatten_dict(dict(arrays), sep="/")
    scale = Scale(**trees["scale"]) if "scale" in trees else None
    rates = {"params": trees["rates"]} if "rates" in trees else None
    start = Start({"params": trees["start"]}, rates, learner) if "start" in trees else None
    return {"params": trees["params"]}, scale, start
