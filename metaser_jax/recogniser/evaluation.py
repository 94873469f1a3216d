"""Evaluation of a model on labelled clips: only on those that it did not learn from, its own speakers told apart.

A clip that was learned from says nothing of others, a known speaker less than an unknown one; so they are told by the
bytes of the file, by the features (the same recording in another format), and by the speaker's name.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.audio.clips import Clip, first_window
from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.results.bootstrap import Bootstrap, bootstrap
from metaser_jax.results.metrics import BINS, calibration_error, log_loss, scores

# With fewer an interval over speakers says nothing: of three it may be 0 to 1.
MIN_SPEAKERS = 6
HEARD, NEW, UNKNOWN = "speakers that it learned from", "other speakers", "speakers that are not known"


class Predicted(NamedTuple):
    """Labelled clips with their predictions.

    Attributes:
      label: [n] int, class.
      probabilities: [n, class] float.
      speaker: [n] str, corpus.UNKNOWN_SPEAKER where it is not known.
    """

    label: np.ndarray
    probabilities: np.ndarray
    speaker: np.ndarray

    def take(self, index: np.ndarray) -> "Predicted":
        """Return the clips at `index`, [m] int or [n] bool."""
        return Predicted(*(array[index] for array in self))


def learned_from(clips: Sequence[Clip], support: Corpus | None) -> np.ndarray:
    """Return which clips are in the support set, [n] bool, by their files' bytes or their first window."""
    if support is None:
        return np.zeros(len(clips), bool)
    files = set() if support.sha256 is None else set(support.sha256)
    features = {(mfcc.tobytes(), int(n)) for mfcc, n in zip(support.mfcc, support.n_frames, strict=True)}
    firsts = zip(clips, map(first_window, clips), strict=True)
    return np.array([clip.sha256 in files or (mfcc.tobytes(), n) in features for clip, (mfcc, n) in firsts], bool)


def kinds_of(speaker: np.ndarray, support: Corpus | None) -> np.ndarray:
    """Return [n] str: of each clip's speaker HEARD, NEW or UNKNOWN."""
    heard = set() if support is None else set(support.speaker)
    # Of a clip of an unknown speaker nobody knows whether he is one of these.
    new = NEW if heard and UNKNOWN_SPEAKER not in heard else UNKNOWN
    kind_of = {**dict.fromkeys(heard, HEARD), UNKNOWN_SPEAKER: UNKNOWN}
    return np.array([kind_of.get(name, new) for name in speaker])


def evaluate(predicted: Predicted, kinds: np.ndarray, emotions: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Return the scores, JSON-able.

    Args:
      predicted: n clips, n > 0, none of which was learned from.
      kinds: [n] str, of `kinds_of`.
      emotions: the classes.
      seed: of the bootstrap.

    Returns:
      n; of metrics.scores; speakers, how many, None where one is not known; two 95 % intervals [low, high] of macro F1
      (bootstrap.py): over_clips, None of a single clip, and over_speakers, None of fewer than MIN_SPEAKERS, or if they
      do not each say most emotions; interval, the one to publish (over speakers if there is one), and what it is over
      (by, units); per_emotion {emotion: {n, recall, precision}}, None where there is nothing to divide by;
      calibration {nll, ece, bins}; by_speakers {kind: {n, macro_f1, uar, accuracy}}, of the kinds that are there.
    """
    classes = len(emotions)
    highest = predicted.probabilities.argmax(-1)
    unknown = np.full(len(highest), UNKNOWN_SPEAKER)
    over_clips = bootstrap(predicted.label, highest, unknown, classes=classes, seed=seed)
    names, over_speakers = np.unique(predicted.speaker), over_clips
    if len(names) >= MIN_SPEAKERS:
        over_speakers = bootstrap(predicted.label, highest, predicted.speaker, classes=classes, seed=seed)
    of_all = scores(predicted.label, highest, classes)
    confusion = np.array(of_all["confusion"])
    true, said, hit = confusion.sum(1), confusion.sum(0), np.diagonal(confusion)
    nll, ece = (of(predicted.probabilities, predicted.label) for of in (log_loss, calibration_error))
    present = [kind for kind in (HEARD, NEW, UNKNOWN) if kind in kinds]
    return {
        "n": len(predicted.label),
        **of_all,
        "speakers": None if UNKNOWN_SPEAKER in names else len(names),
        "over_clips": _ends(over_clips),
        "over_speakers": _ends(over_speakers) if over_speakers.by == "speakers" else None,
        "interval": _ends(over_speakers),
        "by": over_speakers.by,
        "units": over_speakers.units,
        "per_emotion": {
            emotion: {"n": int(true[k]), "recall": _share(hit[k], true[k]), "precision": _share(hit[k], said[k])}
            for k, emotion in enumerate(emotions)
        },
        "calibration": {"nll": nll, "ece": ece, "bins": BINS},
        "by_speakers": {kind: _of_kind(predicted.take(kinds == kind), classes) for kind in present},
    }


def _ends(found: Bootstrap) -> list[float] | None:
    return None if found.interval is None else [found.interval.low, found.interval.high]


def _of_kind(predicted: Predicted, classes: int) -> dict[str, Any]:
    found = scores(predicted.label, predicted.probabilities.argmax(-1), classes)
    return {"n": len(predicted.label), **{name: found[name] for name in ("macro_f1", "uar", "accuracy")}}


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
