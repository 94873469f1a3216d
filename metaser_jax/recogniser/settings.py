"""Settings as JSON, and what of JSON is settings."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from metaser_jax.errors import check_choice
from metaser_jax.models.classifier import ACTIVATIONS, POOLINGS
from metaser_jax.recogniser.arrays import check_names
from metaser_jax.recogniser.model import NORMALISATIONS, Settings


def settings_json(settings: Settings) -> dict[str, Any]:
    """The settings as in model.json."""
    values = dataclasses.asdict(settings)
    return values | {"emotions": list(settings.emotions), "trim_db": float(settings.trim_db)}


def check_settings(said: Mapping[str, Any]) -> Settings:
    """`settings_json` undone. Raises ValueError or TypeError: keys, types or values that a model does not have."""
    check_names(said, {field.name: None for field in dataclasses.fields(Settings)})
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
    if said["hidden_dim"] < 1:
        raise ValueError(f"hidden_dim is {said['hidden_dim']}, expected 1 or more")
    if type(said["trim_db"]) not in (int, float) or not 0 <= said["trim_db"] < math.inf:
        raise ValueError(f"trim_db is {said['trim_db']!r}, expected 0 or a positive number")
    for name, valid in (("pooling", POOLINGS), ("activation", ACTIVATIONS), ("normalise", NORMALISATIONS)):
        check_choice(name, said[name], valid)
    return Settings(**{**said, "emotions": tuple(emotions), "trim_db": float(said["trim_db"])})


def check_temperature(temperature: Any) -> None:
    """Raises ValueError or TypeError unless it is one."""
    if isinstance(temperature, bool) or not 0 < float(temperature) < math.inf:
        raise ValueError(f"temperature is {temperature!r}, expected a positive number")
