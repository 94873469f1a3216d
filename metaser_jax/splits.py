"""Which utterances train, validate and test; and the k-shot or fractional draws from the training part.

70 : 30 train : test, and a fifth of train for validation, as the paper; "random" stratified by emotion, or "speaker"
with no speaker in two parts. scikit-learn draws; every draw is a function of the corpus and a seed.
"""

import dataclasses
import hashlib

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from metaser_jax.corpus import Corpus
from metaser_jax.errors import InputError, check_choice

TEST_SHARE = 0.3
VALID_SHARE = 0.2
KINDS = ("random", "speaker")
# Candidate divisions of the speakers, of which the best balanced is taken.
SPEAKER_CANDIDATES = 1000


@dataclasses.dataclass(frozen=True)
class Split:
    """Indices into a corpus, sorted; disjoint, and together the whole corpus.

    Attributes:
      kind: "random" | "speaker".
      train, valid, test: [n_part] int.
      digest: 16 hexadecimal digits that depend on which files are in which part.
    """

    kind: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    digest: str


def split(corpus: Corpus, kind: str, seed: int = 0) -> Split:
    """Splits a corpus whose emotions are those of the run (Corpus.select).

    Args:
      kind: "random" stratifies by emotion; "speaker" keeps speakers apart and balances emotions as far as they allow.
      seed: the same corpus and seed give the same split.

    Raises:
      InputError: unknown kind; an emotion with too few utterances for three parts; speakers that cannot be divided
        so that each part has every emotion.
    """
    check_choice("split", kind, KINDS)
    rest, test = _divide(corpus, np.arange(len(corpus)), kind, TEST_SHARE, seed)
    train, valid = _divide(corpus, rest, kind, VALID_SHARE, seed)
    parts = [np.sort(part) for part in (train, valid, test)]
    return Split(kind, *parts, digest=_digest(corpus, parts))


def _divide(corpus: Corpus, pool: np.ndarray, kind: str, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    label = corpus.label[pool]
    counts = np.bincount(label, minlength=len(corpus.emotions))
    if counts.min() < 2:
        raise InputError(
            f"{corpus.name} has too few utterances to split: {_per_emotion(corpus, counts)} are left to divide, "
            "expected at least 2 of each emotion. Record or prepare more, or leave the emotion out of --emotions."
        )
    if kind == "random":
        return _stratified(corpus, pool, round(share * len(pool)), seed, "the split")
    return _divide_speakers(corpus, pool, share, seed)


def _stratified(corpus: Corpus, pool: np.ndarray, size: int, seed: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(the rest, `size` utterances), stratified by emotion, with every emotion in both, or an InputError."""
    classes = len(corpus.emotions)
    size = max(size, classes)
    counts = np.bincount(corpus.label[pool], minlength=classes)
    if counts.min() >= 2 and len(pool) - size >= classes:
        rest, small = train_test_split(pool, test_size=size, stratify=corpus.label[pool], random_state=seed)
        if all(len(np.unique(corpus.label[part])) == classes for part in (rest, small)):
            return rest, small
    raise InputError(
        f"{what}: {len(pool)} utterances of {corpus.name} ({_per_emotion(corpus, counts)}) cannot be divided into "
        f"{len(pool) - size} and {size} with every emotion in both. Use more data, other amounts, or fewer --emotions."
    )


def _divide_speakers(corpus: Corpus, pool: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    label, speaker = corpus.label[pool], corpus.speaker[pool]
    one_hot = np.eye(len(corpus.emotions))[label]
    total = one_hot.sum(0)
    speakers = len(np.unique(speaker))
    best, best_error = None, np.inf
    if speakers >= 2:
        candidates = GroupShuffleSplit(SPEAKER_CANDIDATES, test_size=share, random_state=seed)
        for large, small in candidates.split(pool, groups=speaker):
            in_small = one_hot[small].sum(0)
            error = np.abs(in_small / total - share).sum()
            if in_small.min() > 0 and (total - in_small).min() > 0 and error < best_error:
                best, best_error = (pool[large], pool[small]), error
    if best is None:
        of_emotion = [len(np.unique(speaker[label == e])) for e in range(len(corpus.emotions))]
        raise InputError(
            f"{corpus.name} cannot be split by speaker so that each part has every emotion: {speakers} speakers are "
            f"left to divide, of which {_per_emotion(corpus, of_emotion)} (a part needs one each). "
            "Use --split=random, whose scores are flattered by speakers that are in both parts."
        )
    return best


def _per_emotion(corpus: Corpus, counts) -> str:
    return ", ".join(f"{n} {emotion}" for emotion, n in zip(corpus.emotions, counts, strict=True))


def _digest(corpus: Corpus, parts: list[np.ndarray]) -> str:
    sha = hashlib.sha256(corpus.name.encode())
    for part in parts:
        sha.update(("\n" + "\0".join(sorted(corpus.file[part].tolist()))).encode())
    return sha.hexdigest()[:16]


def draw_shots(corpus: Corpus, pool: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Draws `shots` utterances of each emotion from `pool`; sorted indices, [class * shots].

    Raises:
      InputError: fewer than `shots` of an emotion in the pool.
    """
    label = corpus.label[pool]
    counts = np.bincount(label, minlength=len(corpus.emotions))
    if counts.min() < shots:
        raise InputError(
            f"--shots={shots}: the training part of {corpus.name} has {_per_emotion(corpus, counts)}, expected at "
            f"least {shots} of each. Lower --shots to {counts.min()} or less."
        )
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.choice(pool[label == e], shots, replace=False) for e in range(len(counts))]))


def draw_fraction(corpus: Corpus, pool: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Draws a fraction of `pool`, stratified by emotion, at least one of each; sorted indices.

    Raises:
      InputError: fraction not in (0, 1], or a draw that would lack an emotion or take all of one.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"--fraction: got {fraction}, expected a number above 0 and at most 1.")
    if fraction == 1:
        return np.sort(pool)
    rest = len(pool) - round(fraction * len(pool))
    drawn, _ = _stratified(corpus, pool, rest, seed, f"--fraction={fraction}")
    return np.sort(drawn)


def hold_out(corpus: Corpus, drawn: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divides drawn utterances into a training and a validation part: a fifth, at least one of each emotion.

    Raises:
      InputError: too few of an emotion for both parts.
    """
    train, valid = _stratified(corpus, drawn, round(VALID_SHARE * len(drawn)), seed, "--validation=draw")
    return np.sort(train), np.sort(valid)
