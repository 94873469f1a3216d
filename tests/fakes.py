"""Small made-up corpora: one direction in feature space per emotion, so that something can be learned; and models."""

import dataclasses
import functools
import hashlib
import json
import re
from pathlib import Path

import numpy as np
from encoder_reference import made_state

from metaser_jax.audio.encoder import Encoder, make_encoder, pack
from metaser_jax.data import together
from metaser_jax.data.corpus import CLIPS, Corpus
from metaser_jax.data.inputs import Scale
from metaser_jax.data.together import Labelled, Shape, count_labelled
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.arrays import specs, unpack
from metaser_jax.recogniser.encoder_files import from_torch
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import STATISTICS


def fake_corpus(name="fake", per_emotion=12, speakers=6, frames=10, seed=0, noise=0.5) -> Corpus:
    """A corpus of 4 * per_emotion utterances whose speakers say every emotion."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(4, dtype=np.int32), per_emotion)
    n = len(label)
    n_frames = rng.integers(frames // 2, frames + 1, n).astype(np.int32)
    mfcc = rng.normal(size=(n, frames, 20), scale=noise) + 3 * np.eye(20)[label][:, None]
    mfcc *= (np.arange(frames) < n_frames[:, None])[..., None]
    voice = rng.normal(size=(n, len(STATISTICS)), scale=noise) + 3 * np.eye(len(STATISTICS))[label]
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
        voice=voice.astype(np.float32),
    )


def fake_voice(label, seed=0, noise=0.5) -> np.ndarray:
    """Statistics of the voice [n, 171] of utterances with these labels [n]."""
    rng = np.random.default_rng(seed)
    statistics = 3 * np.eye(len(STATISTICS))[label] + rng.normal(size=(len(label), len(STATISTICS)), scale=noise)
    return statistics.astype(np.float32)


@functools.cache
def made_encoder(seed=0) -> Encoder:
    """A speech encoder of made weights, those of encoder_reference.npz."""
    return make_encoder(pack(from_torch(made_state(seed))))


def fake_vectors(label, k=3, d=256, seed=0, noise=0.05) -> np.ndarray:
    """What an encoder hears [n, k, d] of utterances with these labels [n]."""
    rng = np.random.default_rng(seed)
    of_label = rng.normal(size=(4, k, d), scale=noise)[label]
    return (of_label + rng.normal(size=of_label.shape, scale=noise)).astype(np.float32)


def says_vectors(text, vectors):
    """Whether four numbers in a text follow each other as in the vectors, to three digits."""
    numbers = np.array([float(found) for found in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)] or [0.0])
    runs = np.lib.stride_tricks.sliding_window_view(np.pad(numbers, (0, 4), constant_values=np.nan), 4)
    known = np.lib.stride_tricks.sliding_window_view(vectors.ravel(), 4)
    known = known[(np.abs(known) > 1e-3).all(1)]
    return any((np.abs(known - run) < 1e-3 * np.abs(run)).all(1).any() for run in runs if np.isfinite(run).all())


def fake_model(
    hidden_dim=4, clips=8, seed=0, temperature=1.5, start=True, rates=True, emotions=FOUR_EMOTIONS, **settings
) -> Model:
    """A model with random parameters, whose logits differ, and all that `metaser adapt` says about one.

    Args:
      clips: of the support set; 0 leaves it out. start, rates: whether the model has them.
      **settings: other fields of Settings than these; the recommended ones by default, of a model over MFCC, or, with
        other features, of one over the voice.
    """
    default = {"pooling": "mean_std", "activation": "relu", "input_statistics": True, "trim_db": 26.5, "deltas": True}
    if settings.get("features", "mfcc") != "mfcc":
        default = {"network": "perceptron", "members": 2}
    how = ModelSpec(emotions=emotions, hidden_dim=hidden_dim, **{"normalise": "corpus", **default, **settings})
    rng = np.random.default_rng(seed)
    want = specs(how, {})
    in_order = sorted((name for name in want if name.startswith("params/")), key=_drawn)

    def params(low, high):
        flat = {name: rng.uniform(low, high, want[name].shape) for name in in_order}
        # As a deviation, which is not negative.
        flat = {name: np.abs(a) + 0.5 if name == "params/standardise/scale" else a for name, a in flat.items()}
        return unpack({name: a.astype(np.float32) for name, a in flat.items()})["params"]

    coefs = how.coefs
    scale = Scale(rng.normal(size=coefs), rng.uniform(1, 2, coefs)) if "scale/mean" in want else None
    corpus = fake_corpus(per_emotion=-(-clips // 4), speakers=2, frames=120, seed=seed)
    corpus = corpus.take(np.arange(len(corpus)).reshape(4, -1).T.ravel()[:clips])  # all emotions from the first four on
    support = dataclasses.replace(
        corpus,
        name=CLIPS,
        language="",
        label=(corpus.label % len(emotions)).astype(np.int32),
        emotions=emotions,
        sha256=np.array([hashlib.sha256(file.encode()).hexdigest() for file in corpus.file]),
        seconds=(corpus.n_frames * 512 / 22050).astype(np.float32),
        voice=fake_voice(corpus.label, seed) if how.of_voice else None,
        vectors=fake_vectors(corpus.label, *how.vectors, seed) if how.vectors[0] else None,
        vectors_of=made_encoder().digest if how.features == "encoder" else how.embeddings_name,
    )
    return Model(
        settings=how,
        params=params(-1, 1),
        scale=scale,
        temperature=temperature,
        start=Start(params(-1, 1), params(0, 0.1) if rates else None) if start else None,
        support=support if clips else None,
        about=fake_about(emotions, clips),
        shape=fake_shape(how, seed) if how.of_voice else None,
        labelled=fake_labelled(how, support.label, seed) if how.of_voice and clips else None,
        encoder=made_encoder() if how.features == "encoder" else None,
    )


def fake_shape(settings, seed=0) -> Shape:
    """What sources say of a network's input: each emotion has a direction of its own, as in fake_voice."""
    classes, coefs = len(settings.emotions), settings.coefs
    mean = 2.0 * np.eye(classes, coefs)
    half = np.random.default_rng(seed).normal(size=(coefs, coefs), scale=0.01)
    shape = Shape(mean - mean.mean(0), np.full((classes, coefs), 0.8), np.eye(coefs) + half + half.T)
    return together.unpack(together.pack(shape))


