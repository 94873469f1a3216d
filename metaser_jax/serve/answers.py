"""Answers to a page, as JSON-able values."""

import time
from typing import Any

from metaser_jax.adaptation.cross_validation import WIDE
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Prediction
from metaser_jax.serve.pages import Adaptation, Heard, Page, tells_voices_apart


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
        "by_speaker": tells_voices_apart(model),
        "together": tells_voices_apart(model) and model.shape is not None,
        "speakers": [] if model.support is None else sorted({*model.support.speaker.tolist()} - {UNKNOWN_SPEAKER}),
    }


def _score(scored: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the score, and what it proves ("nothing", "something", "much"; None where that cannot be said).

    `before`: of the model as loaded on the same clips; `proved`: the difference is hardly chance.
    """
    if not scored or scored.get("macro_f1") is None:
        return None
    interval, chance, before = scored.get("interval"), scored.get("chance"), scored.get("before")
    meaning = None
    if interval and chance is not None:
        proves = "something" if interval[1] - interval[0] > WIDE else "much"
        meaning = "nothing" if interval[0] <= chance else proves
    if before:
        low, high = before.get("interval") or (0, 0)
        before = before | {"proved": low > 0 or high < 0}
    said = {name: scored.get(name) for name in ("macro_f1", "interval", "chance", "n", "by")}
    return said | {"meaning": meaning, "before": before or None, "verdict": scored.get("verdict") or ""}


def of_page(page: Page, name: str, limits: dict[str, Any], *, peaks: bool = False) -> dict[str, Any]:
    """Return the model as it is now, the adaptation, and all clips."""
    return {
        "model": of_model(page.predictor.model, name),
        "limits": limits,
        "adaptation": of_adaptation(page.adaptation),
        "n_learned": page.n_learned,
        "unsaved": page.unsaved,
        "together": page.together,
        "voices": page.voices if any(heard.speaker for heard in page.heard.values()) else [],
        "clips": [of_clip(heard, page.predictor.emotions, peaks=peaks) for heard in page.heard.values() if heard.seen],
    }


def of_adaptation(adaptation: Adaptation) -> dict[str, Any]:
    """Return how far it is; seconds since it began, while it runs."""
    seconds = round(time.monotonic() - adaptation.started, 1) if adaptation.state == "running" else 0.0
    return {name: getattr(adaptation, name) for name in ("state", "said", "done", "of")} | {"seconds": seconds}


def of_clip(heard: Heard, emotions: tuple[str, ...], *, peaks: bool = False) -> dict[str, Any]:
    """Return one clip that was predicted; probabilities are in the order of the model's emotions.

    `loaded` is what the model as loaded hears, where that is another one.
    """
    assert heard.seen is not None
    prediction, loaded = heard.seen.prediction, heard.seen.loaded
    return {
        "id": heard.id,
        "name": heard.name,
        "speaker": heard.speaker,
        "seconds": heard.clip.seconds,
        "notes": list(prediction.notes),
        "unknown": heard.unknown,
        **_of_prediction(prediction),
        "track": [window._asdict() | {"probabilities": _rounded(window.probabilities)} for window in prediction.track],
        "loaded": None if loaded is None else _of_prediction(loaded),
        "learned": heard.seen.learned,
        "emotion": None if heard.emotion is None else emotions[heard.emotion],
        **({"peaks": [round(float(peak), 2) for peak in heard.peaks]} if peaks else {}),
    }


def _of_prediction(prediction: Prediction) -> dict[str, Any]:
    return {"label": prediction.label, "probabilities": _rounded(prediction.probabilities)}


def _rounded(probabilities: Any) -> list[float]:
    return [round(float(p), 4) for p in probabilities]
