"""Files and folders to predict. Labelled clips are tested in test_folder.py."""

import os
import zipfile

import pytest
from malformed import encoded, sound

from metaser_jax.audio.clips import read_clip
from metaser_jax.datasets.files import audio_files
from metaser_jax.errors import InputError, RecordingError

WAV = encoded(sound(0.05))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "mine"


def put(place, *files, data=WAV):
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(data)


def test_files_as_typed_and_folders(place):
    put(place, "b.wav", "a/2.FLAC", "a/1.m4a", "a/readme.txt", "a/.hidden.wav", "a/c/3.w64")
    folder = str(place)
    found = audio_files([f"{folder}/b.wav", f"{folder}/a", folder, f"{folder}/a/readme.txt", f"{folder}/none.wav"])
    expected = ["b.wav", "a/1.m4a", "a/2.FLAC", "a/c/3.w64", "a/readme.txt", "none.wav"]
    assert [one.name.removeprefix(f"{folder}/") for one in found] == expected
    assert read_clip(found[0]).seconds > 0
    with pytest.raises(RecordingError, match=r"none\.wav: cannot be read \(No such file.*Check the name\.$"):
        read_clip(found[-1])
    with pytest.raises(RecordingError, match=r"Did you mean .*/a/2\.FLAC\?$"):
        read_clip(f"{folder}/a/2.FLA")


def test_nothing_and_each_once(place, monkeypatch):
    with pytest.raises(InputError, match="No recording was named, expected files or folders"):
        audio_files([])
    put(place, "readme.txt")
    with pytest.raises(InputError, match=r"mine has no recording, expected \.wav, \.flac"):
        audio_files([str(place)])
    put(place, "a.wav", "b.wav")
    (place / "link.wav").symlink_to(place / "a.wav")
    monkeypatch.chdir(place)
    assert [one.name for one in audio_files(["./b.wav", "b.wav", ".", str(place)])] == ["./b.wav", "./a.wav"]


def put_zip(place, name, *members):
    place.joinpath(name).parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(place / name, "w") as file:
        for member in members:
            file.writestr(member, WAV)


def test_zip_archives_to_predict(place):
    put(place, "notes.txt", data=b"notes")
    for name in ("a.zip", "sub/b.zip"):
        put_zip(place, name, "x/1.wav", "readme.txt")
    found = audio_files([str(place), f"{place}/sub/b.zip"])
    assert [one.name for one in found] == [f"{place}/sub/b.zip: x/1.wav", f"{place}/a.zip: x/1.wav"]
    assert {read_clip(one).seconds for one in found} == {0.05}
    assert [one.name for one in audio_files([f"{place}/a.zip"])] == [f"{place}/a.zip: x/1.wav"]


def test_bad_archives_and_names_that_are_not_utf8_stop_nothing(place):
    put(place, "a.wav")
    put(place, "bad.zip", data=b"no archive")
    assert [one.name for one in audio_files([str(place)])] == [f"{place}/a.wav", f"{place}/bad.zip"]
    put_zip(place, "notes.zip", "readme.txt")
    found = audio_files([f"{place}/notes.zip", f"{place}/bad.zip", f"{place}/a.wav"])
    assert [one.name for one in found] == [f"{place}/notes.zip", f"{place}/bad.zip", f"{place}/a.wav"]
    for one in found[:2]:
        with pytest.raises(RecordingError, match=r"(notes|bad)\.zip: this is not audio"):
            read_clip(one)
    for archive in place.glob("*.zip"):
        archive.unlink()
    with open(os.fsencode(place) + b"/gr\xf6\xdfe.wav", "wb") as file:
        file.write(WAV)
    found = audio_files([str(place)])
    assert [os.fsencode(one.name).rpartition(b"/")[2] for one in found] == [b"a.wav", b"gr\xf6\xdfe.wav"]
    assert [read_clip(one).seconds > 0 for one in found] == [True, True]
