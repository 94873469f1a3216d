"""The input of a network or a machine, of NumPy's arrays or jax's: what is heard of recordings, normalised.

What is heard, FrontEnd.features:

mfcc        frames [n, 120, coef]: silence cut off (trim_db), changes from frame to frame added (deltas)
voice       statistics of the whole clip's frame tracks, as one row [n, 1, 171]
encoder     these, and the vectors [3, 256] of a pretrained speech encoder (audio/encoder.py), as one row [n, 1, 939]
embeddings  these, and a vector of each clip that somebody gave

trim      frames before the first and after the last one that is within `trim_db` of the recording's loudest are dropped
deltas    the size of each coefficient's change from the frame before follows the coefficients, [n, 120, 40]
voice     what is more than CLIP deviations from the mean counts as CLIP, since an outlier tells of the recording;
          vectors, which are many numbers that vary together, weigh less: `bounded`

Normalisation, to mean 0 and deviation 1 per coefficient, over real frames only; the padding stays zero:

none       as the paper
corpus     statistics of the corpus's training part
speaker    statistics of all of a speaker's utterances, which needs no labels; a test speaker's own recordings are
           used, so every method in a comparison must be given the same
           What is heard of a voice is normalised by the speaker's mean and deviation, which
           of a speaker with few clips are shrunk to those of all: `shrunk_scales`
utterance  statistics of the utterance itself
auto       speaker where a speaker's emotion can be heard apart from the speaker, else corpus: see `resolve`

NOTE: the paper has MFCC and does none of these.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs import FrontEnd
from metaser_jax.specs.network import NORMALISATIONS
from metaser_jax.specs.voice import STATISTICS, VECTORS, columns
from metaser_jax.types import N_FRAMES, N_MFCC

# librosa's MFCC 0 is the sum of the mel bands' levels in dB over the square root of their number.
DB = 128**0.5
# In deviations.
CLIP = 5.0
# Of an encoder's 768 numbers beside 171 statistics; of .3 to 1 best on the benchmark's five corpora.
VECTOR_WEIGHT = 0.6

# What to do where a corpus lacks what is heard.
_MISSING = {
    "mfcc": "Prepare it.",
    "voice": "Prepare it.",
    "encoder": "metaser fetch-encoder, then prepare it again (--overwrite).",
    "embeddings": "Give --embeddings with a vector of each of its files.",
}

# MFCC are of the order of 10; a coefficient that hardly varies (digital silence) is not blown up.
MIN_STD = 1e-2

# Of what is heard of a voice, whose statistics may be shares of one.
MIN_VOICE_STD = 1e-4
# Clips of a voice at which its mean, and clips more at which its deviation, count as much as everybody's. Measured
# at 1 to 32 unlabelled clips of a voice: experiments/README.md.
SHRINK, SHRINK_STD = 1.0, 4.0

Array = Any  # NumPy's or jax's

PERCENTILES = (10, 25, 50, 75, 90)
NAMES = ("mean", "deviation", *(f"percentile {p}" for p in PERCENTILES))
"""Names of utterance_statistics."""


class Scale(NamedTuple):
    """Mean and deviation by which features are normalised. Attributes: mean, std, of each coefficient."""

    mean: Array
    std: Array


def given(how: FrontEnd) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Return the arrays that are given of each recording: field of Corpus -> dtype, shape."""
    if not how.of_voice:
        return {"mfcc": (np.float32, (N_FRAMES, N_MFCC)), "n_frames": (np.int32, ())}
    vectors = {"vectors": (np.float32, how.vectors)} if how.vectors[0] else {}
    return {"voice": (np.float32, (len(STATISTICS),)), **vectors}


def given_of(corpus: Any, how: FrontEnd) -> list[np.ndarray]:
    """Return the arrays of `given` of a corpus.

    Raises:
      InputError: it lacks one, or has the vectors of another encoder's shape.
    """
    found = []
    for name, (_, shape) in given(how).items():
        array = getattr(corpus, name)
        if array is None or (name == "vectors" and array.shape[1:] != shape):
            got = f"no {name}" if array is None else f"{name} of shape {list(array.shape[1:])}"
            raise InputError(
                f"{corpus.name}: got {got}, expected {list(shape)}, of which --features={how.features} is made. "
                f"{_MISSING[how.features]}"
            )
        found.append(array)
    return found


def make_input(corpus: Corpus, how: FrontEnd, train: np.ndarray) -> Corpus:
    """Return the corpus as a network sees it: mfcc [n, how.rows, how.coefs], zero after the real rows.

    Args:
      corpus: as prepared, emotions selected.
      how: what is heard, and how it is normalised.
      train: [m] int, indices of the training part, see normalise.

    Raises:
      InputError: unknown normalisation; features that the corpus lacks.
    """
    x, n = make_x(how, *given_of(corpus, how))
    seen = normalise(dataclasses.replace(corpus, mfcc=x, n_frames=n), how.normalise, train, voice=how.of_voice)
    if not how.of_voice:
        return seen
    return dataclasses.replace(seen, mfcc=bounded(how, seen.mfcc), voice=None, tracks=None, vectors=None)


