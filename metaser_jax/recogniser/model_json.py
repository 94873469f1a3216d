"""The content of model.json: settings, how features are made, provenance; checked as it is read.

docs/model_folder.md explains it.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from metaser_jax.audio import mfcc, tracks
from metaser_jax.errors import InputError
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.voice import GROUPS, STATISTICS, TRACKS

# Settings that version 1 had not: what it always was.
SINCE_2 = MappingProxyType({"features": "mfcc", "track_groups": list(GROUPS), "network": "lstm", "members": 1})
# What a model was trained on, for readers that make their own features: librosa's defaults, or statistics of tracks.
FEATURES: dict[str, dict[str, Any]] = {
    "mfcc": {
        "sample_rate": mfcc.SAMPLE_RATE,
        "hop_length": mfcc.HOP_LENGTH,
        "n_mfcc": mfcc.N_MFCC,
        "max_frames": mfcc.MAX_FRAMES,
        "n_fft": 2048,
        "n_mels": 128,
    },
    "voice": {
        "sample_rate": mfcc.SAMPLE_RATE,
        "hop_length": tracks.HOP,
        "window_length": tracks.WINDOW,
        "tracks": list(TRACKS),
        "statistics": list(STATISTICS),
    },
}


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

    Raises:
      ValueError, TypeError or AttributeError: keys, types or values that a model does not have.
    """
    fields = {field.name: type(field.default) for field in dataclasses.fields(ModelSpec)}
    check_names(said, [name for name in fields if version > 1 or name not in SINCE_2])
    if version == 1:
        said = {**said, **SINCE_2}
    values = {}
    for name, kind in fields.items():
        value = said[name]
        if kind is tuple and isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            values[name] = tuple(value)
        elif kind is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is kind and kind is not tuple:
            values[name] = value
        else:
            expected = "a list of names" if kind is tuple else kind.__name__
            raise ValueError(f"{name} is {value!r}, expected {expected}")
    if values["normalise"] == "auto":
        raise ValueError("normalise is 'auto', expected what it was resolved to")
    try:
        return ModelSpec(**values)
    except InputError as error:
        raise ValueError(str(error).removeprefix("--")) from error


def check_temperature(temperature: Any) -> float:
    """Return it. Raises ValueError or TypeError: it is none."""
    if isinstance(temperature, bool) or not 0 < float(temperature) < math.inf:
        raise ValueError(f"temperature is {temperature!r}, expected a positive number")
    return float(temperature)


def check_learner(said: Any) -> Mapping[str, Any] | None:
    """Return Start.learner as model.json has it. Raises ValueError or TypeError: no such algorithm, or no numbers."""
    if said is None:
        return None
    check_names(said, ("settings", "numbers"))
    for name, number in said["numbers"].items():
        numbers = number if isinstance(number, list) else [number]
        if not numbers or any(type(one) not in (int, float) or not math.isfinite(one) for one in numbers):
            raise ValueError(f"start.learner has {name} = {number!r}, expected finite numbers")
    algorithm = said["settings"].get("algorithm")
    if algorithm not in list(ALGORITHMS):
        raise ValueError(f"start.learner has algorithm {algorithm!r}, expected one of {', '.join(ALGORITHMS)}")
    return said


def check_names(got: Iterable[str], want: Iterable[str]) -> None:
    """Raise ValueError that names what lacks, or is too much."""
    got, want = set(got), set(want)
    for names, what in ((want - got, "lacks"), (got - want, "has, and should not have,")):
        if names:
            raise ValueError(f"it {what} {', '.join(sorted(names))}")


def _each(kind: type, *names: str) -> dict[str, Any]:
    return dict.fromkeys(names, kind)


# Of a mapping with any keys, the type of its values.
_ANY = "*"

ABOUT: dict[str, Any] = {
    **_each(str, "name", "language", "created", "licence"),
    "versions": {_ANY: str},
    "init": {
        **_each(str, "method", "algorithm", "order", "model", "normalise"),
        **_each(int, "episodes", "inner_steps", "init_episode", "init_seed"),
        "sources": [_each(str, "name", "language", "licence", "digest")],
    },
    "support": {
        "n_per_emotion": {_ANY: int},
        **_each(int, "speakers", "unlabelled"),
        "seconds": float,
        **_each(str, "language", "licence"),
    },
    "adaptation": {
        **_each(str, "optimizer", "adapt", "model_kind"),
        **_each(int, "max_epochs", "batch_size", "seed", "folds", "repeats"),
        "lr": float,
    },
    "cross_validation": {
        **_each(float, "macro_f1", "confidence", "accuracy", "uar", "chance"),
        **_each(str, "interval_by", "by", "verdict"),
        **_each(int, "n", "speakers", "folds", "repeats"),
        "interval": [float],
        "confusion": [[float]],
        "emotions": [str],
        "others": [{"kind": str, "macro_f1": float, "minus": float, "interval": [float]}],
        "before": {"macro_f1": float, "difference": float, "interval": [float]},
    },
    "calibration": {
        **_each(float, "temperature", "tried", "nll_before", "nll_after", "nll_tried"),
        **_each(float, "ece_before", "ece_after", "ece_tried"),
        "n": int,
        **_each(str, "verdict", "said"),
    },
    "measured": {"said": str, "columns": [str], "rows": [[str]]},
    "left_out": [{"file": str, "reason": str}],
    **{key: [str] for key in ("attribution", "made_by", "warnings", "limits")},
}
"""What a model's `about` may hold, and of which types: its provenance, for people.

Any key may be missing or null, and further keys are kept; what is here has the type that is said here, so that the card
and the page can rely on it.
"""


def check_about(about: Any) -> None:
    """Raise ValueError that names the first key whose value is not as it must be."""
    _check(about, ABOUT, "about")
    scored = about.get("cross_validation") or {}
    confusion, emotions, interval = (scored.get(key) for key in ("confusion", "emotions", "interval"))
    if confusion and emotions and {len(confusion), *map(len, confusion)} != {len(emotions)}:
        raise ValueError(f"about.cross_validation.confusion is {confusion!r}, expected a line and a column per emotion")
    if interval and len(interval) != 2:
        raise ValueError(f"about.cross_validation.interval is {interval!r}, expected [low, high]")


def _check(value: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {value!r}, expected an object")
        for key, item in value.items():
            # null says no more than a key that is missing.
            if item is not None and (key in expected or _ANY in expected):
                _check(item, expected.get(key, expected.get(_ANY)), f"{where}.{key}")
    elif isinstance(expected, list):
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is {value!r}, expected a list")
        for number, item in enumerate(value):
            _check(item, expected[0], f"{where}[{number}]")
    elif not _is(value, expected):
        raise ValueError(f"{where} is {value!r}, expected {'a number' if expected is float else expected.__name__}")


def _is(value: Any, expected: type) -> bool:
    if isinstance(value, bool):
        return False
    if expected is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, expected)
