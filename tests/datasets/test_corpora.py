"""What each corpus's builder knows: file names, emotions, its documents."""

import re
from pathlib import Path

import pytest
from tensorflow_datasets.core import dataset_metadata

from metaser_jax import datasets
from metaser_jax.datasets.recordings import Excluded, Parsed, Unknown
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import InputError


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
        ("emovo", "rab-f1-b1", ("f1", "rabbia (anger)", "angry")),
        ("emovo", "gio-m3-n5", ("m3", "gioia (joy)", "happy")),
        ("emovo", "neu-f2-l4", ("f2", "neutrale (neutral)", "neutral")),
        ("emovo", "tri-m1-d2", ("m1", "tristezza (sadness)", "sad")),
        ("emovo", "dis-f3-b2", ("f3", "disgusto (disgust)", "disgust")),
        ("emovo", "pau-f1-b3", ("f1", "paura (fear)", "fear")),
        ("emovo", "sor-m2-l1", ("m2", "sorpresa (surprise)", "surprise")),
        ("ravdess", "03-01-01-01-02-01-12", ("12", "neutral", "neutral")),
        ("ravdess", "03-01-02-01-02-01-12", ("12", "calm", "calm")),
        ("ravdess", "03-01-03-02-02-01-01", ("01", "happy", "happy")),
        ("ravdess", "03-01-04-01-02-01-12", ("12", "sad", "sad")),
        ("ravdess", "03-01-05-01-02-01-24", ("24", "angry", "angry")),
        ("ravdess", "03-01-06-01-02-01-12", ("12", "fearful", "fear")),
        ("ravdess", "03-01-07-01-02-01-12", ("12", "disgust", "disgust")),
        ("ravdess", "03-01-08-01-02-01-12", ("12", "surprised", "surprise")),
        ("savee", "DC_a01", ("DC", "anger", "angry")),
        ("savee", "JE/h15", ("JE", "happiness", "happy")),
        ("savee", "any/JK/n30", ("JK", "neutral", "neutral")),
        ("savee", "kl/sa03", ("KL", "sadness", "sad")),
        ("savee", "KL/DC/h02", ("DC", "happiness", "happy")),  # in somebody's copy
        ("savee", "KL/KL_su03", ("KL", "surprise", "surprise")),
        ("savee", "ALL/DC_d15", ("DC", "disgust", "disgust")),
        ("savee", "JE/f09", ("JE", "fear", "fear")),
        ("shemo", "F01A01", ("F01", "anger", "angry")),
        ("shemo", "M56H02", ("M56", "happiness", "happy")),
        ("shemo", "F31N10", ("F31", "neutral", "neutral")),
        ("shemo", "M02S09", ("M02", "sadness", "sad")),
        ("shemo", "M02W09", ("M02", "surprise", "surprise")),
        ("shemo", "F02F01", ("F02", "fear", "fear")),
        ("tess", "OAF_back_angry", ("OAF", "angry", "angry")),
        ("tess", "YAF_young_happy", ("YAF", "happy", "happy")),
        ("tess", "OA_bite_neutral", ("OAF", "neutral", "neutral")),  # lacks the F
        ("tess", "YAF_bath_sad", ("YAF", "sad", "sad")),
        ("tess", "YAF_bath_disgust", ("YAF", "disgust", "disgust")),
        ("tess", "YAF_bath_fear", ("YAF", "fear", "fear")),
        ("tess", "YAF_bath_ps", ("YAF", "pleasant surprise", "surprise")),
        ("urdu", "SM1_F10_A010", ("SM1", "Angry", "angry")),
        ("urdu", "SF10_F1_H01", ("SF10", "Happy", "happy")),
        ("urdu", "SM5_F2_N02", ("SM5", "Neutral", "neutral")),
        ("urdu", "SF1_F2_S2", ("SF1", "Sad", "sad")),
    ],
)
def test_name_of_a_recording(tmp_path, name, stem, expected):
    assert datasets.builder(name, tmp_path).parse(Path("any", stem + ".wav")) == Parsed(*expected)


@pytest.mark.parametrize(
    ("name", "stem", "documented"),
    [
        ("tess", "oaf_back_angry", "OAF_back_angry"),
        ("tess", "OAF_Back_PS", "OAF_back_ps"),
        ("savee", "dc_A01", "DC_a01"),
        ("savee", "DC/SA12", "DC/sa12"),
        ("emodb", "03A01fA", "03a01Fa"),
        ("emovo", "RAB-F1-B1", "rab-f1-b1"),
        ("shemo", "f01a01", "F01A01"),
        ("urdu", "sm1_f10_a010", "SM1_F10_A010"),
        ("urdu", "Copy of SM1_F10_A010", "SM1_F10_A010"),
        ("urdu", "SM1_F10_A010 (1)", "SM1_F10_A010"),
        ("urdu", "SM1_F10_A010 - Copy (2)", "SM1_F10_A010"),
        ("ravdess", "03-01-05-01-02-01-12 copy 2", "03-01-05-01-02-01-12"),
    ],
)
def test_names_of_a_copy_or_in_another_case(tmp_path, name, stem, documented):
    builder = datasets.builder(name, tmp_path)
    said, expected = builder.parse(Path(stem + ".wav")), builder.parse(Path(documented + ".wav"))
    assert isinstance(expected, Parsed)
    assert said == expected._replace(stem=Path(documented).name)
    assert builder.key(Path(stem + ".wav"), said) == builder.key(Path(documented + ".wav"), expected)