def fake_labelled(settings, label, seed=0) -> Labelled:
    """What clips with these labels [n] count for."""
    heard = 2.0 * np.eye(len(settings.emotions), settings.coefs)[label]
    return count_labelled(heard, label, len(settings.emotions))


def _drawn(name: str) -> list[int]:
    """The place of a parameter in the order in which they are drawn at random."""
    order = "params voice lstm_1 lstm_2 hidden output standardise kernel_input kernel_recurrent kernel bias shift scale"
    return [order.split().index(part) for part in name.split("/")]


def fake_about(emotions=FOUR_EMOTIONS, clips=8) -> dict:
    """Every key that a model's `about` may have: what the folder of version 1 says, of these emotions and clips."""
    about = json.loads((Path(__file__).parent / "recogniser" / "version_1" / "model.json").read_text())["about"]
    per_emotion = {emotion: len(range(i, clips, len(emotions))) for i, emotion in enumerate(emotions)}
    about["support"] |= {"n_per_emotion": per_emotion, "seconds": 2.5 * clips}
    about["cross_validation"] |= {
        "n": clips,
        "chance": 1 / len(emotions),
        "confusion": np.diag(list(per_emotion.values())).tolist(),
        "emotions": list(emotions),
        "verdict": f"With {clips} clips the score says little.",
    }
    tried = {"tried": 1.5, "nll_tried": 1.2, "ece_tried": 0.1}
    about["calibration"] |= {"n": clips, **tried, "verdict": "Calibrated with temperature 1.50. It helps."}
    return about
