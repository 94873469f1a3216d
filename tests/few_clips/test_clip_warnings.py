"""Each warning where it helps, and none where nothing is wrong."""

import numpy as np
import pytest

from metaser_jax.adaptation import clip_warnings
from metaser_jax.adaptation.clip_warnings import one_emotion_speakers, tells
from metaser_jax.audio.clips import Clip, Quality
from metaser_jax.data.corpus import Corpus
from metaser_jax.emotions import FOUR_EMOTIONS

DB = 128**0.5
GOOD = Quality(peak=0.5, clipped=0.0, loudness_db=-20.0, channels=1)


def clip(seed: int, seconds: float = 2.5, rate: int = 44100, silent_after: float = 99.0, **quality) -> Clip:
    """A clip whose features depend on `seed` alone; speech until `silent_after` seconds."""
    frames = np.random.default_rng(seed).normal(size=(1 + int(seconds * 22050) // 512, 20)).astype(np.float32)
    frames[int(silent_after * 22050 / 512) :, 0] -= 30 * DB
    return Clip(frames, seconds, rate, f"{seed:064x}", GOOD._replace(**quality))


def warnings_of(clips, labels, speakers, files, emotions):
    n = len(clips)
    arrays = (
        np.zeros((n, 1, 20), np.float32),
        np.ones(n, np.int32),
        np.array(labels),
        np.array(speakers),
        np.array(files),
    )
    corpus = Corpus("the clips", "", *arrays, np.ones(n, np.float32), tuple(emotions))
    return clip_warnings.warnings_of(clips, corpus)


def good(per_class: int = 5, speakers: int = 5):
    """Clips of which nothing is wrong: every speaker says every emotion."""
    labels = np.repeat(np.arange(4), per_class)
    clips = [clip(i, loudness_db=-20.0 - i % 7) for i in range(4 * per_class)]
    names = np.array([f"s{i % speakers}" for i in range(4 * per_class)])
    files = np.array([f"{FOUR_EMOTIONS[label]}/{i}.wav" for i, label in enumerate(labels)])
    return clips, labels, names, files


def warned(clips, labels, speakers, files, emotions=FOUR_EMOTIONS) -> str:
    """The one warning."""
    (text,) = warnings_of(clips, labels, speakers, files, emotions)
    return text


def without(given, keep):
    return ([one for one, kept in zip(given[0], keep, strict=True) if kept], *(one[keep] for one in given[1:]))


@pytest.mark.parametrize("per_class", [1, 2, 5, 20])
def test_nothing_is_said_of_good_clips(per_class):
    assert warnings_of(*good(per_class), FOUR_EMOTIONS) == []


def test_one_clip_of_each_of_many_speakers_is_no_confound():
    clips, labels, _, files = good()
    assert warnings_of(clips, labels, [f"s{i}" for i in range(20)], files, FOUR_EMOTIONS) == []


def test_a_missing_emotion():
    given = good()
    text = warned(*without(given, given[1] != 3))
    assert "No clip of sad (angry 5, happy 5, neutral 5, sad 0)" in text
    assert "Record as many as of the others" in text
    text = warned(*without(given, given[1] < 2))
    assert "No clip of neutral and none of sad" in text


def test_few_clips_of_an_emotion():
    given = good()
    index = np.arange(20)
    assert warnings_of(*without(given, index < 18), FOUR_EMOTIONS) == []  # 3 of 5
    text = warned(*without(given, index < 17))
    assert "Fewer than half as many clips of sad as of another emotion (angry 5, happy 5, neutral 5, sad 2)" in text


def test_contradictions_are_said_first_and_loudest():
    clips, labels, speakers, files = good()
    clips[7] = clips[2]._replace(sha256="another file")
    clips[8] = clips[9]
    first, second = warnings_of(clips, labels, speakers, files, FOUR_EMOTIONS)
    assert first.startswith("CONTRADICTION: 1 recording labelled as more than one emotion")
    assert "angry/2.wav (angry) = happy/7.wav (happy)" in first
    assert "1 recording given more than once: happy/8.wav = happy/9.wav. Copies teach nothing" in second


def test_silence_is_no_duplicate():
    clips, labels, speakers, files = good()
    clips[1] = clips[12] = clip(99, loudness_db=-np.inf)
    text = warned(clips, labels, speakers, files)
    assert "2 clips in which nothing can be heard: angry/1.wav, neutral/12.wav." in text


def test_one_speaker():
    clips, labels, _, files = good()
    assert "All 20 clips are of one speaker, anna: " in warned(clips, labels, ["anna"] * 20, files)


def test_unknown_speakers():
    clips, labels, speakers, files = good()
    text = warned(clips, labels, ["unknown"] * 20, files)
    assert "It is not known who speaks in any clip" in text
    assert "--speaker_pattern" in text
    speakers = ["unknown", *speakers[1:]]
    assert "It is not known who speaks in 1 of 20 clips" in warned(clips, labels, speakers, files)


def test_speakers_who_say_one_emotion():
    clips, labels, _, files = good()
    text = warned(clips, labels, [f"s{label}{i % 2}" for i, label in enumerate(labels)], files)
    assert "8 of the 8 speakers with several clips say one emotion only: the voice tells the emotion" in text


def test_some_speakers_who_say_one_emotion():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
    assert one_emotion_speakers(labels, np.array(list("aaabbbccdd")), 4) == (4, 4)
    assert one_emotion_speakers(labels, np.array(list("aaabbbbcdd")), 4) == (2, 3)
    assert one_emotion_speakers(labels, np.array(list("abcabcabab")), 4) is None
    assert one_emotion_speakers(labels, np.array(list("aabcdefghi")), 4) is None  # one pair, which is nothing to go by


def test_sample_rates_that_tell_the_emotion():
    clips, labels, speakers, files = good()
    sad = [one._replace(sample_rate=22050) if label == 3 else one for one, label in zip(clips, labels, strict=True)]
    text = warned(sad, labels, speakers, files)
    assert "The sample rate goes with the emotion (22,050 Hz: 5 sad; 44,100 Hz: 5 angry, 5 happy, 5 neutral)" in text
    mixed = [one._replace(sample_rate=(22050, 44100)[i % 2]) for i, one in enumerate(clips)]
    assert warnings_of(mixed, labels, speakers, files, FOUR_EMOTIONS) == []


def test_channels_that_tell_the_emotion():
    clips, labels, speakers, files = good()
    stereo = [
        one._replace(quality=one.quality._replace(channels=1 + int(label < 2)))
        for one, label in zip(clips, labels, strict=True)
    ]
    text = warned(stereo, labels, speakers, files)
    assert "The number of channels goes with the emotion (1: 5 neutral, 5 sad; 2: 5 angry" in text


def test_what_tells_by_chance_is_not_said():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 5)
    said = sum(tells(rng.integers(2, size=20), labels) for _ in range(60))
    assert said <= 2
    assert not tells(np.array([0, 1]), np.array([0, 1]))  # two clips say nothing
    assert tells(labels // 2, labels)


@pytest.mark.parametrize(
    ("loudness", "said"),
    [
        ((-20, -20, -20, -20), None),
        ((-15, -20, -28, -35), None),  # as people are
        ((-10, -20, -28, -45), "Every clip of angry is louder than every clip of sad, by 34 dB or more"),
        ((-28, -28, -20, -28), "Every clip of neutral is louder than every clip of angry, by 7 dB or more"),
        ((-20, -20, -20, -5), "Every clip of sad is louder than every clip of neutral, by 14 dB or more"),
    ],
)
def test_loudness_that_tells_the_emotion(loudness, said):
    clips, labels, speakers, files = good()
    clips = [
        one._replace(quality=one.quality._replace(loudness_db=loudness[label] - (i % 2)))
        for i, (one, label) in enumerate(zip(clips, labels, strict=True))
    ]
    found = "\n".join(warnings_of(clips, labels, speakers, files, FOUR_EMOTIONS))
    assert (said in found) if said else found == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clipped": 0.001}, "recorded too loud, so that the wave is cut off: angry/1.wav, happy/6.wav."),
        ({"loudness_db": -58.0}, "very quiet (below -55 dBFS): angry/1.wav"),
        ({"loudness_db": -80.0}, "2 clips in which nothing can be heard: angry/1.wav"),
        ({"peak": 9000.0}, "far beyond 1 (full scale): angry/1.wav"),
        ({"seconds": 0.9}, "shorter than a second: angry/1.wav"),
        ({"seconds": 4.0}, "in which somebody still speaks after 2.79 s: angry/1.wav"),
        ({"seconds": 4.0, "silent_after": 3.0}, None),
        ({"seconds": 2.9}, None),
        ({"rate": 8000}, "of a low sample rate (8,000 Hz): angry/1.wav"),
        ({"rate": 16000}, None),
        ({"clipped": 0.0001}, None),
        ({"peak": 1.05}, None),
    ],
)
def test_sound_and_length(change, said):
    clips, labels, speakers, files = good()
    for i in (1, 6):
        clips[i] = clip(i, **change)
    found = warnings_of(clips, labels, speakers, files, FOUR_EMOTIONS)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_at_most_five_files_are_named():
    clips, labels, speakers, files = good()
    clips = [clip(i, seconds=0.5) for i in range(20)]
    text = warned(clips, labels, speakers, files)
    assert "20 clips shorter than a second" in text
    assert "angry/4.wav and 15 more. " in text
    assert "happy/5.wav" not in text


def test_urdu_confounds_speakers(real_corpora):
    """Its speakers say one emotion each; EMO-DB's say all."""
    for corpus, confounded in (("urdu", True), ("emodb", False)):
        labels, speakers = _said(sorted((real_corpora / corpus).glob("*/*")), corpus)
        assert len(labels) > 300
        assert (one_emotion_speakers(labels, speakers, 4) is not None) == confounded


def _said(paths, corpus):
    """Labels and speakers as the files' names tell them."""
    if corpus == "urdu":
        return np.unique([p.parent.name for p in paths], return_inverse=True)[1], np.array(
            [p.stem.split("_")[0] for p in paths]
        )
    kept = [path for path in paths if path.stem[5] in "WFNT"]
    return np.array(["WFNT".index(path.stem[5]) for path in kept]), np.array([path.stem[:2] for path in kept])
