"""Splits into utterances that train, validate and test; and the k-shot or fractional draws from the training part.

70 : 30 train : test, and a fifth of train for validation, as the paper; "random" stratified by emotion, or "speaker"
with no speaker in two parts. Where the speakers are few: folds, of which each is the test part once. Byte-identical
recordings are always in one part. scikit-learn draws; every draw is a function of the corpus and a seed.
"""

import dataclasses
import hashlib
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedGroupKFold, train_test_split

from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.errors import InputError, check_choice

TEST_SHARE = 0.3
VALID_SHARE = 0.2
KINDS = ("random", "speaker")
# Candidate divisions of the speakers, of which the best balanced is taken.
SPEAKER_CANDIDATES = 1000
_FLATTERED = "--split=random, whose scores are flattered by speakers that are in both parts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """Sorted indices into a corpus, disjoint.

    Attributes:
      train, valid, test: [n_part] int.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split(Parts):
    """Parts that together are the whole corpus, and where they are from.

    Attributes:
      kind: "random" | "speaker".
      seed: that drew them.
      digest: 16 hexadecimal digits that depend on which files are in which part.
      valid_by: what divides valid from train, "random" | "speaker"; only in a fold it may differ from kind.
      fold: (index from 0, number of folds) of speaker_folds, else None.
    """

    kind: str
    seed: int
    digest: str
    valid_by: str
    fold: tuple[int, int] | None = None


def split(corpus: Corpus, kind: str, seed: int = 0) -> Split:
    """Split a corpus whose emotions are those of the run (Corpus.select).

    Args:
      kind: "random" stratifies by emotion; "speaker" keeps speakers apart and balances emotions as far as they allow.
      seed: the same corpus and seed give the same split.

    Raises:
      InputError: unknown kind; an emotion with too few utterances for three parts; speakers that cannot be divided
        so that each part has every emotion.
    """
    check_choice("split", kind, KINDS)
    if kind == "speaker":
        _check_speakers(corpus)
    rest, test = _divide(corpus, np.arange(len(corpus)), kind, TEST_SHARE, seed)
    train, valid = _divide(corpus, rest, kind, VALID_SHARE, seed)
    return _split(corpus, train, valid, test, kind=kind, seed=seed, valid_by=kind)


def speaker_folds(corpus: Corpus, folds: int, seed: int = 0) -> tuple[Split, ...]:
    """Divide the speakers into folds, each of which is the test part of one split; emotions as in `split`.

    The folds are those of scikit-learn's StratifiedGroupKFold where each then has every emotion; otherwise the best
    balanced of random divisions into equally many speakers. Valid is a fifth of the rest by speaker or, where the
    speakers that are left do not allow that, stratified by emotion: Split.valid_by. Where speakers differ in what they
    say, another seed may give the same test parts, and then another valid alone.

    Args:
      folds: 2 or more. seed: the same corpus and seed give the same folds.

    Raises:
      InputError: fewer than 2 folds, or more than speakers; speakers that cannot be divided so that each fold has every
        emotion; an emotion with too few utterances for train and valid.
    """
    _check_speakers(corpus)
    speaker, counts = _per_speaker(corpus, np.arange(len(corpus)))
    speakers = len(counts)
    if not 2 <= folds <= speakers:
        instead = f"Give 2 to {speakers}, or use" if speakers >= 2 else "Use"
        raise InputError(
            f"--folds={folds}: expected 2 or more, and no more than {corpus.name} has speakers, which is {speakers}. "
            f"{instead} {_FLATTERED}."
        )
    fold = _assign_folds(corpus, speaker, counts, folds, seed)
    splits = []
    for index in range(folds):
        in_test = fold[speaker] == index
        rest, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
        divided, valid_by = _divide_speakers(corpus, rest, VALID_SHARE, seed), "speaker"
        if divided is None:
            what, valid_by = f"--folds={folds}, what fold {index} leaves", "random"
            divided = _apart(corpus, rest, VALID_SHARE, seed, what)
        where = {"kind": "speaker", "seed": seed, "valid_by": valid_by, "fold": (index, folds)}
        splits.append(_split(corpus, *divided, test, **where))
    return tuple(splits)


def _split(corpus: Corpus, train: np.ndarray, valid: np.ndarray, test: np.ndarray, **where: Any) -> Split:
    """Return the parts, sorted, with the digest of their files."""
    sha = hashlib.sha256(corpus.name.encode())
    for part in (train, valid, test):
        sha.update(("\n" + "\0".join(sorted(corpus.file[part].tolist()))).encode())
    return Split(train=np.sort(train), valid=np.sort(valid), test=np.sort(test), digest=sha.hexdigest()[:16], **where)


def _check_speakers(corpus: Corpus) -> None:
    if unknown := int((corpus.speaker == UNKNOWN_SPEAKER).sum()):
        raise InputError(
            f"{corpus.name} cannot be split by speaker: of {unknown} of its {len(corpus)} utterances the speaker is "
            f"not known. Prepare it with speakers (folders, --speaker_pattern or a CSV), or use {_FLATTERED}."
        )


