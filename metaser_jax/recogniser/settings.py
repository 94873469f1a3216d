"""Write a ModelSpec as JSON, and read it back."""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from metaser_jax.errors import InputError
from metaser_jax.recogniser.arrays import check_names
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.voice import GROUPS

# Settings that version 1 had not: what it always was.
SINCE_2 = MappingProxyType({"features": "mfcc", "track_groups": list(GROUPS), "network": "lstm", "members": 1})
# What a model folder may be given of a recording.
FEATURES = ("mfcc", "voice")


def settings_json(settings: ModelSpec) -> dict[str, Any]:
    """Return the settings as in model.json."""
    values = dataclasses.asdict(settings)
    lists = {"emotions": list(settings.emotions), "track_groups": list(settings.track_groups)}
    return values | lists | {"trim_db": float(settings.trim_db)}


def digested(settings: ModelSpec) -> dict[str, Any]:
    """Return what of settings_json a digest is of: of a model over MFCC as in version 1, whose digests stay."""
    values = settings_json(settings)
    return {name: value for name, value in values.items() if settings.features != "mfcc" or name not in SINCE_2}


def check_settings(said: Mapping[str, Any], version: int) -> ModelSpec:
    """Return `settings_json` undone.

    Args:
      said: the settings.
      version: of the format that they are in, 1 or 2.

    Raises ValueError or TypeError: keys, types or values that a model does not have.
    """
    names = dict.fromkeys(field.name for field in dataclasses.fields(ModelSpec))
    check_names(said, {name: None for name in names if version > 1 or name not in SINCE_2})
    if version == 1:
        said = {**said, **SINCE_2}
    emotions, groups = said["emotions"], said["track_groups"]
    if not (
        isinstance(emotions, list)
        and len(emotions) >= 2
        and all(isinstance(emotion, str) and emotion for emotion in emotions)
        and len(set(emotions)) == len(emotions)
    ):
        raise ValueError(f"emotions are {emotions!r}, expected two or more different names")
    if not (isinstance(groups, list) and all(isinstance(group, str) for group in groups)):
        raise ValueError(f"track_groups are {groups!r}, expected a list of names")
    if said["features"] not in FEATURES:
        raise ValueError(f"features are {said['features']!r}, expected one of: {', '.join(FEATURES)}")
    for name, kind in (("hidden_dim", int), ("members", int), ("deltas", bool), ("input_statistics", bool)):
        if type(said[name]) is not kind:
            raise ValueError(f"{name} is {said[name]!r}, expected {kind.__name__}")
    if type(said["trim_db"]) not in (int, float):
        raise ValueError(f"trim_db is {said['trim_db']!r}, expected 0 or a positive number")
    if said["normalise"] == "auto":
        raise ValueError("normalise is 'auto', expected what it was resolved to")
    try:
        tuples = {"emotions": tuple(emotions), "track_groups": tuple(groups)}
        return ModelSpec(**{**said, **tuples, "trim_db": float(said["trim_db"])})
    except InputError as error:
        raise ValueError(str(error).removeprefix("--")) from error


def check_temperature(temperature: Any) -> None:
    """Raise ValueError or TypeError unless it is one."""
    if isinstance(temperature, bool) or not 0 < float(temperature) < math.inf:
        raise ValueError(f"temperature is {temperature!r}, expected a positive number")


def check_learner(said: Any) -> Mapping[str, Any] | None:
    """Return Start.learner as model.json has it. Raises ValueError or TypeError: no such algorithm, or no numbers."""
    if said is None:
        return None
    check_names(said, dict.fromkeys(("settings", "numbers")))
    for name, number in said["numbers"].items():
        numbers = number if isinstance(number, list) else [number]
        if not numbers or any(type(one) not in (int, float) or not math.isfinite(one) for one in numbers):
            raise ValueError(f"start.learner has {name} = {number!r}, expected finite numbers")
    algorithm = said["settings"].get("algorithm")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ValueError(f"start.learner has algorithm {algorithm!r}, expected one of {', '.join(ALGORITHMS)}")
    return said
