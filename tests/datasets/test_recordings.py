import pytest

from metaser_jax import datasets
from metaser_jax.datasets import recordings
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
    assert recordings.corpus_folder(tmp_path, "urdu", LAYOUT) == tmp_path / "URDU"
    touch(tmp_path, "urdu/a.wav")
    assert recordings.corpus_folder(tmp_path, "urdu", LAYOUT) == tmp_path / "urdu"


def test_missing_folder_says_what_is_there(tmp_path):
    touch(tmp_path, "emodb/wav/a.wav", "TESS/a.wav", "notes.txt")
    with pytest.raises(
        InputError, match=r"no folder 'urdu'; it has TESS/, emodb/\. Expected layout: .*urdu/\*\*/Angry"
    ):
        recordings.corpus_folder(tmp_path, "urdu", LAYOUT)


def test_folder_of_the_corpus_itself(tmp_path):
    touch(tmp_path, "urdu/Angry/a.wav")
    with pytest.raises(InputError, match=f"pass the folder above it: --manual_dir={tmp_path}"):
        recordings.corpus_folder(tmp_path / "urdu", "urdu", LAYOUT)


def test_manual_dir_that_is_none(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        recordings.corpus_folder(tmp_path / "none", "urdu", LAYOUT)
    touch(tmp_path, "file")
    with pytest.raises(InputError, match="is a file"):
        recordings.corpus_folder(tmp_path / "file", "urdu", LAYOUT)


def test_audio_files(tmp_path):
    audio = ["B/x.WAV", "a/deep/er/y.flac", "z.Flac"]
    touch(tmp_path, *audio, "README.md", ".DS_Store", "a/._y.flac", "__MACOSX/._z.wav", ".git/w.wav", "labels.csv")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in recordings.audio_files(tmp_path))
    assert found == audio


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "elsewhere/x.wav", "corpus/y.wav")
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    assert sorted(path.name for path in recordings.audio_files(tmp_path / "corpus")) == ["x.wav", "y.wav"]


def test_listing_sorts_and_leaves_nothing_out(tmp_path):
    pairs = [
        (tmp_path / "b" / "2.wav", SAM),
        (tmp_path / "song.wav", Excluded("a song")),
        (tmp_path / "a" / "1.wav", SAM),
        (tmp_path / "x.wav", Unknown("no idea")),
    ]
    found = recordings.listing(tmp_path, pairs)
    assert [(recording.file, recording.key) for recording in found.recordings] == [
        ("a/1.wav", "sam/1"),
        ("b/2.wav", "sam/2"),
    ]
    assert found.excluded == (Left("song.wav", "a song"),)
    assert found.unknown == (Left("x.wav", "no idea"),)


@pytest.mark.parametrize("other", ["a/1.flac", "copy/a/1.wav"])
def test_the_same_recording_twice(tmp_path, other):
    with pytest.raises(InputError, match="twice") as caught:
        recordings.listing(tmp_path, [(tmp_path / "a" / "1.wav", SAM), (tmp_path / other, SAM)])
    assert " and ".join(sorted(["a/1.wav", other])) in str(caught.value)


def test_same_name_of_two_speakers(tmp_path):
    pairs = [(tmp_path / "JE" / "a01.wav", SAM), (tmp_path / "KL" / "a01.wav", SAM._replace(speaker="kl"))]
    assert len(recordings.listing(tmp_path, pairs).recordings) == 2


def test_many_bad_recordings_are_counted():
    error = recordings.bad_recordings("urdu", [Left(f"{i}.wav", "empty") for i in range(23)], 400)
    assert str(error).startswith("urdu: 23 of 400 recordings cannot be used:\n  0.wav: empty\n")
    assert "... and 3 more" in str(error)
    assert "--skip_bad" in str(error)


def test_no_recordings_says_what_is_there(tmp_path):
    touch(tmp_path, "urdu/a.mp3", "urdu/b.MP3", "urdu/urdu.zip")
    error = recordings.no_recordings(tmp_path / "urdu", LAYOUT, [])
    assert "found 2 .mp3, 1 .zip" in str(error)
    assert str(tmp_path / LAYOUT) in str(error)


def test_audio_of_another_format_is_named_not_dropped(tmp_path):
    folder = tmp_path / "urdu" / "Angry"
    folder.mkdir(parents=True)
    for name in ("SM1_F1_A01.wav", "SM1_F1_A02.mp3"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"A02.mp3: .mp3 is not read, expected .wav or .flac"):
        datasets.check("urdu", tmp_path)
