"""Write a ModelSpec as JSON, and read it back."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from metaser_jax.errors import InputError
from metaser_jax.recogniser.arrays import check_names
from metaser_jax.specs import ModelSpec


def settings_json(settings: ModelSpec) -> dict[str, Any]:
    """Return the settings as in model.json."""
    values = dataclasses.asdict(settings)
    return values | {"emotions": list(settings.emotions), "trim_db": float(settings.trim_db)}


def check_settings(said: Mapping[str, Any]) -> ModelSpec:
    """Return `settings_json` undone.

    Raises ValueError or TypeError: keys, types or values that a model does not have.
    """
    check_names(said, {field.name: None for field in dataclasses.fields(ModelSpec)})
    emotions = said["emotions"]
    if not (
        isinstance(emotions, list)
        and len(emotions) >= 2
        and all(isinstance(emotion, str) and emotion for emotion in emotions)
        and len(set(emotions)) == len(emotions)
    ):
        raise ValueError(f"emotions are {emotions!r}, expected two or more different names")
    for name, kind in (("hidden_dim", int), ("deltas", bool), ("input_statistics", bool)):
        if type(said[name]) is not kind:
            raise ValueError(f"{name} is {said[name]!r}, expected {kind.__name__}")
    if type(said["trim_db"]) not in (int, float):
        raise ValueError(f"trim_db is {said['trim_db']!r}, expected 0 or a positive number")
    if said["normalise"] == "auto":
        raise ValueError("normalise is 'auto', expected what it was resolved to")
    try:
        return ModelSpec(**{**said, "emotions": tuple(emotions), "trim_db": float(said["trim_db"])})
    except InputError as error:
        raise ValueError(str(error).removeprefix("--")) from error


def check_temperature(temperature: Any) -> None:
    """Raise ValueError or TypeError unless it is one."""
    if isinstance(temperature, bool) or not 0 < float(temperature) < math.inf:
        raise ValueError(f"temperature is {temperature!r}, expected a positive number")
