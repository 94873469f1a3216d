from pathlib import Path

import pytest

from metaser_jax import datasets
from metaser_jax.datasets import files, recordings
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.recordings import Excluded, Left, Parsed, Unknown
from metaser_jax.errors import InputError

LAYOUT = "urdu/**/Angry/SM1_F1_A01.wav"
SAM = Parsed("sam", "Angry", "angry")


def touch(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"RIFF")


def test_folder_in_any_case(tmp_path):
    touch(tmp_path, "URDU/a.wav")
    assert recordings.corpus_place(tmp_path, "urdu", LAYOUT) == (tmp_path / "URDU", [])
    touch(tmp_path, "urdu/a.wav")
    assert recordings.corpus_place(tmp_path, "urdu", LAYOUT) == (tmp_path / "urdu", [])


def test_missing_folder_says_what_is_there(tmp_path):
    touch(tmp_path, "emodb/wav/a.wav", "TESS/a.wav", "notes.txt")
    with pytest.raises(
        InputError,
        match=r"no folder 'urdu' and no archive urdu\.zip or U\*\.zip; it has TESS/, emodb/\. Expected layout: .*Angry",
    ):
        recordings.corpus_place(tmp_path, "urdu", LAYOUT, ["U*.zip"])


def test_archives_in_the_place_of_the_folder(tmp_path):
    touch(tmp_path, "URDU.zip", "Urdu-Dataset-main.zip", "other.zip", "urdu.tar")
    assert recordings.corpus_place(tmp_path, "urdu", LAYOUT) == (None, [tmp_path / "URDU.zip"])
    found = recordings.corpus_place(tmp_path, "urdu", LAYOUT, ["URDU-Dataset*.zip"])
    assert found == (None, [tmp_path / "URDU.zip", tmp_path / "Urdu-Dataset-main.zip"])
    touch(tmp_path, "urdu/a.wav")
    assert recordings.corpus_place(tmp_path, "urdu", LAYOUT) == (tmp_path / "urdu", [tmp_path / "URDU.zip"])


def test_folder_of_the_corpus_itself(tmp_path):
    touch(tmp_path, "urdu/Angry/a.wav")
    with pytest.raises(InputError, match=f"pass the folder above it: --manual_dir={tmp_path}"):
        recordings.corpus_place(tmp_path / "urdu", "urdu", LAYOUT)


def test_manual_dir_that_is_none(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        recordings.corpus_place(tmp_path / "none", "urdu", LAYOUT)
    touch(tmp_path, "file")
    with pytest.raises(InputError, match="is a file"):
        recordings.corpus_place(tmp_path / "file", "urdu", LAYOUT)


def on_disk(file):
    return CorpusFile(file, Path("corpus", file), None, 4)


def by_stem(path, parsed):
    return f"{parsed.speaker}/{path.stem}"


def test_listing_sorts_and_leaves_nothing_out():
    pairs = [
        (on_disk("b/2.wav"), SAM),
        (on_disk("song.wav"), Excluded("a song")),
        (on_disk("a/1.wav"), SAM),
        (on_disk("x.wav"), Unknown("no idea")),
    ]
    found = recordings.listing("corpus", pairs, by_stem)
    assert [(recording.file, recording.key) for recording in found.recordings] == [
        ("a/1.wav", "sam/1"),
        ("b/2.wav", "sam/2"),
    ]
    assert found.excluded == (Left("song.wav", "a song"),)
    assert found.unknown == (Left("x.wav", "no idea"),)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["x/y/a/1.wav", "x/y/b/2.wav"], ["a/1.wav", "b/2.wav"]),
        (["x/ya/1.wav", "x/yb/2.wav"], ["ya/1.wav", "yb/2.wav"]),
        (["x/1.wav", "x/2.wav"], ["1.wav", "2.wav"]),
        (["x/1.wav", "2.wav"], ["2.wav", "x/1.wav"]),
        (["/x/1.wav", "x/2.wav"], ["/x/1.wav", "x/2.wav"]),
        (["/x/1.wav", "/x/2.wav"], ["1.wav", "2.wav"]),
    ],
)
def test_the_folder_that_all_share_is_left_out(paths, expected):
    found = recordings.listing("corpus", [(on_disk(path), SAM) for path in paths], by_stem)
    assert [recording.file for recording in found.recordings] == expected
    assert {str(recording.source) for recording in found.recordings} == set(paths)


@pytest.mark.parametrize("other", ["a/1.flac", "copy/a/1.wav"])
def test_the_same_recording_twice(other):
    with pytest.raises(InputError, match=r"corpus: the same speaker and file name twice") as caught:
        recordings.listing("corpus", [(on_disk("a/1.wav"), SAM), (on_disk(other), SAM)], by_stem)
    assert " and ".join(sorted(["a/1.wav", other])) in str(caught.value)


def test_the_same_recording_in_two_archives():
    pairs = [(CorpusFile("a/1.wav", Path(f"{name}.zip"), "a/1.wav", 4), SAM) for name in ("one", "two")]
    with pytest.raises(InputError, match=r"one\.zip: a/1\.wav and two\.zip: a/1\.wav"):
        recordings.listing("corpus", pairs, by_stem)


def test_same_name_of_two_speakers():
    pairs = [(on_disk("JE/a01.wav"), SAM), (on_disk("KL/a01.wav"), SAM._replace(speaker="kl"))]
    assert len(recordings.listing("corpus", pairs, by_stem).recordings) == 2


def test_many_bad_recordings_are_counted():
    error = recordings.bad_recordings("urdu", [Left(f"{i}.wav", f"empty {i}") for i in range(23)], 400)
    assert str(error).startswith("urdu: 23 of 400 recordings cannot be used:\n  0.wav: empty 0\n")
    assert "... and 3 more" in str(error)
    assert "--skip_bad" in str(error)


def test_bad_recordings_of_one_reason_are_one_line():
    error = recordings.bad_recordings("urdu", [Left(f"{i}.wav", "empty") for i in range(9)], 400)
    assert "\n  0.wav, 1.wav, 2.wav, 3.wav, 4.wav and 4 more: empty\n" in str(error)


def test_no_recordings_says_what_is_there(tmp_path):
    touch(tmp_path, "urdu/a.mp3", "urdu/b.MP3", "urdu/urdu.rar")
    error = recordings.no_recordings("urdu", LAYOUT, files.files_below(tmp_path / "urdu"), [])
    assert "found 2 .mp3, 1 .rar" in str(error)
    assert LAYOUT in str(error)


def test_audio_of_another_format_is_named_not_dropped(tmp_path):
    folder = tmp_path / "urdu" / "Angry"
    folder.mkdir(parents=True)
    for name in ("SM1_F1_A01.wav", "SM1_F1_A02.mp3"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"A02\.mp3: \.mp3 is not read, expected \.wav or \.flac\. Convert it, e\.g\. with ffmpeg"
    ):
        datasets.check("urdu", tmp_path)
