import os
import zipfile

import pytest
from malformed import encoded, sound

from metaser_jax.audio.clips import read_clip
from metaser_jax.datasets.labelled_files import audio_files, labelled_files
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.specs.labelling import Labelling

WAV = encoded(sound(0.05))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "mine"


def put(place, *files, data=WAV):
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(data)


def labels(listed):
    return {one.file: (one.emotion, one.speaker) for one in listed.files}


# Labelled clips


def test_folders(place):
    put(place, "Angry/anna/1.wav", "happiness/2.opus", "bilal/SAD/3.aiff", "neutral/.hidden.wav", "notes.txt")
    listed = labelled_files(place, FOUR_EMOTIONS)
    assert labels(listed) == {
        "Angry/anna/1.wav": ("angry", "anna"),
        "bilal/SAD/3.aiff": ("sad", "bilal"),
        "happiness/2.opus": ("happy", "unknown"),
    }
    assert [one.file for one in listed.files] == sorted(one.file for one in listed.files)
    assert listed.left == ()
    assert listed.language is None
    assert read_clip(listed.files[0].source).seconds > 0


def test_speaker_pattern(place):
    put(place, "angry/spk7_1.wav", "sad/spk8_1.wav")
    listed = labelled_files(place, FOUR_EMOTIONS, Labelling(speaker_pattern=r"(?P<speaker>spk\d+)_"))
    assert [one.speaker for one in listed.files] == ["spk7", "spk8"]
    with pytest.raises(InputError, match=r"--speaker_pattern: got '\(', which is no regular expression"):
        labelled_files(place, FOUR_EMOTIONS, Labelling(speaker_pattern="("))
    with pytest.raises(InputError, match="finds no speaker in the path"):
        labelled_files(place, FOUR_EMOTIONS, Labelling(speaker_pattern="(spk7)_"))


def test_a_csv_in_the_folder(place):
    put(place, "clips/1.wav", "clips/2.mp3", "clips/3.wav")
    (place / "labels.csv").write_text(
        "path,emotion,speaker,language\nclips/1.wav,Anger,a,Saraiki\nclips/2.mp3,sad,b,Saraiki\n"
    )
    listed = labelled_files(str(place), FOUR_EMOTIONS)
    assert labels(listed) == {"1.wav": ("angry", "a"), "2.mp3": ("sad", "b")}
    assert listed.language == "Saraiki"
    assert [tuple(left) for left in listed.left] == [("clips/3.wav", "labels.csv does not list it")]


@pytest.mark.parametrize("name", ["mine.csv", "any name.TSV"])
def test_a_csv_itself(place, name, monkeypatch):
    put(place, "1.wav", "2.wav")
    put(place.parent / "elsewhere", "3.wav")
    table = place / name
    table.write_text(f"path\temotion\n1.wav\tsad\n../elsewhere/3.wav\thappy\n{place}/2.wav\tneutral\n")
    for given in (table, os.path.relpath(table)):
        listed = labelled_files(given, FOUR_EMOTIONS)
        assert {one.emotion: one.source.path.name for one in listed.files} == {
            "sad": "1.wav",
            "happy": "3.wav",
            "neutral": "2.wav",
        }
        assert all(one.source.read_bytes() == WAV for one in listed.files)
        assert listed.left == ()


def test_a_folder_that_is_named_from_within(place, monkeypatch):
    put(place, "angry/1.wav", "sad/1.wav")
    monkeypatch.chdir(place)
    assert len(labelled_files(".", FOUR_EMOTIONS).files) == 2


def test_a_zip_archive(place):
    put(place, "angry/1.wav", "sad/anna/1.wav")
    archive = place.parent / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in place.rglob("*.wav"):
            file.write(path, path.relative_to(place.parent))
    expected = {"angry/1.wav": ("angry", "unknown"), "sad/anna/1.wav": ("sad", "anna")}
    assert labels(labelled_files(archive, FOUR_EMOTIONS)) == expected


def test_emotions_that_the_model_does_not_know(place):
    put(place, "calm/1.wav", "angry/1.wav", "fear/1.wav")
    listed = labelled_files(place, ("angry", "fear"))
    assert [one.emotion for one in listed.files] == ["angry", "fear"]
    assert [tuple(left) for left in listed.left] == [("calm/1.wav", "calm is none of angry, fear")]
    with pytest.raises(InputError, match="mine has 3 clips, of angry, calm, fear; expected some of happy, sad"):
        labelled_files(place, ("happy", "sad"))


def test_unknown_labels_are_an_error_that_lists_them(place, without_formats):
    put(place, "furious/1.wav", "angry/1.wav", "top.wav", "angry/2.m4a", "angry/3.webm")
    with pytest.raises(InputError) as caught:
        labelled_files(place, FOUR_EMOTIONS)
    message = str(caught.value)
    assert "mine: 4 of 5 recordings cannot be used" in message
    assert "furious/1.wav: no known emotion in the folders 'furious', expected one of: angry" in message
    assert "angry/2.m4a: .m4a is not read, expected .wav or .flac" in message
    assert "--skip_bad" in message
    listed = labelled_files(place, FOUR_EMOTIONS, skip_bad=True)
    assert labels(listed) == {"1.wav": ("angry", "unknown")}
    assert [left.file for left in listed.left] == ["angry/2.m4a", "angry/3.webm", "furious/1.wav", "top.wav"]


