"""Input normalisation: MFCC to mean 0 and deviation 1 per coefficient, over real frames only; the padding stays zero.

none       as the paper
corpus     statistics of the corpus's training part
speaker    statistics of all of a speaker's utterances, which needs no labels; a test speaker's own recordings are
           used, so every method in a comparison must be given the same
utterance  statistics of the utterance itself
auto       speaker where a speaker's emotion can be heard apart from the speaker, else corpus: see `resolve`
"""

import dataclasses

import numpy as np

from metaser_jax.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.errors import check_choice

MODES = ("none", "corpus", "speaker", "utterance", "auto")
# MFCC are of the order of 10; a coefficient that hardly varies (digital silence) is not blown up.
MIN_STD = 1e-2


def normalise(corpus: Corpus, mode: str, train: np.ndarray) -> Corpus:
    """The corpus with its mfcc normalised.

    Args:
      corpus: utterances.
      mode: see the module's docstring.
      train: [m] int, indices of the training part; only "corpus" and "auto" use them.

    Raises:
      InputError: unknown mode.
    """
    check_choice("normalise", mode, MODES)
    mode = resolve(corpus, mode, train)
    if mode == "none":
        return corpus
    mask = (np.arange(corpus.mfcc.shape[1]) < corpus.n_frames[:, None])[..., None]
    if mode == "corpus":
        group, fit = np.zeros(len(corpus), int), np.isin(np.arange(len(corpus)), train)
    else:
        names = corpus.speaker if mode == "speaker" else corpus.file
        group, fit = np.unique(names, return_inverse=True)[1], np.ones(len(corpus), bool)
    groups = group.max() + 1

    def total(values: np.ndarray) -> np.ndarray:  # [n, ...] -> [group, ...]
        out = np.zeros((groups, *values.shape[1:]))
        np.add.at(out, group[fit], values[fit])
        return out

    mfcc = corpus.mfcc.astype(np.float64)
    frames = np.maximum(total(mask.sum(1)), 1)
    mean = (total((mfcc * mask).sum(1)) / frames)[group][:, None]
    var = (total((np.square(mfcc - mean) * mask).sum(1)) / frames)[group][:, None]
    scaled = np.where(mask, (mfcc - mean) / np.maximum(np.sqrt(var), MIN_STD), 0)
    return dataclasses.replace(corpus, mfcc=scaled.astype(np.float32))


def resolve(corpus: Corpus, mode: str, train: np.ndarray) -> str:
    """What "auto" is for a corpus; other modes are themselves.

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
