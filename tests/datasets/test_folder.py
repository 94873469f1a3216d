"""A folder of one's own: a folder per emotion, or a CSV."""

import re

import numpy as np
import pytest
import soundfile
from sounds import write_sound

from metaser_jax import datasets
from metaser_jax.data import splits
from metaser_jax.emotions import EMOTIONS, emotion_named
from metaser_jax.errors import InputError

NAME = "folder/mine"


@pytest.fixture
def mine(recordings_dir):
    return recordings_dir / "mine"


def speakers(data_dir):
    corpus = datasets.load(NAME, data_dir)
    return dict(zip(corpus.file.tolist(), corpus.speaker.tolist(), strict=True))


@pytest.mark.parametrize(
    ("word", "emotion"),
    [
        ("angry", "angry"),
        ("Anger", "angry"),
        ("HAPPINESS", "happy"),
        (" sadness ", "sad"),
        ("Neutral", "neutral"),
        ("calm", "calm"),  # not neutral
        ("Pleasant_Surprise", "surprise"),
        ("pleasant-surprise", "surprise"),
        ("furious", None),
        ("", None),
    ],
)
def test_names_of_emotions(word, emotion):
    assert emotion_named(word) == emotion


def test_every_emotion_is_its_own_name():
    assert [emotion_named(emotion) for emotion in EMOTIONS] == list(EMOTIONS)


def test_formats(mine, recordings_dir, tmp_path):
    """mp3 and ogg change the samples, so their features are near those of the wav."""
    rng = np.random.default_rng(0)
    sound = np.cumsum(rng.standard_normal(22050)) / 500
    for suffix in ("wav", "flac", "mp3", "ogg"):
        (mine / "angry").mkdir(parents=True, exist_ok=True)
        soundfile.write(mine / "angry" / f"{suffix}.{suffix}", sound, 22050)
    statistics = datasets.prepare(NAME, recordings_dir, tmp_path)
    assert statistics.counts() == {"angry": 4}
    corpus = datasets.load(NAME, tmp_path)
    assert corpus.file.tolist() == [f"{suffix}.{suffix}" for suffix in ("flac", "mp3", "ogg", "wav")]
    assert (abs(corpus.n_frames - 44) <= 3).all()  # mp3 pads its end
    loudness = corpus.mfcc[:, 5:40, 0].mean(1)
    np.testing.assert_allclose(loudness, loudness[-1], atol=30)


def test_same_names_in_each_emotion(mine, recordings_dir, tmp_path):
    for emotion in ("angry", "happy", "neutral", "sad"):
        write_sound(mine / emotion / "001.wav")
    assert datasets.prepare(NAME, recordings_dir, tmp_path).utterances == 4
    assert set(speakers(tmp_path).values()) == {"unknown"}


def test_the_same_recording_in_two_formats(mine, recordings_dir):
    write_sound(mine / "angry" / "001.wav")
    write_sound(mine / "angry" / "001.flac")
    with pytest.raises(InputError, match=r"angry/001\.flac and angry/001\.wav"):
        datasets.check(NAME, recordings_dir)


def test_speakers_from_folders(mine, recordings_dir, tmp_path):
    for file in ("angry/anna/1.wav", "anna/happy/1.wav", "north/bilal/Sadness/1.wav", "neutral/1.wav"):
        write_sound(mine / file)
    datasets.prepare(NAME, recordings_dir, tmp_path)
    assert speakers(tmp_path) == {
        "angry/anna/1.wav": "anna",
        "anna/happy/1.wav": "anna",
        "north/bilal/Sadness/1.wav": "north/bilal",
        "neutral/1.wav": "unknown",
    }


@pytest.mark.parametrize("pattern", [r"(?P<speaker>spk\d+)_", r"(spk\d+)_(x)", r"(x)?(?P<speaker>spk\d+)", r"spk\d+"])
def test_speakers_from_a_pattern(mine, recordings_dir, tmp_path, pattern):
    write_sound(mine / "angry" / "spk7_x001.wav")
    write_sound(mine / "happy" / "day2" / "spk12_x1.wav")
    datasets.prepare(NAME, recordings_dir, tmp_path, speaker_pattern=pattern)
    assert list(speakers(tmp_path).values()) == ["spk7", "spk12"]


def test_a_pattern_that_finds_nothing(mine, recordings_dir):
    write_sound(mine / "angry" / "1.wav")
    with pytest.raises(InputError, match=r"angry/1\.wav: --speaker_pattern='\(spk\)' finds no speaker in the path"):
        datasets.check(NAME, recordings_dir, speaker_pattern="(spk)")
    for pattern in ("(", ""):
        with pytest.raises(
            InputError, match=rf"--speaker_pattern: got '{re.escape(pattern)}', which is no regular expr"
        ):
            datasets.check(NAME, recordings_dir, speaker_pattern=pattern)


