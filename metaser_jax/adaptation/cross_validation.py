"""The score of an adaptation to a handful of clips, by those clips alone: parts, scores, and what they prove."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.results.bootstrap import bootstrap, choose_units, confusions, intervals_of
from metaser_jax.results.metrics import scores

NETWORK, ZERO_SHOTS, VOTES = "network", "zero_shots", "svm"
# Kinds of model, by --model_kind: their ordinary names.
NAMES = {
    NETWORK: "the network adapted to these clips",
    ZERO_SHOTS: "the start as it is, with none of these clips",
    VOTES: "a support vector machine of these clips alone",
}
# Divisions of the speakers that are tried until each part leaves every emotion to learn from.
_TRIES = 200
BY_SPEAKER, BY_CLIP = "speaker", "clip"
# Wider than this, an interval tells good from bad hardly at all.
WIDE = 0.25
# What another kind of model must be better by to be spoken of.
_BETTER = 0.05


class Parts(NamedTuple):
    """The parts of a cross-validation.

    Attributes:
      by: BY_SPEAKER, no speaker learned from and predicted at once, or BY_CLIP, stratified by emotion.
      tests: [repeat][fold] of [m] int, the clips that are predicted; the others are learned from.
    """

    by: str
    tests: tuple[tuple[np.ndarray, ...], ...]


def divide(clips: Corpus, folds: int, repeats: int, seed: int) -> Parts | None:
    """Return the parts of a cross-validation.

    By speaker where they are known and can be divided so that each emotion is left to learn from; otherwise by clip,
    and copies of a recording are one clip: what was learned from is not predicted.

    Args:
      folds: at most; fewer where there are fewer speakers, or clips of an emotion.

    Returns:
      None where there are fewer than two emotions, or an emotion has one clip, without which it could not be learned.
    """
    # Copies of a recording have the same features.
    numbers: dict[bytes, int] = {}
    recording = np.array([numbers.setdefault(mfcc.tobytes(), len(numbers)) for mfcc in clips.mfcc])
    label = clips.label[np.unique(recording, return_index=True)[1]]
    present, counts = np.unique(label, return_counts=True)
    if len(present) < 2 or counts.min() < 2:
        return None
    by_speaker = [_divide_by_speaker(clips, folds, seed + repeat) for repeat in range(repeats)]
    if all(by_speaker):
        return Parts(BY_SPEAKER, tuple(by_speaker))
    folds, tests = min(folds, int(counts.min())), []
    for repeat in range(repeats):
        divided = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat).split(label, label)
        tests.append(tuple(np.flatnonzero(np.isin(recording, test)) for _, test in divided))
    return Parts(BY_CLIP, tuple(tests))


def _divide_by_speaker(clips: Corpus, folds: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return the clips of each part, [m] int; () where speakers are not known, or leave an emotion unlearned."""
    names, speaker = np.unique(clips.speaker, return_inverse=True)
    folds = min(folds, len(names))
    if folds < 2 or UNKNOWN_SPEAKER in names:
        return ()
    emotions = len(np.unique(clips.label))
    random = np.random.RandomState(seed)
    for _ in range(_TRIES):
        divided = KFold(folds, shuffle=True, random_state=random).split(names)
        tests = tuple(np.flatnonzero(np.isin(speaker, some)) for _, some in divided)
        if all(len(np.unique(np.delete(clips.label, test))) == emotions for test in tests):
            return tests
    return ()


