"""Each warning where it helps, and none where nothing is wrong."""

import dataclasses

import numpy as np
import pytest

from metaser_jax.adaptation.clip_warnings import warnings_of
from metaser_jax.audio.clips import Clip, Quality
from metaser_jax.data.corpus import Corpus
from metaser_jax.emotions import FOUR_EMOTIONS

DB = 128**0.5
GOOD = Quality(peak=0.5, clipped=0.0, loudness_db=-20.0, channels=1)
N = np.arange(20)
LABEL = np.repeat(np.arange(4), 5)


def clip(seed: int, seconds: float = 2.5, rate: int = 44100, silent_after: float = 99.0, **quality) -> Clip:
    """A clip whose features depend on `seed` alone; speech until `silent_after` seconds."""
    frames = np.random.default_rng(seed).normal(size=(1 + int(seconds * 22050) // 512, 20)).astype(np.float32)
    frames[int(silent_after * 22050 / 512) :, 0] -= 30 * DB
    return Clip(frames, seconds, rate, f"{seed:064x}", GOOD._replace(**quality))


def good(per_class: int = 5) -> tuple[list[Clip], Corpus]:
    """Clips of which nothing is wrong: every speaker says every emotion."""
    label = np.repeat(np.arange(4), per_class)
    speaker, ones = np.array([f"s{i % 5}" for i in range(len(label))]), np.ones(len(label), np.int32)
    file = np.array([f"{FOUR_EMOTIONS[e]}/{i}.wav" for i, e in enumerate(label)])
    corpus = Corpus("the clips", "", ones, ones, label, speaker, file, ones, FOUR_EMOTIONS)
    return [clip(i, loudness_db=-20.0 - i % 7) for i in range(len(label))], corpus


@pytest.mark.parametrize("per_class", [1, 2, 5, 20])
def test_nothing_is_said_of_good_clips(per_class):
    assert warnings_of(*good(per_class)) == []


@pytest.mark.parametrize(
    ("keep", "speaker", "said"),
    [
        (N, [f"s{i}" for i in N], None),  # one clip of each of many speakers is no confound
        (LABEL != 3, None, ["sad (angry 5, happy 5, neutral 5, sad 0)"]),
        (LABEL < 2, None, ["neutral and none of sad"]),
        (N < 18, None, None),  # 3 of 5
        (N < 17, None, ["sad as of another emotion (angry 5, happy 5, neutral 5, sad 2)"]),
        (N, ["anna"] * 20, ["All 20 clips", "anna"]),
        (N, ["unknown"] * 20, ["any clip", "--speaker_pattern"]),
        (N, ["unknown", *(f"s{i % 5}" for i in N[1:])], ["1 of 20 clips"]),
        (N, [f"s{label}{i % 2}" for i, label in enumerate(LABEL)], ["8 of the 8 speakers"]),
    ],
)
def test_labels_and_speakers(keep, speaker, said):
    clips, corpus = good()
    if speaker is not None:
        corpus = dataclasses.replace(corpus, speaker=np.array(speaker))
    found = warnings_of([clips[i] for i in N[keep]], corpus.take(N[keep]))
    assert len(found) == (said is not None)
    assert all(text in found[0] for text in said or ())


def test_contradictions_are_said_first_and_loudest():
    clips, corpus = good()
    clips[7], clips[8] = clips[2]._replace(sha256="another file"), clips[9]
    first, second = warnings_of(clips, corpus)
    assert first.startswith("CONTRADICTION: 1 recording")
    assert "angry/2.wav (angry) = happy/7.wav (happy)" in first
    assert "happy/8.wav = happy/9.wav" in second
    clips, corpus = good()
    clips[1] = clips[12] = clip(99, loudness_db=-np.inf)
    (text,) = warnings_of(clips, corpus)
    assert "2 clips in which nothing can be heard: angry/1.wav, neutral/12.wav" in text, "silence is no copy"


def loud(*levels):
    """Each emotion so loud, within 1 dB."""
    return lambda i, label: {"loudness_db": levels[label] - (i % 2)}


def two(**changes):
    """Two clips that are otherwise."""
    return lambda i, label: changes if i in (1, 6) else {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda i, label: {"rate": 22050 if label == 3 else 44100}, "22,050 Hz: 5 sad; 44,100 Hz: 5 angry, 5 happy"),
        (lambda i, label: {"rate": (22050, 44100)[i % 2]}, None),  # by chance
        (lambda i, label: {"channels": 1 + int(label < 2)}, "1: 5 neutral, 5 sad; 2: 5 angry"),
        (loud(-20, -20, -20, -20), None),
        (loud(-15, -20, -28, -35), None),  # as people are
        (loud(-10, -20, -28, -45), "Every clip of angry is louder than every clip of sad, by 34 dB"),
        (loud(-28, -28, -20, -28), "Every clip of neutral is louder than every clip of angry, by 7 dB"),
        (loud(-20, -20, -20, -5), "Every clip of sad is louder than every clip of neutral, by 14 dB"),
        (two(clipped=0.001), "too loud, so that the wave is cut off: angry/1.wav, happy/6.wav."),
        (two(loudness_db=-80.0), "2 clips in which nothing can be heard"),
        (two(peak=9000.0), "full scale"),
        (two(seconds=4.0), "after 2.79 s: angry/1.wav"),
        (two(seconds=4.0, silent_after=3.0), None),
        (two(rate=8000), "8,000 Hz"),
    ],
)
def test_what_tells_the_emotion_and_what_is_wrong_with_the_sound(changes, said):
    clips, corpus = good()
    clips = [clip(i, **{"loudness_db": -20.0 - i % 7} | changes(i, corpus.label[i])) for i in range(20)]
    found = warnings_of(clips, corpus)
    assert (found == []) == (said is None)
    assert said is None or said in "\n".join(found)
