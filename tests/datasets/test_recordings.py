"""Files on disk and in zip archives, and the recordings among them; nothing leads out of the folder."""

import functools
import os
import pickle
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from malformed import zip_of
from subprograms import PicklingPool

from metaser_jax import datasets
from metaser_jax.audio.extraction import extract, extract_all
from metaser_jax.datasets import files, recordings
from metaser_jax.datasets.files import CorpusFile, files_below
from metaser_jax.datasets.recordings import Parsed
from metaser_jax.errors import InputError, RecordingError

LAYOUT = "urdu/**/Angry/SM1_F1_A01.wav"
SAM = Parsed("sam", "Angry", "angry")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"RIFF")


def make_zip(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def names(folder, strict=True):
    return [str(one) for one in files_below(folder, strict=strict)]


# On disk


def test_hidden_files_are_none_and_links_are_followed_once(tmp_path):
    corpus = tmp_path / "corpus"
    touch(corpus, "B/x.WAV", "a/deep/er/y.flac", ".DS_Store", "a/._y.flac", "__MACOSX/._z.wav", ".git/w.wav")
    touch(tmp_path, "elsewhere/x.wav")
    (corpus / "link").symlink_to(tmp_path / "elsewhere")
    (corpus / "loop").symlink_to(corpus)
    assert names(corpus) == ["B/x.WAV", "a/deep/er/y.flac", "link/x.wav"]


def test_what_is_no_file_is_named_when_it_is_read(tmp_path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.wav")
    touch(tmp_path, "sparse.wav")
    os.truncate(tmp_path / "sparse.wav", files.MAX_BYTES + 1)
    (tmp_path / "zip").mkdir()
    (tmp_path / "zip" / "bomb.zip").write_bytes(zip_of(b"RIFF", files.MAX_BYTES + 1))
    reasons = ("No such file", "no regular file", "268,435,457 bytes", "268,435,457 bytes")
    for one, reason in zip(files_below(tmp_path), reasons, strict=True):
        with pytest.raises(RecordingError, match=rf"\.wav: cannot be read \({reason}"):
            extract(one)
    os.mkfifo(tmp_path / "b.zip")
    with pytest.raises(InputError, match=r"b\.zip .*no regular file"):
        files_below(tmp_path)


def test_names_that_are_not_utf8_and_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "fine").mkdir()
    open(os.fsencode(tmp_path / "fine") + b"/caf\xe9.wav", "w").close()
    with pytest.raises(InputError, match=r"fine/caf\\xe9\.wav"):
        files_below(tmp_path)
    assert len(files_below(tmp_path, strict=False)) == 1

    def walk(folder, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr(files.os, "walk", walk)
    with pytest.raises(InputError, match=r"\(Permission denied\)"):
        files_below(tmp_path)


# In archives


def test_members_of_archives(tmp_path):
    hidden = ["a/", ".", "./", "__MACOSX/a/._1.wav", "a/.hidden"]
    members = dict.fromkeys(hidden, b"") | {"a/1.wav": b"one", "README.md": b"text"}
    make_zip(tmp_path / "deep" / "er.ZIP", members)
    found = files_below(tmp_path)
    assert [(one.file, str(one)) for one in found] == [
        ("deep/README.md", "er.ZIP: README.md"),
        ("deep/a/1.wav", "er.ZIP: a/1.wav"),
    ]
    assert found[1].read_bytes() == b"one"
    assert pickle.loads(pickle.dumps(found[1])) == found[1], "they go to worker processes"
    assert [one.file for one in files.files_in([tmp_path / "deep" / "er.ZIP"])] == ["README.md", "a/1.wav"]


@pytest.mark.parametrize("place", ["a/1.wav", "all/a/1.wav", "1.wav"])
def test_an_archive_and_what_was_unpacked_of_it(tmp_path, place):
    """In place, into a folder of the archive's name, or without the folder that holds all; not in part."""
    make_zip(tmp_path / "all.zip", {"a/1.wav": b"RIFF", "a/2.wav": b"other"})
    touch(tmp_path, place)
    assert sorted(names(tmp_path)) == sorted([place, "all.zip: a/2.wav"])
    make_zip(tmp_path / "all.zip", {"a/1.wav": b"RIFF and more"})
    assert sorted(names(tmp_path)) == sorted([place, "all.zip: a/1.wav"])


@pytest.mark.parametrize(
    "name", ["../out.wav", "a/../../out.wav", "/etc/out.wav", "C:/out.wav", "..\\out.wav", "link.wav"]
)
def test_members_that_lead_out_of_the_folder(tmp_path, name):
    member = zipfile.ZipInfo(name)
    member.external_attr = ((stat.S_IFLNK if name == "link.wav" else stat.S_IFREG) | 0o777) << 16
    archive = make_zip(tmp_path / "in" / "bad.zip", {"fine.wav": b"", member: b"/etc/passwd"})
    with pytest.raises(InputError, match=r"bad\.zip: 1 of its 2 members"):
        files_below(tmp_path / "in")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize("damage", [None, (b"PK\x01\x02", 6, b"\xff"), (b"PK\x01\x02", 46, b"\xe8")])
def test_what_is_no_archive(tmp_path, damage):
    """Or is one of a version to come, or with a name that is not UTF-8, which zipfile does not take for a bad one."""
    path = make_zip(tmp_path / "a.zip", {"\u00e4.wav": b"RIFF"})
    data = bytearray(path.read_bytes() if damage else b"RIFF")
    if damage:
        mark, offset, byte = damage
        data[data.index(mark) + offset : data.index(mark) + offset + 1] = byte
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip cannot be read as a zip archive"):
        files_below(tmp_path)
    assert names(tmp_path, strict=False) == ["a.zip"]


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        *[((22, 24), bytes([size, 0, 0, 0]), "(cannot be read|the audio is truncated)") for size in (3, 100)],
        ((6, 8), b"\1", ".*encrypted"),  # the flag of encryption
    ],
)
def test_an_archive_that_lies_about_a_size_and_an_encrypted_one(tmp_path, at, value, reason):
    archive = make_zip(tmp_path / "a.zip", {"1.wav": b"RIFF and more"})
    data = bytearray(archive.read_bytes())
    for header, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), at, strict=True):
        start = data.index(header) + offset
        data[start : start + len(value)] = value
    archive.write_bytes(data)
    with pytest.raises(RecordingError, match=rf"a\.zip: 1\.wav: {reason}"):
        extract(files_below(tmp_path)[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_member_is_named(recordings_dir, tmp_path, make_corpus, zipped, workers):
    in_processes = functools.partial(extract_all, min_files=1, chunk=2, pool=PicklingPool)
    archive = zipped(make_corpus("demo_urdu"))
    data = bytearray(archive.read_bytes())
    data[200:220] = bytes(20)  # within the first member
    archive.write_bytes(data)
    make = functools.partial(datasets.builder, extract=in_processes)
    with pytest.raises(InputError, match=r"demo_urdu\.zip: f1_angry_03\.wav: cannot be read"):
        datasets.prepare("demo_urdu", recordings_dir, tmp_path / "data", workers=workers, make=make)


@pytest.mark.parametrize(("name", "inside"), [("emodb", True), ("iemocap", False), ("urdu", True)])
def test_an_archive_is_the_same_corpus_as_its_folder(name, inside, make_corpus, recordings_dir, tmp_path, zipped):
    """In the corpus's folder, or in its place; with folders around it, as GitHub's archives have one."""
    folder = make_corpus(name)
    datasets.prepare(name, recordings_dir, tmp_path / "unpacked")
    folder.rename(recordings_dir / "around")
    folder.mkdir()
    (recordings_dir / "around").rename(folder / "URDU-Dataset-4b546d4")
    archive = zipped(folder)
    if inside:
        folder.mkdir()
        archive = archive.rename(folder / "Download.zip")
    datasets.prepare(name, recordings_dir, tmp_path / "packed")
    unpacked, packed = (datasets.load(name, tmp_path / kind) for kind in ("unpacked", "packed"))
    assert unpacked.digest() == packed.digest()
    np.testing.assert_array_equal(unpacked.file, packed.file)
    assert [path for path in recordings_dir.rglob("*") if path.is_file()] == [archive]


def test_an_archive_beside_the_folder_is_read_too(make_corpus, recordings_dir):
    """As when one of ShEMO's two archives was unpacked."""
    folder = make_corpus("shemo")
    for name, file in {"male": "MALE/M56N02.wav", "female": "female/F01A01.wav"}.items():
        make_zip(recordings_dir / f"{name}.zip", {file.replace("MALE", "male"): (folder / file).read_bytes()})
    shutil.rmtree(folder / "MALE")
    assert len(datasets.check("shemo", recordings_dir).recordings) == 7


def test_archives_that_are_not_read_are_listed(make_corpus, recordings_dir):
    folder = make_corpus("demo_urdu")
    make_zip(folder / "more.zip", {"inner.zip": b"PK", "f1_sad_77.txt": b""})
    (folder / "more.tar.gz").write_bytes(b"")
    found = datasets.check("demo_urdu", recordings_dir).excluded
    assert [left.file for left in found] == ["more.tar.gz", "more.zip: inner.zip"]


# The corpus's place


def test_place_of_a_corpus(tmp_path):
    touch(tmp_path, "URDU.zip", "Urdu-Dataset-main.zip", "other.zip", "urdu.tar")
    place = functools.partial(recordings.corpus_place, tmp_path, "urdu", LAYOUT)
    assert place() == (None, [tmp_path / "URDU.zip"])
    assert place(["URDU-Dataset*.zip"]) == (None, [tmp_path / "URDU.zip", tmp_path / "Urdu-Dataset-main.zip"])
    touch(tmp_path, "UR-DU/a.wav")
    assert place() == (tmp_path / "UR-DU", [tmp_path / "URDU.zip"])
    touch(tmp_path, "urdu/a.wav")
    assert place() == (tmp_path / "urdu", [tmp_path / "URDU.zip"])


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        ("", r"no folder 'urdu' and no archive urdu\.zip or U\*\.zip; it has TESS/, emodb/\. Expected layout: .*Angry"),
        ("none", "--manual_dir: .* does not exist"),
        ("notes.txt", "--manual_dir: .* is a file"),
        ("emodb/urdu", "--manual_dir=.*/emodb"),
    ],
)
def test_a_place_without_the_corpus_says_what_is_there(tmp_path, below, reason):
    touch(tmp_path, "emodb/urdu/Angry/a.wav", "TESS/a.wav", "notes.txt")
    with pytest.raises(InputError, match=reason):
        recordings.corpus_place(tmp_path / below, "urdu", LAYOUT, ["U*.zip"])