def test_all_unknown_emotions_are_in_one_error(mine, recordings_dir, without_formats):
    for i in range(30):
        write_sound(mine / "furious" / f"{i}.wav")
    for file in ("weird/anna/1.wav", "top.wav", "angry/sad/1.wav", "angry/fine.wav", "angry/1.m4a"):
        write_sound(mine / file) if file.endswith("wav") else (mine / file).touch()
    with pytest.raises(InputError) as caught:
        datasets.check(NAME, recordings_dir)
    message = str(caught.value)
    assert "folder/mine: 34 of 35 recordings cannot be used" in message
    assert "and 25 more: no known emotion in the folders 'furious', expected one of: angry, happy, neutral" in message
    assert "weird/anna/1.wav: no known emotion in the folders 'weird/anna'" in message
    assert "top.wav: no known emotion in the folders ''" in message
    assert "angry/sad/1.wav: several emotions in the folders 'angry/sad'" in message
    assert "angry/1.m4a: .m4a is not read, expected .wav or .flac or .mp3 or .ogg or " in message
    assert "ffmpeg -i NAME.m4a NAME.wav, or pip install 'metaser_jax[formats]'" in message


def test_language(mine, recordings_dir, tmp_path):
    write_sound(mine / "angry" / "1.wav")
    assert datasets.prepare(NAME, recordings_dir, tmp_path / "a").language == "unknown language"
    assert datasets.prepare(NAME, recordings_dir, tmp_path / "b", language="Saraiki").language == "Saraiki"
    assert datasets.load(NAME, tmp_path / "b").language == "Saraiki"
    assert datasets.load(NAME, tmp_path / "b").name == NAME
    assert datasets.prepared_names(tmp_path / "b") == [NAME]


@pytest.mark.parametrize("wrapper", ["", "Mine"])
def test_in_an_archive(wrapper, mine, recordings_dir, tmp_path, zipped):
    """Made of the folder's content, or of the folder."""
    write_sound(mine / wrapper / "angry" / "anna" / "1.wav")
    write_sound(mine / wrapper / "sad" / "1.wav")
    zipped(mine)
    datasets.prepare(NAME, recordings_dir, tmp_path)
    assert speakers(tmp_path) == {"angry/anna/1.wav": "anna", "sad/1.wav": "unknown"}


def test_a_folder_that_is_missing(recordings_dir):
    with pytest.raises(InputError, match=r"folder/mine|mine: .*has no folder 'mine'"):
        datasets.check(NAME, recordings_dir)


def test_recordings_without_a_speaker_are_not_split_by_speaker(mine, recordings_dir, tmp_path):
    for emotion in ("angry", "sad"):
        for i in range(12):
            file = mine / emotion / ("anna" if i % 2 else "") / f"{i}.wav"
            write_sound(file)
            file.write_bytes(file.read_bytes() + f"{emotion} {i}".encode())  # no two the same
    datasets.prepare(NAME, recordings_dir, tmp_path)
    corpus = datasets.load(NAME, tmp_path).select(("angry", "sad"))
    splits.split(corpus, "random")
    for divide in (lambda: splits.split(corpus, "speaker"), lambda: splits.speaker_folds(corpus, 2)):
        with pytest.raises(
            InputError, match=r"of 12 of its 24 utterances the speaker is not known\. Prepare it with spe"
        ):
            divide()


# CSV

CSV = "path,emotion,speaker,language\nclips/1.wav,Anger,anna,Saraiki\nclips/2.wav,sad,bilal,Saraiki\n"


@pytest.fixture
def clips(mine):
    for i in (1, 2):
        write_sound(mine / "clips" / f"{i}.wav")
    return mine


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "\ufeff" + CSV.replace("\n", "\r\n"),
        CSV.replace("path,emotion", "Path, EMOTION "),
        CSV.replace("clips/", "clips\\"),
        CSV.replace("clips/1", "./clips/../clips/1") + ",,,\n",
        CSV.replace("\n", "\r"),
        CSV.replace(",", ", ").replace("sad", '"sad"'),
    ],
)
def test_csv(clips, recordings_dir, tmp_path, text):
    (clips / "labels.csv").write_bytes(text.encode())
    statistics = datasets.prepare(NAME, recordings_dir, tmp_path)
    assert statistics.emotions == {("angry", "Anger"): 1, ("sad", "sad"): 1}
    assert statistics.language == "Saraiki"
    assert speakers(tmp_path) == {"1.wav": "anna", "2.wav": "bilal"}


def test_csv_beside_the_recordings(clips, recordings_dir, tmp_path):
    (clips.parent / "mine.csv").write_text(
        f"path,emotion\nelse/clips/1.wav,happy\n{clips.parent}/else/clips/2.wav,sad\n"
    )
    clips.rename(clips.parent / "else")
    statistics = datasets.prepare(NAME, recordings_dir, tmp_path, speaker_pattern=r"clips/(\d)")
    assert statistics.counts() == {"happy": 1, "sad": 1}
    assert sorted(speakers(tmp_path).values()) == ["1", "2"]


