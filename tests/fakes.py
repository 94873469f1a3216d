"""Small made-up corpora: one direction in feature space per emotion, so that something can be learned."""

import numpy as np

from metaser_jax.corpus import Corpus
from metaser_jax.labels import FOUR_EMOTIONS


def fake_corpus(name="fake", per_emotion=12, speakers=6, frames=10, seed=0, noise=0.5) -> Corpus:
    """A corpus of 4 * per_emotion utterances whose speakers say every emotion."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(4, dtype=np.int32), per_emotion)
    n = len(label)
    n_frames = rng.integers(frames // 2, frames + 1, n).astype(np.int32)
    mfcc = rng.normal(size=(n, frames, 20), scale=noise) + 3 * np.eye(20)[label][:, None]
    mfcc *= (np.arange(frames) < n_frames[:, None])[..., None]
    return Corpus(
        name=name,
        language="Esperanto",
        mfcc=mfcc.astype(np.float32),
        n_frames=n_frames,
        label=label,
        speaker=np.array([f"s{i % speakers}" for i in range(n)]),
        file=np.array([f"{FOUR_EMOTIONS[e]}/{i:04d}.wav" for i, e in enumerate(label)]),
        seconds=n_frames.astype(np.float32),
        emotions=FOUR_EMOTIONS,
    )
