"""What a page is told, as JSON-able values."""

import math
from typing import Any

from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Prediction
from metaser_jax.serve.sessions import Heard, Page


def of_model(model: Model, name: str) -> dict[str, Any]:
    """Return what the page's head says of a model; any part of its provenance may be missing."""
    about = model.about
    return {
        "name": about.get("name") or name,
        "language": about.get("language"),
        "emotions": list(model.settings.emotions),
        "score": _score(about.get("cross_validation")),
        "calibrated": about.get("calibration") is not None,
        "calibration": (about.get("calibration") or {}).get("verdict"),
        "limits": list(about.get("limits") or ()),
        "by_speaker": model.settings.normalise == "speaker",
        "n_support": 0 if model.support is None else len(model.support),
    }


def _score(scored: dict[str, Any] | None) -> dict[str, Any] | None:
    if not scored or not _is_number(scored.get("macro_f1")):
        return None
    interval = scored.get("interval")
    if not (isinstance(interval, list | tuple) and len(interval) == 2 and all(map(_is_number, interval))):
        interval = None
    return {
        "macro_f1": float(scored["macro_f1"]),
        "interval": None if interval is None else [float(end) for end in interval],
        "chance": float(scored["chance"]) if _is_number(scored.get("chance")) else None,
        "by": scored.get("by"),
        "verdict": str(scored.get("verdict") or ""),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def of_page(page: Page, name: str) -> dict[str, Any]:
    """Return the model as it is now, the adaptation, and all clips (without their waveforms, which do not change)."""
    return {
        "model": of_model(page.predictor.model, name),
        "adaptation": {"state": page.adaptation.state, "said": page.adaptation.said},
        "n_learned": page.n_learned,
        "clips": [of_clip(heard, page.predictor.emotions) for heard in page.heard.values()],
    }


def of_clip(heard: Heard, emotions: tuple[str, ...], *, peaks: bool = False) -> dict[str, Any]:
    """Return one clip; probabilities are in the order of the model's emotions."""
    before = heard.before
    return {
        "id": heard.id,
        "name": heard.name,
        "speaker": heard.speaker,
        "seconds": heard.clip.seconds,
        "notes": list(heard.prediction.notes),
        **_of_prediction(heard.prediction),
        "track": [
            {"start": w.start, "end": w.end, "probabilities": _rounded(w.probabilities), "silent": bool(w.silent)}
            for w in heard.prediction.track
        ],
        "before": None if before is None else _of_prediction(before),
        "emotion": None if heard.emotion is None else emotions[heard.emotion],
        **({"peaks": [round(float(peak), 2) for peak in heard.peaks]} if peaks else {}),
    }


def _of_prediction(prediction: Prediction) -> dict[str, Any]:
    return {"label": prediction.label, "probabilities": _rounded(prediction.probabilities)}


def _rounded(probabilities: Any) -> list[float]:
    return [round(float(p), 4) for p in probabilities]
