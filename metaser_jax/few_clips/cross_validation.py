"""How well an adaptation to a handful of clips does, by those clips alone: parts, scores, and what they prove."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.few_clips.simpler import NAMES
from metaser_jax.scores.bootstrap import bootstrap, choose_units, confusions, intervals_of
from metaser_jax.scores.metrics import scores

# Divisions of the speakers that are tried until each part leaves every emotion to learn from.
_TRIES = 200
BY_SPEAKER, BY_CLIP = "speaker", "clip"
# Wider than this, an interval tells good from bad hardly at all.
WIDE = 0.25
# What another kind of model must be better by to be spoken of.
_BETTER = 0.05


class Parts(NamedTuple):
    """How clips are divided.

    Attributes:
      by: BY_SPEAKER, no speaker learned from and predicted at once, or BY_CLIP, stratified by emotion.
      tests: [repeat][fold] of [m] int, the clips that are predicted; the others are learned from.
    """

    by: str
    tests: tuple[tuple[np.ndarray, ...], ...]


def divide(support: Corpus, folds: int, repeats: int, seed: int) -> Parts | None:
    """Return the parts of a cross-validation.

    By speaker where they are known and can be divided so that each emotion is left to learn from; otherwise by clip,
    and copies of a recording are one clip: what was learned from is not predicted.

    Args:
      folds: at most; fewer where there are fewer speakers, or clips of an emotion.

    Returns:
      None where there are fewer than two emotions, or an emotion has one clip, without which it could not be learned.
    """
    recording, first = _recordings(support)
    present, counts = np.unique(support.label[first], return_counts=True)
    if len(present) < 2 or counts.min() < 2:
        return None
    by_speaker = [_by_speaker(support, folds, seed + repeat) for repeat in range(repeats)]
    if all(by_speaker):
        return Parts(BY_SPEAKER, tuple(by_speaker))
    folds = min(folds, int(counts.min()))
    by_clip = [StratifiedKFold(folds, shuffle=True, random_state=seed + repeat) for repeat in range(repeats)]
    return Parts(BY_CLIP, tuple(_tests(kind, support.label[first], recording) for kind in by_clip))


def _recordings(support: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Return [n] int, which recording each clip is of, by its features; and the first clip of each."""
    numbers: dict[bytes, int] = {}
    recording = np.array([numbers.setdefault(mfcc.tobytes(), len(numbers)) for mfcc in support.mfcc])
    return recording, np.unique(recording, return_index=True)[1]


def _by_speaker(support: Corpus, folds: int, seed: int) -> tuple[np.ndarray, ...] | None:
    names, speaker = np.unique(support.speaker, return_inverse=True)
    folds = min(folds, len(names))
    if folds < 2 or UNKNOWN_SPEAKER in names:
        return None
    emotions = len(np.unique(support.label))
    random = np.random.RandomState(seed)
    for _ in range(_TRIES):
        of_speakers = KFold(folds, shuffle=True, random_state=random).split(names)
        tests = tuple(np.flatnonzero(np.isin(speaker, some)) for _, some in of_speakers)
        if all(len(np.unique(np.delete(support.label, test))) == emotions for test in tests):
            return tests
    return None


def _tests(kind: StratifiedKFold, label: np.ndarray, recording: np.ndarray) -> tuple[np.ndarray, ...]:
    """Divide clips by the part that their recording is in; label is of recordings."""
    return tuple(np.flatnonzero(np.isin(recording, test)) for _, test in kind.split(label, label))