def bounded(how: FrontEnd, x: Array) -> Array:
    """Return what is heard of a voice, normalised, [..., coef], without outliers and with vectors weighed."""
    return x.clip(-CLIP, CLIP) * weights(how)


def weights(how: FrontEnd) -> np.ndarray:
    """Return the weight of each number that is heard of a voice, [coef] float32.

    Vectors weigh together what an encoder's do, however many numbers they have, but none more than a statistic.
    """
    numbers = math.prod(how.vectors)
    of_vectors = min(1.0, VECTOR_WEIGHT * math.sqrt(math.prod(VECTORS) / max(numbers, 1)))
    return np.repeat(np.array([1, of_vectors], np.float32), [how.coefs - numbers, numbers])


def make_x(how: FrontEnd, *arrays: Array) -> tuple[Array, Array]:
    """Return the rows of each recording before they are normalised.

    Args:
      how: what is heard.
      arrays: as `given` says, each [n, ...], NumPy's or jax's.

    Returns:
      x [n, rows, coef], and the number of real rows, [n] int32.
    """
    if how.of_voice:
        voice, *vectors = arrays
        xp, n = voice.__array_namespace__(), voice.shape[0]
        heard = [voice[:, np.array(columns(how.track_groups))], *(one.reshape(n, -1) for one in vectors)]
        return xp.concatenate(heard, axis=1)[:, None], xp.ones(n, np.int32)
    x, n = arrays
    if how.trim_db:
        x, n = trim(x, n, how.trim_db)
    return (add_deltas(x, n) if how.deltas else x), n


def find_scale(corpus: Corpus, how: FrontEnd) -> Scale | None:
    """Return what recordings like those of a corpus are normalised by: mean and deviation of all of its voices.

    Where each voice is normalised by its own clips, that is for voices of which there is too little. None where
    nothing of other recordings is of use.
    """
    if how.normalise not in ("corpus", "speaker"):
        return None
    x, n_rows = make_x(how, *given_of(corpus, how))
    every, voice = np.ones(len(x), bool), how.of_voice
    if voice and how.normalise == "speaker":
        return everybodys_scale(x, n_rows, np.unique(corpus.speaker, return_inverse=True)[1], every)
    one = scales(x, n_rows, np.zeros(len(x), int), every, MIN_VOICE_STD if voice else MIN_STD)
    return Scale(one.mean[0], one.std[0])


def apply_scale(corpus: Corpus, how: FrontEnd, scale: Scale) -> Corpus:
    """Return the corpus normalised by `find_scale` of another, to be heard as it is: without trimming or changes."""
    x, n_rows = make_x(how, *given_of(corpus, how))
    if not how.of_voice:
        return dataclasses.replace(corpus, mfcc=rescale(x, n_rows, scale), n_frames=n_rows)
    if how.normalise == "speaker":
        speaker = np.unique(corpus.speaker, return_inverse=True)[1]
        each = shrunk_to(scale, x, n_rows, speaker, np.ones(len(x), bool))
        scale = Scale(each.mean[speaker][:, None], each.std[speaker][:, None])
    voice, used = np.array(corpus.voice), columns(how.track_groups)
    statistics, vectors = np.split(rescale(x, n_rows, scale)[:, 0], [len(used)], axis=1)
    voice[:, used] = statistics
    vectors = vectors.reshape(len(x), *how.vectors) if how.vectors[0] else corpus.vectors
    return dataclasses.replace(corpus, voice=voice, vectors=vectors)


def trim(mfcc: Array, n_frames: Array, db: float) -> tuple[Array, Array]:
    """Drop leading and trailing frames whose mean level over mel bands is more than `db` below the loudest frame's.

    Of NumPy's or jax's arrays: mfcc [n, time, coef], n_frames [n] -> the same of what is left.
    """
    xp = mfcc.__array_namespace__()
    time = xp.arange(mfcc.shape[1])
    level = xp.where(time < n_frames[:, None], mfcc[:, :, 0], -xp.inf)
    loud = level >= level.max(axis=1, keepdims=True) - db * DB
    first, last = loud.argmax(axis=1), len(time) - 1 - loud[:, ::-1].argmax(axis=1)
    n_frames = (last - first + 1).astype(xp.int32)
    source = xp.minimum(first[:, None] + time, len(time) - 1)
    mfcc = xp.take_along_axis(mfcc, source[..., None], axis=1)
    return xp.where(real_frames(mfcc, n_frames), mfcc, 0).astype(xp.float32), n_frames


