"""A model's arrays by name, as in arrays.npz and support.npz: names, dtypes and shapes follow from the settings."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from metaser_jax.audio.mfcc import MAX_FRAMES
from metaser_jax.data import together
from metaser_jax.data.inputs import Scale
from metaser_jax.data.together import Labelled
from metaser_jax.models.classifier import make_network
from metaser_jax.npz import Spec
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import STATISTICS
from metaser_jax.types import N_MFCC

POSITIVE = ("scale/std",)
"""Arrays that are divided by."""

_FLOAT, _DOUBLE, _INTEGER = np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i4")


def specs(settings: ModelSpec, facts: Mapping[str, Any]) -> dict[str, Spec]:
    """Return what arrays.npz holds: params/*, scale/*, and where there are some start/*, rates/*, shape/*, labelled/*.

    Args: facts: as in model.json; of `start`, which is that or None, rates and same; together, labelled.
    """
    start = facts.get("start")
    x = jax.ShapeDtypeStruct((1, settings.rows, settings.coefs), np.float32)
    params: Any = jax.eval_shape(lambda x: make_network(settings).init(jax.random.key(0), x), x)
    has = {
        "start": start is not None and start.get("same") is not True,
        "rates": bool(start and start["rates"] is True),
    }
    prefixes = ["params", *(name for name, there in has.items() if there)]
    leaves: dict[str, Any] = flatten_dict(dict.fromkeys(prefixes, params["params"]), sep="/")
    found = {name: Spec(_FLOAT, leaf.shape) for name, leaf in leaves.items()}
    if settings.normalise in ("corpus", "speaker"):
        found |= {f"scale/{name}": Spec(_DOUBLE, (settings.coefs,)) for name in Scale._fields}
    each = len(settings.emotions), settings.coefs
    if facts.get("together") is True:
        found |= {f"shape/{name}": spec for name, spec in together.specs(*each).items()}
    if facts.get("labelled") is True:
        found |= {"labelled/count": Spec(_DOUBLE, each[:1]), "labelled/total": Spec(_DOUBLE, each)}
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
    if model.shape is not None:
        trees["shape"] = together.pack(model.shape)
    if model.labelled is not None:
        trees["labelled"] = model.labelled._asdict()
    if model.start is not None:
        if not starts_as_it_is(model):
            trees["start"] = model.start.params["params"]
        if model.start.rates is not None:
            trees["rates"] = model.start.rates["params"]
    return {name: np.asarray(array) for name, array in flatten_dict(trees, sep="/").items()}


def starts_as_it_is(model: Model) -> bool:
    """Return whether a model's parameters are those of its start, which then are stored once."""
    if model.start is None:
        return False
    own, start = (dict[Any, Any](flatten_dict(params["params"])) for params in (model.params, model.start.params))
    return own.keys() == start.keys() and all(np.array_equal(own[name], start[name]) for name in own)


def unpack(arrays: Mapping[str, np.ndarray], start: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return `pack` undone: params, scale, start, shape and labelled of a Model.

    Args: start: as in model.json.
    """
    trees = unflatten_dict(dict(arrays), sep="/")
    found: dict[str, Any] = {"params": {"params": trees["params"]}, "start": None}
    if start is not None:
        rates = {"params": trees["rates"]} if "rates" in trees else None
        own = trees["params"] if start.get("same") is True else trees["start"]
        found["start"] = Start({"params": own}, rates, start.get("learner"))
    for name, make in (("scale", Scale), ("labelled", Labelled)):
        found[name] = make(**trees[name]) if name in trees else None
    return found | {"shape": together.unpack(trees["shape"]) if "shape" in trees else None}
