"""A prepared corpus in host memory: what the datasets produce and what splits, bank and evaluation read."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from metaser_jax.emotions import EMOTIONS
from metaser_jax.errors import InputError, check_choice

# The speaker of recordings whose speaker nobody wrote down.
UNKNOWN_SPEAKER = "unknown"
# The name of a corpus of a handful of clips that somebody gave.
CLIPS = "the clips"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """n utterances of one corpus, sorted by `file`. All arrays have n entries along their first axis.

    Attributes:
      name: the corpus's name, e.g. "urdu".
      language: English name of the language, e.g. "Urdu".
      mfcc: [n, 120, 20] float32, zero after the real frames; after inputs.make_input what a network is given instead.
      n_frames: [n] int32, number of real frames, 1 to 120.
      label: [n] int32, index into `emotions`.
      speaker: [n] str, unique within the corpus; UNKNOWN_SPEAKER if it is not known.
      file: [n] str, path below the folder that all recordings share; unique.
      seconds: [n] float32, duration of the whole recording.
      emotions: what the labels stand for; all of emotions.EMOTIONS until `select` chooses some.
      voice: [n, 171] float32, statistics of the whole clip's frame tracks, specs.voice.STATISTICS; None: not known.
      tracks: [n, 120, 19] float32, means of every four frames of the first 5.6 s, zero after the real ones, which only
        the digest looks at; None: not known.
      vectors: [n, k, d] float32, what an encoder hears: of ours its vector and the means of its layers 2 and 3
        (audio/encoder.py), k = 3, d = 256; of another's k = 1. They identify people. None: not known.
      vectors_of: digest of that encoder, or the name of another's vectors; "" where there are none.
      same: [n] int32, byte-identical recordings have one number; None: there are none.
      sha256: [n] str, hexadecimal, of the files' bytes; None: not known.
    """

    name: str
    language: str
    mfcc: np.ndarray
    n_frames: np.ndarray
    label: np.ndarray
    speaker: np.ndarray
    file: np.ndarray
    seconds: np.ndarray
    emotions: tuple[str, ...] = EMOTIONS
    voice: np.ndarray | None = None
    tracks: np.ndarray | None = None
    vectors: np.ndarray | None = None
    vectors_of: str = ""
    same: np.ndarray | None = None
    sha256: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: np.ndarray) -> "Corpus":
        """Return the utterances at `index` ([m] integers or [n] booleans), in that order."""
        arrays = {name: array[index] for name, array in self.arrays().items() if array is not None}
        return dataclasses.replace(self, **arrays)

    def select(self, emotions: tuple[str, ...]) -> "Corpus":
        """Return the utterances of these emotions, relabelled 0, 1, ... in the order given.

        Raises:
          InputError: as require_emotions.
        """
        require_emotions([self], emotions)
        new_label = np.full(len(self.emotions), -1, np.int32)
        for label, emotion in enumerate(emotions):
            new_label[self.emotions.index(emotion)] = label
        relabelled = dataclasses.replace(self, label=new_label[self.label], emotions=tuple(emotions))
        return relabelled.take(relabelled.label >= 0)

    def arrays(self) -> dict[str, np.ndarray | None]:
        """Return all arrays by name; None where one is not known."""
        texts = ("name", "language", "emotions", "vectors_of")
        return {name: value for name, value in vars(self).items() if name not in texts}

    def counts(self) -> dict[str, int]:
        """Return utterances of each emotion that occurs, in the order of `emotions`."""
        number = np.bincount(self.label, minlength=len(self.emotions))
        return {emotion: int(n) for emotion, n in zip(self.emotions, number, strict=True) if n}

    def digest(self) -> str:
        """Return 16 hexadecimal digits that depend on files, labels, speakers and features, but for the vectors."""
        sha = hashlib.sha256(self.name.encode())
        for text in (self.file, self.speaker):
            sha.update("\0".join(text.tolist()).encode())
        for array in (self.label, self.n_frames, self.mfcc, self.voice, self.tracks):
            if array is not None:
                sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()[:16]


def join(corpora: Sequence[Corpus]) -> Corpus:
    """Return the utterances of several corpora as those of the first; what one of them lacks is not known of any."""
    if len({one.vectors_of for one in corpora}) > 1:
        corpora = [dataclasses.replace(one, vectors=None, vectors_of="") for one in corpora]
    arrays = {
        name: None if name == "same" or any(array is None for array in parts) else np.concatenate(parts)
        for name, *parts in zip(corpora[0].arrays(), *(one.arrays().values() for one in corpora), strict=True)
    }
    return dataclasses.replace(corpora[0], **arrays)


def require_emotions(corpora: Sequence[Corpus], emotions: Sequence[str]) -> None:
    """Check that each corpus has utterances of each emotion.

    Raises:
      InputError: an unknown emotion; or one that a corpus lacks, with the --emotions that all of them have.
    """
    lacking, shared = [], list(emotions)
    for corpus in corpora:
        for emotion in emotions:
            check_choice("--emotions", emotion, corpus.emotions)
        counts = corpus.counts()
        missing = [emotion for emotion in emotions if emotion not in counts]
        shared = [emotion for emotion in shared if emotion in counts]
        if missing:
            has = ", ".join(f"{n} {emotion}" for emotion, n in counts.items()) or "none"
            lacking.append(f"{corpus.name} has no {' and no '.join(missing)} (its utterances: {has})")
    if lacking:
        instead = f"Give --emotions={','.join(shared)} to all programs alike, or use" if len(shared) > 1 else "Use"
        raise InputError(f"--emotions={','.join(emotions)}: {'; '.join(lacking)}. {instead} other corpora.")