def add_deltas(mfcc: Array, n_frames: Array) -> Array:
    """Append |x_t - x_(t-1)| to the coefficients of each frame; the first frame has the second's.

    Of NumPy's or jax's arrays: [n, time, coef] -> [n, time, 2 * coef].
    """
    xp = mfcc.__array_namespace__()
    change = xp.abs(xp.diff(mfcc, axis=1))
    first = xp.where((n_frames > 1)[:, None, None], change[:, :1], 0)
    change = xp.concatenate([first, change], axis=1).astype(mfcc.dtype)
    return xp.concatenate([mfcc, xp.where(real_frames(mfcc, n_frames), change, 0)], axis=-1)


def normalise(corpus: Corpus, mode: str, train: np.ndarray, *, voice: bool = False) -> Corpus:
    """Return the corpus with its mfcc normalised.

    Args:
      corpus: utterances.
      mode: see the module's docstring.
      train: [m] int, indices of the training part; only "corpus" and "auto" use them.
      voice: mfcc is what is heard of a voice instead.

    Raises:
      InputError: unknown mode.
    """
    check_choice("normalise", mode, NORMALISATIONS)
    mode = resolve(corpus, mode, train)
    if mode == "none":
        return corpus
    if mode == "corpus":
        group, fit = np.zeros(len(corpus), int), np.isin(np.arange(len(corpus)), train)
    else:
        names = corpus.speaker if mode == "speaker" else corpus.file
        group, fit = np.unique(names, return_inverse=True)[1], np.ones(len(corpus), bool)
    if voice and mode == "speaker":
        scale = shrunk_scales(corpus.mfcc, corpus.n_frames, group, fit)
    else:
        scale = scales(corpus.mfcc, corpus.n_frames, group, fit, MIN_VOICE_STD if voice else MIN_STD)
    each = Scale(scale.mean[group][:, None], scale.std[group][:, None])
    return dataclasses.replace(corpus, mfcc=rescale(corpus.mfcc, corpus.n_frames, each))


def scales(
    mfcc: np.ndarray, n_frames: np.ndarray, group: np.ndarray, fit: np.ndarray, min_std: float = MIN_STD
) -> Scale:
    """Return mean and deviation of each coefficient over the real frames of each group of utterances.

    Args:
      mfcc: [n, time, coef]. n_frames: [n] int.
      group: [n] int, from 0. fit: [n] bool, the utterances that count; a group without one has mean 0.
      min_std: the least deviation, so that what hardly varies is not blown up.

    Returns:
      [group, coef] float64 each.
    """
    groups = group.max() + 1
    mask = real_frames(mfcc, n_frames)

    def total(values: np.ndarray) -> np.ndarray:  # [n, ...] -> [group, ...]
        out = np.zeros((groups, *values.shape[1:]))
        np.add.at(out, group[fit], values[fit])
        return out

    mfcc = mfcc.astype(np.float64)
    frames = np.maximum(total(mask.sum(1)), 1)
    mean = total((mfcc * mask).sum(1)) / frames
    var = total((np.square(mfcc - mean[group][:, None]) * mask).sum(1)) / frames
    return Scale(mean, np.maximum(np.sqrt(var), min_std))


def shrunk_scales(x: np.ndarray, n_frames: np.ndarray, group: np.ndarray, fit: np.ndarray) -> Scale:
    """Return each voice's mean and deviation, shrunk to those of all voices.

      mean = (n m_g + c m) / (n + c),      var = ((n - 1) v_g + d v) / (n - 1 + d)

    n clips of a voice have mean m_g and variance v_g; m is the mean of all m_g, v the variance that voices have in
    common, c = SHRINK, d = SHRINK_STD.

    Arguments, Returns: as `scales`, of groups of at least one utterance in all; a group without one has m and v.
    """
    return shrunk_to(everybodys_scale(x, n_frames, group, fit), x, n_frames, group, fit)


def shrunk_to(everybody: Scale, x: np.ndarray, n_frames: np.ndarray, group: np.ndarray, fit: np.ndarray) -> Scale:
    """Return `shrunk_scales` towards the mean and deviation of voices that are known already.

    Args:
      everybody: mean, std [coef], of `everybodys_scale`. Others, Returns: as `scales`.
    """
    own = scales(x, n_frames, group, fit, MIN_VOICE_STD)
    clips = np.bincount(group[fit], minlength=len(own.mean))[:, None]
    frames = np.bincount(group[fit], n_frames[fit], minlength=len(own.mean))[:, None]
    mean = (clips * own.mean + SHRINK * everybody.mean) / (clips + SHRINK)
    var = np.square(own.std) * frames / np.maximum(frames - 1, 1)
    more = np.maximum(clips - 1, 0)
    std = np.sqrt((more * var + SHRINK_STD * np.square(everybody.std)) / (more + SHRINK_STD))
    return Scale(mean, np.maximum(std, MIN_VOICE_STD))