def test_a_clip_that_is_there_twice(place):
    put(place, "angry/1.wav")
    put(place, "angry/1.flac", data=WAV + b"\0")
    with pytest.raises(InputError, match=r"angry/1\.flac and angry/1\.wav"):
        labelled_files(place, FOUR_EMOTIONS)


def test_nothing_there(place):
    with pytest.raises(InputError, match="mine does not exist, expected a folder or a CSV of labelled clips: angry/"):
        labelled_files(place, FOUR_EMOTIONS)
    put(place, "angry/readme.md")
    with pytest.raises(InputError, match=r"has no labelled clip; found 1 \.md\. Expected layout: angry/clip1"):
        labelled_files(place, FOUR_EMOTIONS)
    put(place, "1.wav")
    with pytest.raises(InputError, match=r"1\.wav is a file, expected a folder or a CSV"):
        labelled_files(place / "1.wav", FOUR_EMOTIONS)


def test_the_builder_lists_the_same(place):
    """The rules are those of the corpora folder/NAME."""
    from metaser_jax import datasets

    put(place, "Angry/anna/1.wav", "happy/2.mp3", "bilal/SAD/3.ogg", "calm/4.wav")
    builder = datasets.builder("folder/mine", place.parent / "data")
    expected = {one.file: (one.parsed.label, one.parsed.speaker) for one in builder.listing(place.parent).recordings}
    assert labels(labelled_files(place, (*FOUR_EMOTIONS, "calm"))) == expected


# What to predict


def test_files_as_typed_and_folders(place):
    put(place, "b.wav", "a/2.FLAC", "a/1.m4a", "a/readme.txt", "a/.hidden.wav", "a/c/3.w64")
    folder = str(place)
    found = audio_files([f"{folder}/b.wav", f"{folder}/a", folder, f"{folder}/a/readme.txt", f"{folder}/none.wav"])
    assert [one.name.removeprefix(f"{folder}/") for one in found] == [
        *("b.wav", "a/1.m4a", "a/2.FLAC", "a/c/3.w64"),
        *("a/readme.txt", "none.wav"),
    ]
    assert read_clip(found[0]).seconds > 0
    with pytest.raises(RecordingError, match=r"none\.wav: cannot be read \(No such file.*Check the name\.$"):
        read_clip(found[-1])
    with pytest.raises(RecordingError, match=r"Did you mean .*/a/2\.FLAC\?$"):
        read_clip(f"{folder}/a/2.FLA")


def test_each_once(place, monkeypatch):
    put(place, "a.wav", "b.wav")
    (place / "link.wav").symlink_to(place / "a.wav")
    monkeypatch.chdir(place)
    assert [one.name for one in audio_files(["./b.wav", "b.wav", ".", str(place)])] == ["./b.wav", "./a.wav"]


def test_zip_archives_to_predict(place):
    put(place, "notes.txt", data=b"notes")
    for name in ("a.zip", "sub/b.zip"):
        (place / name).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(place / name, "w") as file:
            file.writestr("x/1.wav", WAV)
            file.writestr("readme.txt", "text")
    found = audio_files([str(place), f"{place}/sub/b.zip"])
    assert [one.name for one in found] == [f"{place}/sub/b.zip: x/1.wav", f"{place}/a.zip: x/1.wav"]
    assert {read_clip(one).seconds for one in found} == {0.05}
    assert [one.name for one in audio_files([f"{place}/a.zip"])] == [f"{place}/a.zip: x/1.wav"]


def test_an_archive_that_is_none_stops_nothing(place):
    put(place, "a.wav")
    put(place, "bad.zip", data=b"no archive")
    for given in ([str(place)], [f"{place}/a.wav", f"{place}/bad.zip"]):
        found = audio_files(given)
        assert [one.name for one in found] == [f"{place}/a.wav", f"{place}/bad.zip"]
        with pytest.raises(RecordingError, match=r"bad\.zip: this is not audio"):
            read_clip(found[1])


def test_an_archive_without_audio_stops_nothing(place):
    put(place, "a.wav")
    with zipfile.ZipFile(place / "notes.zip", "w") as file:
        file.writestr("readme.txt", "text")
    found = audio_files([f"{place}/notes.zip", f"{place}/a.wav"])
    assert [one.name for one in found] == [f"{place}/notes.zip", f"{place}/a.wav"]
    with pytest.raises(RecordingError, match=r"notes\.zip: this is not audio, it is a zip archive"):
        read_clip(found[0])


def test_a_name_that_is_not_utf8_stops_nothing(place):
    put(place, "a.wav")
    with open(os.fsencode(place) + b"/gr\xf6\xdfe.wav", "wb") as file:
        file.write(WAV)
    found = audio_files([str(place)])
    assert [one.name.encode(errors="surrogateescape").rpartition(b"/")[2] for one in found] == [
        b"a.wav",
        b"gr\xf6\xdfe.wav",
    ]
    assert [read_clip(one).seconds > 0 for one in found] == [True, True]


def test_nothing_to_predict(place):
    with pytest.raises(InputError, match="No recording was named, expected files or folders"):
        audio_files([])
    put(place, "readme.txt")
    with pytest.raises(InputError, match=r"mine has no recording, expected \.wav, \.flac"):
        audio_files([str(place)])