def _divide(corpus: Corpus, pool: np.ndarray, kind: str, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    label = corpus.label[pool]
    counts = np.bincount(label, minlength=len(corpus.emotions))
    if counts.min() < 2:
        raise InputError(
            f"{corpus.name} has too few utterances to split: {_per_emotion(corpus, counts)} are left to divide, "
            "expected at least 2 of each emotion. Record or prepare more, or leave the emotion out of --emotions."
        )
    if kind == "random":
        return _apart(corpus, pool, share, seed, "the split")
    divided = _divide_speakers(corpus, pool, share, seed)
    if divided is None:
        _, counts = _per_speaker(corpus, pool)
        raise InputError(
            f"{corpus.name} cannot be split by speaker so that each part has every emotion: {len(counts)} speakers are "
            f"left to divide, of which {_per_emotion(corpus, (counts > 0).sum(0))} (a part needs one each). Use "
            f"--folds=2, whose parts for validation need no speakers, if that is possible, or {_FLATTERED}."
        )
    return divided


def _stratified(corpus: Corpus, pool: np.ndarray, size: int, seed: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (the rest, `size` utterances), stratified by emotion, with every emotion in both, or an InputError."""
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


def _apart(corpus: Corpus, pool: np.ndarray, share: float, seed: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return `_stratified` parts; where byte-identical recordings would be in both, one of each is divided.

    The others follow it.
    """
    parts = _stratified(corpus, pool, round(share * len(pool)), seed, what)
    if corpus.same is None or not np.isin(corpus.same[parts[0]], corpus.same[parts[1]]).any():
        return parts
    first = pool[np.unique(corpus.same[pool], return_index=True)[1]]
    _, small = _stratified(corpus, first, round(share * len(first)), seed, what)
    in_small = np.isin(corpus.same[pool], corpus.same[small])
    return pool[~in_small], pool[in_small]


def _divide_speakers(corpus: Corpus, pool: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (the rest, about `share` of the pool), no speaker in both, every emotion in both.

    None if no candidate is so.
    """
    speaker, counts = _per_speaker(corpus, pool)
    total = counts.sum(0)
    best, best_error = None, np.inf
    if len(counts) >= 2:
        candidates = ShuffleSplit(SPEAKER_CANDIDATES, test_size=share, random_state=seed)
        for _, small in candidates.split(counts):
            in_small = counts[small].sum(0)
            error = np.abs(in_small / total - share).sum()
            if in_small.min() > 0 and (total - in_small).min() > 0 and error < best_error:
                best, best_error = small, error
    if best is None:
        return None
    in_small = np.isin(speaker, best)
    return pool[~in_small], pool[in_small]


def _per_speaker(corpus: Corpus, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ([n_pool] int number of each utterance's speaker, [speaker, emotion] utterances)."""
    names, speaker = np.unique(corpus.speaker[pool], return_inverse=True)
    counts = np.zeros((len(names), len(corpus.emotions)), int)
    np.add.at(counts, (speaker, corpus.label[pool]), 1)
    return speaker, counts


def _assign_folds(corpus: Corpus, speaker: np.ndarray, counts: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return [speaker] int: the fold of each.

    Of the candidates the one that lacks least, and of those the best balanced. Raises InputError: it lacks an emotion.
    """
    total = counts.sum(0)

    def per_fold(fold: np.ndarray) -> np.ndarray:
        return (fold == np.arange(folds)[:, None]).astype(int) @ counts  # [fold, emotion]

    def error(fold: np.ndarray) -> tuple[int, float]:
        of_fold = per_fold(fold)
        return int((of_fold == 0).sum()), float(np.abs(of_fold / np.maximum(total, 1) - 1 / folds).sum())

    random = np.random.RandomState(seed)
    best, best_error = None, (np.inf, np.inf)
    # With fewer utterances of an emotion than folds scikit-learn warns; no division has every emotion then.
    if total.min() >= folds:
        # What shuffle=True does since scikit-learn 1.8; before, it mixed the speakers up.
        rank = np.argsort(random.permutation(len(counts)))
        best = np.empty(len(counts), int)
        greedy = StratifiedGroupKFold(folds).split(speaker, corpus.label, groups=rank[speaker])
        for index, (_, test) in enumerate(greedy):
            best[np.unique(speaker[test])] = index
        best_error = error(best)
        if best_error[0] == 0:
            return best
    # It takes one speaker after the other, and shuffles only those of equal counts: other shuffles hardly differ.
    for _ in range(SPEAKER_CANDIDATES):
        fold = np.empty(len(counts), int)
        for index, (_, test) in enumerate(KFold(folds, shuffle=True, random_state=random).split(counts)):
            fold[test] = index
        if error(fold) < best_error:
            best, best_error = fold, error(fold)
    lacking = np.argwhere(per_fold(best) == 0)
    if not len(lacking):
        return best
    speakers = (counts > 0).sum(0)
    most = min(speakers.min(), folds - 1)
    instead = f"--folds={most} or fewer, or " if most >= 2 else ""
    lacks = ", ".join(f"fold {index} has no {corpus.emotions[e]}" for index, e in lacking[:4])
    raise InputError(
        f"--folds={folds}: {corpus.name} cannot be divided by speaker so that each fold has every emotion: of "
        f"{len(counts)} speakers {_per_emotion(corpus, speakers)} (a fold needs one each), and in the best division "
        f"found {lacks}. Use {instead}{_FLATTERED}."
    )


def _per_emotion(corpus: Corpus, counts) -> str:
    return ", ".join(f"{n} {emotion}" for emotion, n in zip(corpus.emotions, counts, strict=True))


def draw_shots(corpus: Corpus, pool: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Draw `shots` utterances of each emotion from `pool`; sorted indices, [class * shots].

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
    """Draw a fraction of `pool`, stratified by emotion, at least one of each; sorted indices.

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
    """Divide drawn utterances into a training and a validation part: a fifth, at least one of each emotion.

    Raises:
      InputError: too few of an emotion for both parts.
    """
    train, valid = _apart(corpus, drawn, VALID_SHARE, seed, "--validation=draw")
    return np.sort(train), np.sort(valid)