def without(tests: Sequence[np.ndarray], of: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
    """Return for each part the clips among `of` [n] bool that are not in it; [] where one would lack an emotion."""
    trains = [np.setdiff1d(np.flatnonzero(of), test) for test in tests]
    emotions = len(np.unique(label))
    return trains if all(len(np.unique(label[train])) == emotions for train in trains) else []


def validate(
    clips: Corpus,
    parts: Parts,
    logits: np.ndarray,
    told_apart: bool = False,
    others: Mapping[str, np.ndarray] | None = None,
    before: np.ndarray | None = None,
    together: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the scores of a cross-validation, JSON-able, and a sentence on what they prove.

    Args:
      logits: [repeat, n, class], of each clip by the model that had not learned from it.
      told_apart: whether each voice was normalised by its own clips.
      others: key of NAMES -> the logits of another kind of model, on the same parts.
      before: those of models that had learned from fewer clips, on the same parts.
      together: of the same models, the clips of each part labelled together.

    Returns:
      macro_f1 (mean over repeats), interval [low, high] and its confidence, by bootstrap over `interval_by`, uar,
      accuracy, chance (macro F1 of guessing), confusion (summed over repeats, rows true), emotions (those with clips),
      absent (without), n, speakers (None where they are not known), told_apart, by, folds, repeats, others (of each
      its kind, macro_f1, and the interval of its macro F1 minus this one, by the same bootstrap), verdict. Of `before`
      its macro_f1; difference, how much higher that of `logits` is, and its interval; of `together` its macro_f1,
      difference, how much higher that is, and its interval.
    """
    present, label = np.unique(clips.label, return_inverse=True)
    classes = len(present)

    def predict(logits: np.ndarray) -> np.ndarray:
        # An emotion without clips could not be learned, and is not among the answers here.
        return logits[:, :, present].argmax(-1)

    def score(predicted: np.ndarray, name: str = "macro_f1") -> float:
        return float(np.mean([scores(label, one, classes)[name] for one in predicted]))

    def subtract(one: np.ndarray, other: np.ndarray) -> tuple[float, list[float] | None]:
        """Return by how much the macro F1 of `one` is above that of `other`, and its interval, if any."""
        tensors = [np.stack([confusions(label, p, units.of, classes, units.number) for p in of]) for of in (one, other)]
        found = intervals_of(tensors, units, ("macro_f1",))["macro_f1"]
        return found.value, None if found.interval is None else [found.interval.low, found.interval.high]

    units = choose_units(label, clips.speaker)
    predicted = predict(logits)
    whole = bootstrap(label, predicted, clips.speaker, classes=classes)
    compared = []
    for kind, of in (others or {}).items():
        minus, interval = subtract(predict(of), predicted)
        compared.append({"kind": kind, "macro_f1": score(predict(of)), "minus": minus, "interval": interval})
    result = {
        "macro_f1": whole.value,
        "interval": None if whole.interval is None else [whole.interval.low, whole.interval.high],
        "confidence": 0.95,
        "interval_by": whole.by,
        "uar": score(predicted, "uar"),
        "accuracy": score(predicted, "accuracy"),
        "chance": 1 / classes,
        "confusion": np.sum([scores(label, one, classes)["confusion"] for one in predicted], axis=0).tolist(),
        "emotions": [clips.emotions[e] for e in present],
        "absent": [emotion for e, emotion in enumerate(clips.emotions) if e not in present],
        "n": len(label),
        "speakers": None if UNKNOWN_SPEAKER in clips.speaker else len(np.unique(clips.speaker)),
        "told_apart": told_apart,
        "by": parts.by,
        "folds": len(parts.tests[0]),
        "repeats": len(parts.tests),
        "others": compared,
    }
    result["verdict"] = explain(result)
    if before is not None:
        fewer = predict(before)
        difference, interval = subtract(predicted, fewer)
        result["before"] = {"macro_f1": score(fewer), "difference": difference, "interval": interval}
    if together is not None:
        difference, interval = subtract(predict(together), predicted)
        result["together"] = {"macro_f1": score(predict(together)), "difference": difference, "interval": interval}
    return result


_VERDICTS = {
    "score": "Macro F1 {macro_f1:.2f}{of_score} on the {n} given clips; guessing scores about {chance:.2f}.",
    "guessing": "The interval reaches down to guessing: these clips do not show that anything was learned.",
    "wide": "The interval is wide: so few clips cannot tell a good model from a middling one.",
    BY_SPEAKER: "No voice was predicted by a model that had learned from it, but there are {speakers} voices in all, "
    "recorded in the same places.",
    BY_CLIP: "Each clip was predicted by a model that had learned from others {voices}, places and microphones: with "
    "other voices expect less.",
    "told_apart": "Voices were told apart, each by its own clips: without metaser predict --speakers, or with little "
    "of a voice, expect less.",
    "absent": "How it does on {absent}, of which there is no clip, is not known.",
    "others": "On the same parts: {each}.",
    # On ten clips of each emotion of URDU the machine seemed .21 better, and was .12 worse on other voices.
    "same_voices": "With the same voices in all parts, whatever learns these voices looks better than it is for "
    "others.",
    "better": "{name} is {clearly}better, by {minus:.2f} (95 % interval {low:.2f} to {high:.2f}{unproved}): "
    "--model_kind={kind} takes it.",
    "prove": "New recordings, labelled by somebody else, would prove it: metaser evaluate.",
}


def explain(result: Mapping[str, Any]) -> str:
    """Return what a cross-validation's score proves, in plain words."""
    said, interval, others = ["score"], result["interval"], result["others"]
    facts = dict(result, of_score="", absent=" and ".join(result["absent"]))
    facts["voices"] = "of the same one voice" if result["speakers"] == 1 else "of the same voices"
    facts["each"] = "; ".join(f"{NAMES[one['kind']]} {one['macro_f1']:.2f}" for one in others)
    if interval is not None:
        facts["of_score"] = " (95 % interval {:.2f} to {:.2f})".format(*interval)
        if interval[0] <= result["chance"]:
            said.append("guessing")
        elif interval[1] - interval[0] > WIDE:
            said.append("wide")
    said += [result["by"], *(name for name in ("told_apart", "absent", "others") if result[name])]
    best = max(others, key=lambda one: one["minus"], default=None)
    if best is not None and result["by"] == BY_CLIP:
        said.append("same_voices")
    elif best is not None and best["interval"] is not None and best["minus"] >= _BETTER:
        low, high = best["interval"]
        # Above 0 by as much as chance alone gives in one comparison of forty.
        clearly, unproved = ("clearly ", "") if low > 0 else ("", ", which so few clips do not prove")
        facts |= {"name": NAMES[best["kind"]].capitalize(), "kind": best["kind"], "minus": best["minus"]}
        facts |= {"low": low, "high": high, "clearly": clearly, "unproved": unproved}
        said.append("better")
    return " ".join(_VERDICTS[name] for name in (*said, "prove")).format(**facts)