@pytest.mark.parametrize(
    ("name", "stem", "reason"),
    [
        ("demo_urdu", "f1_bored_01", "unknown emotion 'bored', expected one of: angry"),
        ("demo_urdu", "x1_angry_01", "unknown name, expected speaker_emotion_number"),
        ("emodb", "03a01Xa", "unknown emotion 'X', expected one of: W anger"),
        ("emodb", "03a01F", "e.g. 03a01Fa"),
        ("emodb", "04a01Fa", "speaker (03, 08 to 16)"),
        ("emovo", "rab-f4-b1", "e.g. rab-f1-b1"),
        ("emovo", "xyz-f1-b1", "unknown emotion 'xyz', expected one of: rab rabbia (anger)"),
        ("iemocap", "Ses01F_impro01_F00", "e.g. Ses01F_impro01_M000"),
        ("iemocap", "Ses06F_impro01_F000", "session, dialog, speaker and turn"),
        ("ravdess", "03-01-05-01-02-01-25", "actor (01 to 24)"),
        ("ravdess", "03-01-05-03-02-01-12", "each 01 or 02"),
        ("savee", "a01", "in a folder DC, JE, JK or KL"),
        ("savee", "XX/a01", "in a folder DC, JE, JK or KL"),
        ("savee", "DC/JE_a01", "in a folder DC, JE, JK or KL"),
        ("savee", "DC/x01", "unknown emotion 'x', expected one of: a anger"),
        ("shemo", "X01A01", "e.g. F01A01"),
        ("shemo", "F01B01", "unknown emotion 'B', expected one of: A anger"),
        ("tess", "OAF_back_angr", "unknown emotion 'angr', expected one of: angry"),
        ("tess", "XAF_back_angry", "e.g. OAF_back_angry"),
        ("ravdess", "03-01-09-01-02-01-12", "unknown emotion '09', expected one of: 01 neutral"),
        ("ravdess", "03-01-05-01-02-12", "seven numbers"),
        ("ravdess", "03-01-05-01-02-01-12x", "it has '03-01-05-01-02-01-12' in it, and more: rename it"),
        ("tess", "289testOAF_such_fear7", "it has 'OAF_such_fear' in it, and more: rename it"),
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
        (folder / f"{10 + i // 100}a{i % 100:02d}Wa.wav").touch()
    with pytest.raises(InputError, match=r"536 recordings, the corpus has 535\. The 2\.0 release adds 281"):
        datasets.check("emodb", recordings_dir)
    next(folder.iterdir()).unlink()
    datasets.check("emodb", recordings_dir)


def test_names():
    assert tuple(sorted(datasets.NAMES)) == datasets.NAMES
    assert {*datasets.PAPER, "demo_english", "demo_german"} <= set(datasets.NAMES)
    assert {"iemocap/excited_as_happy", "shemo/corrected"} <= set(datasets.NAMES)


@pytest.mark.parametrize("name", ["folder", "folder/", "folder/a b", "folder/../x", "folder/a/b"])
def test_a_folder_has_a_name(name, tmp_path):
    with pytest.raises(InputError, match=f"got '{name}', expected .*folder/NAME"):
        datasets.builder(name, tmp_path)


@pytest.mark.parametrize("option", ["language", "speaker_pattern"])
def test_what_a_corpus_says_itself(option, tmp_path):
    with pytest.raises(InputError, match=f"--{option} is for folder/NAME; urdu says it itself"):
        datasets.builder("urdu", tmp_path, **{option: "x"})


def test_unknown_corpus(tmp_path):
    with pytest.raises(InputError, match=r"expected one of: demo_english.*Did you mean 'ravdess'"):
        datasets.builder("ravdes", tmp_path)


@pytest.mark.parametrize("name", [*datasets.NAMES, "folder/mine"])
class TestEveryCorpus:
    """The contract of a builder."""

    def test_name_and_documents(self, name, tmp_path):
        builder = datasets.builder(name, tmp_path)
        assert builder.corpus_name == name
        assert builder.name == name.partition("/")[0]
        assert len(builder.info.description) > 100
        assert builder.info.citation.startswith("@")
        assert set(builder.get_metadata().tags) <= set(dataset_metadata.valid_tags())
        assert "MANUAL_DIR/" in builder.MANUAL_DOWNLOAD_INSTRUCTIONS

    def test_emotions(self, name, tmp_path):
        labels = [label for _, label in datasets.builder(name, tmp_path).EMOTION_OF_CODE.values()]
        assert set(FOUR_EMOTIONS) <= set(labels) <= set(EMOTIONS)

    def test_documented_layout_is_what_is_read(self, name, tmp_path):
        builder = datasets.builder(name, tmp_path)
        assert builder.layout.startswith(f"{builder.place}/")
        for example in (builder.LAYOUT, re.search(r"e\.g\. ([\w/-]+)", builder.STEM_MEANS)[1] + ".wav"):
            # For a corpus that has them in other files, one with a label of this file.
            label = {Path(example).stem: next(iter(builder.emotion_of_code))} if name.startswith("iemocap") else None
            assert isinstance(builder.parse(Path(example), label), Parsed)

    def test_what_is_published(self, name, tmp_path):
        published = datasets.builder(name, tmp_path).published
        if name.partition("/")[0] in datasets.PAPER:
            assert set(published.emotions) == set(FOUR_EMOTIONS)
            assert sum(published.emotions.values()) <= published.utterances
        else:
            assert published is None


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
    assert len(found.recordings) == builder.PUBLISHED.utterances
    assert counts == builder.PUBLISHED.emotions
    assert not found.excluded
    assert len({recording.parsed.speaker for recording in found.recordings}) == speakers
    labels = [recording.parsed.label for recording in found.recordings]
    assert {label: labels.count(label) for label in FOUR_EMOTIONS} == counts