def everybodys_scale(x: np.ndarray, n_frames: np.ndarray, group: np.ndarray, fit: np.ndarray) -> Scale:
    """Return the mean of all voices' means and the deviation that they have in common, [coef] float64 each.

    Of use to a voice of which there is no clip. Arguments: as `shrunk_scales`.
    """
    own = scales(x, n_frames, group, fit, MIN_VOICE_STD)
    frames = np.bincount(group[fit], n_frames[fit], minlength=len(own.mean))[:, None]
    mean = own.mean[frames[:, 0] > 0].mean(0)
    # A mean was taken of each group's frames; where all have one frame, nothing is left to tell of deviations.
    freedom = frames.sum() - (frames > 0).sum()
    if freedom:
        std = np.sqrt((frames * np.square(own.std)).sum(0) / freedom)
    else:
        std = scales(x, n_frames, np.zeros(len(x), int), fit, MIN_VOICE_STD).std[0]
    return Scale(mean, np.maximum(std, MIN_VOICE_STD))


def own_scale(x: Array, n_frames: Array) -> Scale:
    """Return each utterance's own mean and deviation over its real frames, [n, 1, coef]: NumPy's arrays or jax's."""
    xp = x.__array_namespace__()
    real = real_frames(x, n_frames)
    count = n_frames[:, None, None]
    mean = xp.where(real, x, 0).sum(axis=1, keepdims=True) / count
    var = xp.where(real, xp.square(x - mean), 0).sum(axis=1, keepdims=True) / count
    return Scale(mean, xp.maximum(xp.sqrt(var), MIN_STD))


def rescale(mfcc: Array, n_frames: Array, scale: Scale) -> Array:
    """Scale to mean 0 and deviation 1: NumPy's arrays or jax's.

    Args:
      mfcc: [n, time, coef]. n_frames: [n] int.
      scale: mean and std, [coef] or [n, 1, coef].

    Returns:
      [n, time, coef] float32, zero after the real frames.
    """
    xp = mfcc.__array_namespace__()
    scaled = (mfcc - scale.mean) / scale.std
    return xp.where(real_frames(mfcc, n_frames), scaled, 0).astype(xp.float32)


def real_frames(mfcc: Array, n_frames: Array) -> Array:
    """Return [n, time, 1] bool, which frames are no padding.

    Of mfcc [n, time, coef] and n_frames [n], NumPy's or jax's.
    """
    xp = mfcc.__array_namespace__()
    return (xp.arange(mfcc.shape[1]) < n_frames[:, None])[..., None]


def resolve(corpus: Corpus, mode: str, train: np.ndarray) -> str:
    """Return what "auto" is for a corpus; other modes are themselves.

    Normalising by speaker takes away what a speaker's recordings have in common. Where each speaker says one emotion,
    that is the emotion. So it is "speaker" where the training part's utterances are of speakers who say, on average, at
    least half of the emotions there, and "corpus" otherwise, or where the speakers are not known.
    """
    if mode != "auto":
        return mode
    speaker, label = corpus.speaker[train], corpus.label[train]
    if (corpus.speaker == UNKNOWN_SPEAKER).any():
        return "corpus"
    says = {name: len(np.unique(label[speaker == name])) for name in np.unique(speaker)}
    return "speaker" if np.mean([says[name] for name in speaker]) >= len(corpus.emotions) / 2 else "corpus"


def utterance_statistics(x: np.ndarray, n_frames: np.ndarray) -> np.ndarray:
    """Return mean, deviation and percentiles of each coefficient over the real frames: a plain classifier's input.

    Args:
      x: [n, time, coef] float, MFCC (normalised or not); what follows the real frames is not looked at.
      n_frames: [n] int, number of real frames, 1 to time.

    Returns:
      [n, 7 * coef] float64: all coefficients' means, then their deviations (of the frames, divisor n), then percentile
      after percentile (linear between frames), in the order of NAMES.
    """
    x = np.asarray(x, np.float64)
    out = np.empty((len(x), len(NAMES), x.shape[2]))
    # Utterances of equal length at once: they are all that numpy's percentile takes.
    for length in np.unique(n_frames):
        at = n_frames == length
        frames = x[at, :length]
        out[at, 0], out[at, 1] = frames.mean(1), frames.std(1)
        out[at, 2:] = np.moveaxis(np.percentile(frames, PERCENTILES, axis=1), 0, 1)
    return out.reshape(len(x), -1)
