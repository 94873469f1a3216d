"""Files on disk and in zip archives: the same corpus either way, and nothing that leads out of the folder."""

import functools
import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from malformed import zip_of
from pickling_pool import PicklingPool

from metaser_jax import datasets
from metaser_jax.audio.extraction import extract, extract_all
from metaser_jax.datasets import files
from metaser_jax.errors import InputError, RecordingError


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


def test_hidden_files_are_none(tmp_path):
    touch(tmp_path, "B/x.WAV", "a/deep/er/y.flac", ".DS_Store", "a/._y.flac", "__MACOSX/._z.wav", ".git/w.wav")
    assert [one.file for one in files.files_below(tmp_path)] == ["B/x.WAV", "a/deep/er/y.flac"]


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "elsewhere/x.wav", "corpus/y.wav")
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    assert [one.file for one in files.files_below(tmp_path / "corpus")] == ["link/x.wav", "y.wav"]


def test_members_of_archives(tmp_path):
    members = {"a/1.wav": b"one", "a/": b"", "__MACOSX/a/._1.wav": b"", "a/.hidden": b"", "README.md": b"text"}
    make_zip(tmp_path / "deep" / "er.ZIP", members)
    found = files.files_below(tmp_path)
    assert [(one.file, str(one)) for one in found] == [
        ("deep/README.md", "er.ZIP: README.md"),
        ("deep/a/1.wav", "er.ZIP: a/1.wav"),
    ]
    assert found[1].read_bytes() == b"one"
    assert [one.file for one in files.files_in([tmp_path / "deep" / "er.ZIP"])] == ["README.md", "a/1.wav"]


@pytest.mark.parametrize("place", ["a/1.wav", "all/a/1.wav", "1.wav"])
def test_an_archive_and_what_was_unpacked_of_it(tmp_path, place):
    """In place, into a folder of the archive's name, or without the folder that holds all."""
    make_zip(tmp_path / "all.zip", {"a/1.wav": b"RIFF", "a/2.wav": b"other"})
    touch(tmp_path, place)
    assert sorted(str(one) for one in files.files_below(tmp_path)) == sorted([place, "all.zip: a/2.wav"])


def test_what_was_unpacked_in_part_is_not_taken_for_the_archive(tmp_path):
    make_zip(tmp_path / "all.zip", {"a/1.wav": b"RIFF and more"})
    touch(tmp_path, "a/1.wav")
    assert [str(one) for one in files.files_below(tmp_path)] == ["a/1.wav", "all.zip: a/1.wav"]


@pytest.mark.parametrize("name", ["../out.wav", "a/../../out.wav", "/etc/out.wav", "C:/out.wav", "..\\out.wav"])
def test_members_that_lead_out_of_the_folder(tmp_path, name):
    archive = make_zip(tmp_path / "in" / "bad.zip", {"fine.wav": b"", name: b""})
    with pytest.raises(InputError, match=r"bad\.zip: 1 of its 2 members would be written outside of the folder"):
        files.files_below(tmp_path / "in")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_links_in_an_archive(tmp_path):
    link = zipfile.ZipInfo("link.wav")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    make_zip(tmp_path / "bad.zip", {link: "/etc/passwd"})
    with pytest.raises(InputError, match=r"outside of the folder, e\.g\. 'link\.wav'"):
        files.files_below(tmp_path)