def without(tests: Sequence[np.ndarray], of: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
    """Return for each part the clips among `of` [n] bool that are not in it; [] where one would lack an emotion."""
    trains = [np.setdiff1d(np.flatnonzero(of), test) for test in tests]
    emotions = len(np.unique(label))
    return trains if all(len(np.unique(label[train])) == emotions for train in trains) else []


def compared(support: Corpus, logits: np.ndarray, before: np.ndarray) -> dict[str, Any]:
    """Return what fewer clips score on the same parts, and whether the others made a difference, JSON-able.

    Args:
      logits, before: [repeat, n, class], of each clip by a model that had not learned from it; `before` of models that
        had learned from fewer others.

    Returns:
      macro_f1; difference, how much higher that of `logits` is; interval [low, high] of the difference, or None, by the
      same bootstrap as that of the score.
    """
    present, label = np.unique(support.label, return_inverse=True)
    after, fewer = (some[:, :, present].argmax(-1) for some in (logits, before))
    value, interval = _difference(support, label, len(present), after, fewer)
    return {"macro_f1": _macro_f1(label, len(present), fewer), "difference": value, "interval": interval}


def _macro_f1(label: np.ndarray, classes: int, predicted: np.ndarray) -> float:
    """Return the mean over repeats, of predictions [repeat, n]."""
    return float(np.mean([scores(label, one, classes)["macro_f1"] for one in predicted]))


def _difference(
    support: Corpus, label: np.ndarray, classes: int, one: np.ndarray, other: np.ndarray
) -> tuple[float, list[float] | None]:
    """Return by how much the macro F1 of predictions [repeat, n] is above that of others, and its interval, if any."""
    units = choose_units(label, support.speaker)
    tensors = [
        np.stack([confusions(label, repeat, units.of, classes, units.number) for repeat in predicted])
        for predicted in (one, other)
    ]
    found = intervals_of(tensors, units, ("macro_f1",))["macro_f1"]
    return found.value, None if found.interval is None else [found.interval.low, found.interval.high]


def validated(
    support: Corpus,
    emotions: Sequence[str],
    parts: Parts,
    logits: np.ndarray,
    told_apart: bool = False,
    others: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return the scores of a cross-validation, JSON-able, and a sentence on what they prove.

    Args:
      emotions: that the labels stand for.
      logits: [repeat, n, class], of each clip by the model that had not learned from it.
      told_apart: whether each voice was normalised by its own clips.
      others: simpler.KINDS -> the logits of another kind of model, on the same parts.

    Returns:
      macro_f1 (mean over repeats), interval [low, high] and its confidence, by bootstrap over `interval_by`, uar,
      accuracy, chance (macro F1 of guessing), confusion (summed over repeats, rows true), emotions (those with clips),
      absent (without), n, speakers (None where they are not known), told_apart, by, folds, repeats, others (of each
      its kind, macro_f1, and the interval of its macro F1 minus this one, by the same bootstrap), verdict.
    """
    present, label = np.unique(support.label, return_inverse=True)
    # An emotion without clips could not be learned, and is not among the answers here.
    predicted = logits[:, :, present].argmax(-1)
    of_repeats = [scores(label, one, len(present)) for one in predicted]
    whole = bootstrap(label, predicted, support.speaker, classes=len(present))
    known = UNKNOWN_SPEAKER not in support.speaker
    result = {
        "macro_f1": whole.value,
        "interval": None if whole.interval is None else [whole.interval.low, whole.interval.high],
        "confidence": 0.95,
        "interval_by": whole.by,
        **{name: float(np.mean([one[name] for one in of_repeats])) for name in ("uar", "accuracy")},
        "chance": 1 / len(present),
        "confusion": np.sum([one["confusion"] for one in of_repeats], axis=0).tolist(),
        "emotions": [emotions[e] for e in present],
        "absent": [emotion for e, emotion in enumerate(emotions) if e not in present],
        "n": len(label),
        "speakers": len(np.unique(support.speaker)) if known else None,
        "told_apart": told_apart,
        "by": parts.by,
        "folds": len(parts.tests[0]),
        "repeats": len(parts.tests),
        "others": _compared(support, label, present, predicted, others or {}),
    }
    return result | {"verdict": verdict(result)}


def _compared(
    support: Corpus, label: np.ndarray, present: np.ndarray, own: np.ndarray, others: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Return other kinds of model beside this one, whose predictions are own [repeat, n]."""
    found = []
    for kind, logits in others.items():
        predicted = logits[:, :, present].argmax(-1)
        minus, interval = _difference(support, label, len(present), predicted, own)
        f1 = _macro_f1(label, len(present), predicted)
        found.append({"kind": kind, "macro_f1": f1, "minus": minus, "interval": interval})
    return found


def _of_others(result: dict[str, Any]) -> list[str]:
    """Return what other kinds of model do on the same parts, and which is clearly better."""
    others = result["others"]
    if not others:
        return []
    said = ["On the same parts: " + "; ".join(f"{NAMES[one['kind']]} {one['macro_f1']:.2f}" for one in others) + "."]
    if result["by"] != BY_SPEAKER:
        # On ten clips of each emotion of URDU the machine seemed .21 better, and was .12 worse on other voices.
        said.append(
            "With the same voices in all parts, whatever learns these voices looks better than it is for others."
        )
        return said
    best = max(others, key=lambda one: one["minus"])
    if best["interval"] is None or best["minus"] < _BETTER:
        return said
    low, high = best["interval"]
    by = f"better, by {best['minus']:.2f} (95 % interval {low:.2f} to {high:.2f}"
    who, takes = NAMES[best["kind"]].capitalize(), f"--model_kind={best['kind']} takes it"
    if low > 0:  # by as much as chance alone gives in one comparison of forty
        said.append(f"{who} is clearly {by}): {takes}.")
    else:
        said.append(f"{who} is {by}, which so few clips do not prove): {takes}.")
    return said


def verdict(result: dict[str, Any]) -> str:
    """Return what a cross-validation's score proves, in plain words."""
    score, chance, n = result["macro_f1"], result["chance"], result["n"]
    said = [f"Macro F1 {score:.2f}"]
    interval = result["interval"]
    if interval is not None:
        low, high = interval
        said[0] += f" (95 % interval {low:.2f} to {high:.2f})"
    said[0] += f" on the {n} given clips; guessing scores about {chance:.2f}."
    if interval is not None and low <= chance:
        said.append("The interval reaches down to guessing: these clips do not show that anything was learned.")
    elif interval is not None and high - low > WIDE:
        said.append("The interval is wide: so few clips cannot tell a good model from a middling one.")
    if result["by"] == BY_SPEAKER:
        said.append(
            f"No voice was predicted by a model that had learned from it, but there are {result['speakers']} voices in "
            "all, recorded in the same places."
        )
    else:
        voices = {None: "of the same voices", 1: "of the same one voice"}.get(result["speakers"], "of the same voices")
        said.append(
            f"Each clip was predicted by a model that had learned from others {voices}, places and microphones: with "
            "other voices expect less."
        )
    if result["told_apart"]:
        said.append(
            "Voices were told apart, each by its own clips: without metaser predict --speakers, or with little of a "
            "voice, expect less."
        )
    if result["absent"]:
        said.append(f"How it does on {' and '.join(result['absent'])}, of which there is no clip, is not known.")
    said += _of_others(result)
    said.append("New recordings, labelled by somebody else, would prove it: metaser evaluate.")
    return " ".join(said)
