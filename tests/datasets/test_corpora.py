"""What each corpus's builder knows: file names, emotions, its documents."""

import re
from pathlib import Path

import pytest
from tensorflow_datasets.core import dataset_metadata

from metaser_jax import datasets
from metaser_jax.datasets.recordings import Excluded, Parsed, Unknown
from metaser_jax.errors import InputError
from metaser_jax.labels import EMOTIONS, FOUR_EMOTIONS


@pytest.mark.parametrize(
    ("name", "stem", "expected"),
    [
        ("demo_persian", "f12_sad_03", ("f12", "sad", "sad")),
        ("emodb", "03a01Wa", ("03", "anger", "angry")),
        ("emodb", "16b10Fb", ("16", "happiness", "happy")),
        ("emodb", "08a02Nc", ("08", "neutral", "neutral")),
        ("emodb", "08a04Td", ("08", "sadness", "sad")),
        ("emodb", "08a05Le", ("08", "boredom", "boredom")),
        ("emodb", "08a07Ef", ("08", "disgust", "disgust")),
        ("emodb", "10b02Aa", ("10", "anxiety/fear", "fear")),
        ("ravdess", "03-01-01-01-02-01-12", ("12", "neutral", "neutral")),
        ("ravdess", "03-01-02-01-02-01-12", ("12", "calm", "calm")),
        ("ravdess", "03-01-03-02-02-01-01", ("01", "happy", "happy")),
        ("ravdess", "03-01-04-01-02-01-12", ("12", "sad", "sad")),
        ("ravdess", "03-01-05-01-02-01-24", ("24", "angry", "angry")),
        ("ravdess", "03-01-06-01-02-01-12", ("12", "fearful", "fear")),
        ("ravdess", "03-01-07-01-02-01-12", ("12", "disgust", "disgust")),
        ("ravdess", "03-01-08-01-02-01-12", ("12", "surprised", "surprise")),
        ("urdu", "SM1_F10_A010", ("SM1", "Angry", "angry")),
        ("urdu", "SF10_F1_H01", ("SF10", "Happy", "happy")),
        ("urdu", "SM5_F2_N02", ("SM5", "Neutral", "neutral")),
        ("urdu", "SF1_F2_S2", ("SF1", "Sad", "sad")),
    ],
)
def test_name_of_a_recording(tmp_path, name, stem, expected):
    assert datasets.builder(name, tmp_path).parse(Path("any", stem + ".wav")) == Parsed(*expected)


@pytest.mark.parametrize(
    ("name", "stem", "reason"),
    [
        ("demo_urdu", "f1_bored_01", "unknown emotion 'bored', expected one of: angry"),
        ("demo_urdu", "x1_angry_01", "unknown name 'x1_angry_01', expected speaker_emotion_number"),
        ("emodb", "03a01Xa", "unknown emotion 'X', expected one of: W anger"),
        ("emodb", "03a01F", "e.g. 03a01Fa"),
        ("ravdess", "03-01-09-01-02-01-12", "unknown emotion '09', expected one of: 01 neutral"),
        ("ravdess", "03-01-05-01-02-12", "seven numbers"),
        ("ravdess", "03-01-05-01-02-01-12 (1)", "seven numbers"),
        ("urdu", "SM1_F10_B010", "unknown emotion 'B'"),
        ("urdu", "recording7", "e.g. SM1_F10_A010"),
    ],
)
def test_unknown_name(tmp_path, name, stem, reason):
    said = datasets.builder(name, tmp_path).parse(Path(stem + ".wav"))
    assert isinstance(said, Unknown)
    assert reason in said.reason


@pytest.mark.parametrize(
    ("stem", "reason"),
    [("03-02-05-01-02-01-12", "a song"), ("01-01-05-01-02-01-12", "video"), ("02-02-05-01-02-01-12", "video")],
)
def test_other_parts_of_ravdess(tmp_path, stem, reason):
    said = datasets.builder("ravdess", tmp_path).parse(Path(stem + ".wav"))
    assert isinstance(said, Excluded)
    assert reason in said.reason


def test_only_songs_is_an_error(recordings_dir):
    (recordings_dir / "ravdess").mkdir()
    (recordings_dir / "ravdess" / "03-02-05-01-02-01-12.wav").touch()
    with pytest.raises(InputError, match=r"found 1 \.wav \(not part of this corpus: a song"):
        datasets.check("ravdess", recordings_dir)


def test_low_agreement_files_of_emodb_2(recordings_dir):
    folder = recordings_dir / "emodb"
    folder.mkdir()
    for i in range(536):
        (folder / f"{i // 100:02d}a{i % 100:02d}Wa.wav").touch()
    with pytest.raises(InputError, match=r"536 recordings, the corpus has 535\. The 2\.0 release adds 281"):
        datasets.check("emodb", recordings_dir)
    next(folder.iterdir()).unlink()
    datasets.check("emodb", recordings_dir)


def test_names():
    assert tuple(sorted(datasets.NAMES)) == datasets.NAMES
    assert {"ravdess", "emodb", "urdu", "demo_english", "demo_german"} <= set(datasets.NAMES)


def test_unknown_corpus(tmp_path):
    with pytest.raises(InputError, match=r"expected one of: demo_english.*Did you mean 'ravdess'"):
        datasets.builder("ravdes", tmp_path)


@pytest.mark.parametrize("name", datasets.NAMES)
class TestEveryCorpus:
    """The contract of a builder."""

    def test_name_and_documents(self, name, tmp_path):
        builder = datasets.builder(name, tmp_path)
        assert builder.name == name
        assert len(builder.info.description) > 100
        assert builder.info.citation.startswith("@")
        assert set(builder.get_metadata().tags) <= set(dataset_metadata.valid_tags())
        assert "MANUAL_DIR/" in builder.MANUAL_DOWNLOAD_INSTRUCTIONS

    def test_emotions(self, name, tmp_path):
        labels = [label for _, label in datasets.builder(name, tmp_path).EMOTION_OF_CODE.values()]
        assert set(FOUR_EMOTIONS) <= set(labels) <= set(EMOTIONS)

    def test_documented_layout_is_what_is_read(self, name, tmp_path):
        builder = datasets.builder(name, tmp_path)
        assert builder.layout.startswith(name + "/")
        assert isinstance(builder.parse(Path(builder.layout)), Parsed)
        example = re.search(r"e\.g\. (\S+)", builder.STEM_MEANS)[1]
        assert isinstance(builder.parse(Path(example + ".wav")), Parsed)


@pytest.mark.parametrize(
    ("name", "speakers", "counts"),
    [
        ("ravdess", 24, {"angry": 192, "happy": 192, "neutral": 96, "sad": 192}),
        ("emodb", 10, {"angry": 127, "happy": 71, "neutral": 79, "sad": 62}),
        ("urdu", 29, {"angry": 100, "happy": 100, "neutral": 100, "sad": 100}),
    ],
)
def test_real_corpora(real_corpora, tmp_path, name, speakers, counts):
    builder = datasets.builder(name, tmp_path)
    found = builder.listing(real_corpora)
    assert len(found.recordings) == builder.PUBLISHED
    assert not found.excluded
    assert len({recording.parsed.speaker for recording in found.recordings}) == speakers
    labels = [recording.parsed.label for recording in found.recordings]
    assert {label: labels.count(label) for label in FOUR_EMOTIONS} == counts