@pytest.mark.parametrize("place", ["in an archive", "on disk"])
def test_a_file_of_impossible_size_is_not_read(tmp_path, place):
    if place == "on disk":
        touch(tmp_path, "a.wav")
        os.truncate(tmp_path / "a.wav", files.MAX_BYTES + 1)
    else:
        (tmp_path / "bomb.zip").write_bytes(zip_of(b"RIFF", files.MAX_BYTES + 1))
    (one,) = files.files_below(tmp_path)
    sizes = r"268,435,457 bytes, expected at most 268,435,456"
    with pytest.raises(RecordingError, match=rf"a\.wav: cannot be read \({sizes}\)"):
        extract(one)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    (one,) = files.files_below(tmp_path)
    with pytest.raises(RecordingError, match=r"a\.wav: cannot be read \(no regular file\)"):
        extract(one)
    os.mkfifo(tmp_path / "b.zip")
    with pytest.raises(InputError, match=r"b\.zip cannot be read as a zip archive \(.*no regular file"):
        files.files_below(tmp_path)


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "nothing")
    (one,) = files.files_below(tmp_path)
    with pytest.raises(RecordingError, match=r"a\.wav: cannot be read \(No such file or directory\)"):
        extract(one)


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "fine").mkdir()
    open(os.fsencode(tmp_path / "fine") + b"/caf\xe9.wav", "w").close()
    with pytest.raises(InputError, match=r"fine/caf\\xe9\.wav: the name is not UTF-8\. Rename it"):
        files.files_below(tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def walk(folder, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr(files.os, "walk", walk)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        files.files_below(tmp_path)


@pytest.mark.parametrize("name", [".", "./", "a/", "__MACOSX/x.wav"])
def test_members_that_are_no_files_of_the_corpus(tmp_path, name):
    make_zip(tmp_path / "a.zip", {name: b"", "x/1.wav": b"RIFF"})
    assert [one.member for one in files.files_below(tmp_path)] == ["x/1.wav"]


def test_archives_inside_an_archive_are_listed(make_corpus, recordings_dir, tmp_path):
    folder = make_corpus("demo_urdu")
    make_zip(folder / "more.zip", {"inner.zip": b"PK", "f1_sad_77.txt": b""})
    statistics = datasets.prepare("demo_urdu", recordings_dir, tmp_path)
    assert [tuple(left) for left in statistics.excluded] == [
        ("more.zip: inner.zip", "an archive that is not read, unpack it")
    ]


def test_another_archive_under_the_same_name_is_read_anew(tmp_path):
    for content in (b"one", b"other"):
        make_zip(tmp_path / "a.zip", {"1.wav": content})
        (member,) = files.files_below(tmp_path)
        assert member.read_bytes() == content


def test_an_archive_is_opened_once(tmp_path):
    make_zip(tmp_path / "a.zip", {f"{i}.wav": b"RIFF" for i in range(5)})
    files._open_archive.cache_clear()
    for member in files.files_below(tmp_path):
        member.read_bytes()
    assert files._open_archive.cache_info().misses == 1


def test_an_archive_beside_the_folder_is_read_too(make_corpus, recordings_dir, tmp_path):
    """As when one of ShEMO's two archives was unpacked."""
    folder = make_corpus("shemo")
    with zipfile.ZipFile(recordings_dir / "male.zip", "w") as archive:
        archive.write(folder / "MALE/M56N02.wav", "male/M56N02.wav")
    shutil.rmtree(folder / "MALE")
    with zipfile.ZipFile(recordings_dir / "female.zip", "w") as archive:  # this one is unpacked
        archive.write(folder / "female/F01A01.wav", "female/F01A01.wav")
    assert datasets.prepare("shemo", recordings_dir, tmp_path).utterances == 7


def test_not_an_archive(tmp_path):
    touch(tmp_path, "broken.zip")
    with pytest.raises(InputError, match=r"broken\.zip cannot be read as a zip archive"):
        files.files_below(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_member_is_named(recordings_dir, tmp_path, make_corpus, zipped, workers):
    extract = functools.partial(extract_all, min_files=1, chunk=2, pool=PicklingPool)
    make = functools.partial(datasets.builder, extract=extract)
    archive = zipped(make_corpus("demo_urdu"))
    data = bytearray(archive.read_bytes())
    data[200:220] = bytes(20)  # within the first member
    archive.write_bytes(data)
    with pytest.raises(InputError, match=r"demo_urdu\.zip: f1_angry_03\.wav: cannot be read \(cannot be read from .*:"):
        datasets.prepare("demo_urdu", recordings_dir, tmp_path / "data", workers=workers, make=make)


def test_an_encrypted_member(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"1.wav": b"RIFF"})
    data = archive.read_bytes()
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag of encryption
        at = data.index(header) + offset
        data = data[:at] + bytes([data[at] | 1]) + data[at + 1 :]
    archive.write_bytes(data)
    (member,) = files.files_below(tmp_path)
    with pytest.raises(RecordingError, match=r"a\.zip: 1\.wav: cannot be read .*encrypted"):
        extract(member)


@pytest.mark.parametrize("name", ["emodb", "iemocap", "ravdess", "savee"])
@pytest.mark.parametrize("inside", [True, False])
def test_an_archive_is_the_same_corpus_as_its_folder(name, inside, make_corpus, recordings_dir, tmp_path, zipped):
    """In the corpus's folder, or in its place."""
    folder = make_corpus(name)
    datasets.prepare(name, recordings_dir, tmp_path / "unpacked")
    archive = zipped(folder)
    if inside:
        folder.mkdir()
        archive.rename(folder / "Download.zip")
    datasets.prepare(name, recordings_dir, tmp_path / "packed")
    unpacked, packed = (datasets.load(name, tmp_path / kind) for kind in ("unpacked", "packed"))
    assert unpacked.digest() == packed.digest()
    np.testing.assert_array_equal(unpacked.file, packed.file)
    assert sorted(path.name for path in recordings_dir.rglob("*")) == sorted(
        path.name for path in ([folder, folder / "Download.zip"] if inside else [archive])
    )


def test_a_wrapping_folder_makes_no_difference(make_corpus, recordings_dir, tmp_path, zipped):
    """GitHub's archives have one."""
    folder = make_corpus("urdu")
    datasets.prepare("urdu", recordings_dir, tmp_path / "plain")
    (recordings_dir / "URDU-Dataset").mkdir()
    folder.rename(recordings_dir / "URDU-Dataset" / "URDU-Dataset-4b546d4")
    zipped(recordings_dir / "URDU-Dataset")
    datasets.prepare("urdu", recordings_dir, tmp_path / "wrapped")
    plain, wrapped = (datasets.load("urdu", tmp_path / kind) for kind in ("plain", "wrapped"))
    assert plain.file.tolist() == wrapped.file.tolist()
    assert plain.digest() == wrapped.digest()


def test_archives_that_are_not_read_are_listed(make_corpus, recordings_dir, tmp_path):
    folder = make_corpus("demo_urdu")
    (folder / "more.tar.gz").write_bytes(b"")
    statistics = datasets.prepare("demo_urdu", recordings_dir, tmp_path)
    assert [left.file for left in statistics.excluded] == ["more.tar.gz"]
    assert "an archive that is not read, unpack it" in statistics.report()


def test_files_pickle(tmp_path):
    """They go to worker processes."""
    import pickle

    one = files.CorpusFile("a.wav", Path("x.zip"), "a.wav", 3)
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize("damage", [(b"PK\x01\x02", 6, b"\xff"), (b"PK\x01\x02", 46, b"\xe8")])
def test_an_archive_that_zipfile_gives_up_on(tmp_path, damage):
    """Of a version to come, or with a name that is not UTF-8, which zipfile does not take for a bad archive."""
    path = tmp_path / "a.zip"
    make_zip(path, {"\u00e4.wav": b"RIFF"})
    data = bytearray(path.read_bytes())
    mark, offset, byte = damage
    at = data.index(mark) + offset
    data[at : at + 1] = byte
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip cannot be read as a zip archive"):
        files.files_below(tmp_path)
    assert [one.file for one in files.files_below(tmp_path, strict=False)] == ["a.zip"]
