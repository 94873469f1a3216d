"""What a model's `about` may hold, and of which types: its provenance, for people. docs/model_folder.md explains it.

Any key may be missing or null, and further keys are kept; what is here has the type that is said here, so that the card
and the page can rely on it.
"""

import math
from collections.abc import Mapping
from typing import Any

# Of a mapping with any keys, the type of its values.
_ANY = "*"

ABOUT: dict[str, Any] = {
    "name": str,
    "language": str,
    "created": str,
    "versions": {_ANY: str},
    "init": {
        "method": str,
        "algorithm": str,
        "order": str,
        "sources": [{"name": str, "language": str, "licence": str, "digest": str}],
        "episodes": int,
        "inner_steps": int,
        "init_episode": int,
        "init_seed": int,
        "model": str,
        "normalise": str,
    },
    "support": {
        "n_per_emotion": {_ANY: int},
        "speakers": int,
        "seconds": float,
        "language": str,
        "licence": str,
        "unlabelled": int,
    },
    "adaptation": {
        "optimizer": str,
        "lr": float,
        "max_epochs": int,
        "batch_size": int,
        "seed": int,
        "adapt": str,
        "model_kind": str,
        "folds": int,
        "repeats": int,
    },
    "cross_validation": {
        "macro_f1": float,
        "interval": [float],
        "confidence": float,
        "interval_by": str,
        "n": int,
        "speakers": int,
        "by": str,
        "folds": int,
        "repeats": int,
        "accuracy": float,
        "uar": float,
        "chance": float,
        "confusion": [[float]],
        "emotions": [str],
        "others": [{"kind": str, "macro_f1": float, "minus": float, "interval": [float]}],
        "verdict": str,
        "before": {"macro_f1": float, "difference": float, "interval": [float]},
    },
    "calibration": {
        "temperature": float,
        "n": int,
        "nll_before": float,
        "nll_after": float,
        "ece_before": float,
        "ece_after": float,
        "tried": float,
        "nll_tried": float,
        "ece_tried": float,
        "verdict": str,
        "said": str,
    },
    "measured": {"said": str, "columns": [str], "rows": [[str]]},
    "attribution": [str],
    "licence": str,
    "made_by": [str],
    "left_out": [{"file": str, "reason": str}],
    "warnings": [str],
    "limits": [str],
}


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
    if isinstance(value, bool) or expected is str:
        return isinstance(value, expected)
    if expected is int:
        return isinstance(value, int)
    return isinstance(value, int | float) and math.isfinite(value)