def test_csv_beside_a_folder_of_its_name(mine, recordings_dir, tmp_path):
    """The CSV says what the recordings are, and not the folders."""
    for i in (1, 2, 3):
        write_sound(mine / "angry" / f"{i}.wav")
    text = "path,emotion,speaker\nmine/angry/1.wav,sad,anna\nmine/angry/2.wav,happy,bob\n"
    (mine.parent / "Mine.CSV").write_text(text)
    statistics = datasets.prepare(NAME, recordings_dir, tmp_path)
    assert statistics.counts() == {"happy": 1, "sad": 1}
    assert list(speakers(tmp_path).values()) == ["anna", "bob"]
    assert [tuple(left) for left in statistics.excluded] == [("mine/angry/3.wav", "Mine.CSV does not list it")]
    (mine / "labels.csv").write_text("path,emotion\nangry/1.wav,sad\n")
    with pytest.raises(InputError, match=r"labels\.csv and Mine\.CSV both list recordings"):
        datasets.check(NAME, recordings_dir)


def test_csv_of_recordings_elsewhere(clips, recordings_dir, tmp_path):
    clips.joinpath("clips").rename(recordings_dir / "clips")
    (clips / "labels.csv").write_text(
        CSV.replace("clips/1", "../clips/1").replace("clips/2", f"{recordings_dir}/clips/2")
    )
    assert datasets.prepare(NAME, recordings_dir, tmp_path).emotions == {("angry", "Anger"): 1, ("sad", "sad"): 1}


def test_csv_in_an_archive(clips, recordings_dir, tmp_path, zipped):
    (clips / "labels.csv").write_text(CSV)
    zipped(clips)
    assert datasets.prepare(NAME, recordings_dir, tmp_path).utterances == 2


def test_what_a_csv_does_not_list_is_listed(clips, recordings_dir, tmp_path):
    write_sound(clips / "clips" / "3.wav")
    (clips / "labels.csv").write_text(CSV)
    statistics = datasets.prepare(NAME, recordings_dir, tmp_path)
    assert [tuple(left) for left in statistics.excluded] == [("clips/3.wav", "labels.csv does not list it")]


def test_what_a_csv_lists_and_is_not_there(clips, recordings_dir):
    (clips / "labels.csv").write_text(CSV + "clips/9.wav,sad,anna,Saraiki\nclips/2.txt,sad,anna,Saraiki\n")
    with pytest.raises(InputError) as caught:
        datasets.check(NAME, recordings_dir)
    assert "clips/9.wav: there is no such file; labels.csv lists it" in str(caught.value)
    (clips.parent / "mine.csv").write_text("path,emotion\nmine/9.wav,sad\n")
    (clips / "labels.csv").unlink()
    clips.rename(clips.parent / "other")
    with pytest.raises(InputError, match=r"mine/9\.wav: there is no such file; mine\.csv lists it"):
        datasets.check(NAME, recordings_dir)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column path and no column emotion"),
        ("file,emotion\na,b\n", "has no column path; its first line is 'file,emotion'"),
        ("path,emotion\nclips/1.wav,\n", "line 2: no emotion"),
        ("path,emotion\n,sad\n", "line 2: no path"),
        (CSV + "clips/1.wav,sad,anna,Saraiki\n", r"lists 1 recordings more than once, e\.g\. clips/1\.wav"),
        (CSV.replace("bilal,Saraiki", "bilal,Urdu"), "has 2 languages"),
        (CSV.replace("Anger", "Fury"), "unknown emotion 'Fury', expected one of: angry"),
        (b"path,emotion\n\xff\xfe,sad\n", "cannot be read as text"),
        ("path,emotion\n" + "x" * 300 + ".wav,sad\n", "there is no such file"),
        ("path,emotion\n" + "x" * 200_000 + ",sad\n", r"labels\.csv, line \d: field larger than field limit"),
    ],
)
def test_bad_csv(clips, recordings_dir, text, reason):
    (clips / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=reason):
        datasets.check(NAME, recordings_dir)


def test_two_csv(clips, recordings_dir):
    (clips / "labels.csv").write_text(CSV)
    (clips / "mine.csv").write_text(CSV)
    with pytest.raises(InputError, match=r"labels\.csv and mine\.csv both list recordings"):
        datasets.check(NAME, recordings_dir)


def test_language_of_a_csv_and_of_the_flag(clips, recordings_dir, tmp_path):
    (clips / "labels.csv").write_text(CSV)
    with pytest.raises(InputError, match=r"--language='Urdu', but .* says 'Saraiki'"):
        datasets.check(NAME, recordings_dir, language="Urdu")
    assert datasets.prepare(NAME, recordings_dir, tmp_path, language="Saraiki").language == "Saraiki"