# Recordings


def on_disk(file):
    return CorpusFile(file, Path("corpus", file), None, 4)


def listing(pairs):
    return recordings.listing("corpus", pairs, lambda path, parsed: f"{parsed.speaker}/{path.stem}")


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
    found = listing([(on_disk(path), SAM) for path in paths])
    assert [recording.file for recording in found.recordings] == expected
    assert {str(recording.source) for recording in found.recordings} == set(paths)


@pytest.mark.parametrize("other", ["a/1.flac", "copy/a/1.wav"])
def test_the_same_recording_twice(other):
    with pytest.raises(InputError, match=" and ".join(sorted(["a/1.wav", other]))):
        listing([(on_disk("a/1.wav"), SAM), (on_disk(other), SAM)])
    pairs = [(CorpusFile("a/1.wav", Path(f"{name}.zip"), "a/1.wav", 4), SAM) for name in ("one", "two")]
    with pytest.raises(InputError, match=r"one\.zip: a/1\.wav and two\.zip: a/1\.wav"):
        listing(pairs)


def test_other_formats_are_named_not_dropped(tmp_path):
    touch(tmp_path, "urdu/Angry/SM1_F1_A01.wav", "urdu/Angry/SM1_F1_A02.mp3", "urdu/Angry/SM1_F1_A03.mov")
    with pytest.raises(InputError, match=r"A03\.mov: .*\n.*A02\.mp3: \.mp3 is not read, expected \.wav or \.flac\. "):
        datasets.check("urdu", tmp_path)
    touch(tmp_path, "emodb/a.txt", "emodb/b.TXT", "emodb/c.rar")
    with pytest.raises(InputError, match=r"found 2 \.txt, 1 \.rar .*Expected layout: emodb"):
        datasets.check("emodb", tmp_path)
