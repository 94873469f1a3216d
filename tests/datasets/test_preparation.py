"""From recordings to a prepared corpus and back into memory: complete and the same bytes, or not there."""

import dataclasses
import functools
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
import soundfile
import tensorflow_datasets as tfds
from fakes import made_encoder
from sounds import write_sound
from subprograms import PicklingPool, python
from tensorflow_datasets.core import file_adapters

from metaser_jax import datasets
from metaser_jax.audio import extraction
from metaser_jax.audio.encoder import encoder_bytes, layers, mel_of
from metaser_jax.audio.extraction import extract, extract_all
from metaser_jax.datasets.recordings import Left
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import InputError

SPEAKERS = {"iemocap": 3, "urdu": 4}


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def demo(make_corpus):
    return make_corpus("demo_urdu")


@pytest.fixture
def prepare(recordings_dir, data_dir):
    return lambda name="demo_urdu", data=data_dir, **options: datasets.prepare(name, recordings_dir, data, **options)


def content(folder):
    """Of every file that was prepared."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def extracting(extract):
    """Builders that extract features so."""
    return functools.partial(datasets.builder, extract=extract)


def never(files, workers):
    raise AssertionError("before any work")


# What is prepared


@pytest.mark.parametrize("name", [*datasets.PAPER, "demo_urdu", "folder/saraiki"])
def test_every_file_is_prepared(name, make_corpus, prepare, data_dir, corpus_files):
    folder = make_corpus(name)
    (folder / "README.txt").write_text("not audio")
    (folder / "._x.wav").write_bytes(b"macOS")
    statistics = prepare(name)
    corpus = datasets.load(name, data_dir)
    shared = {"emodb": "WAV/", "emovo": "EMOVO/", "savee": "AudioData/"}.get(name, "")
    assert corpus.file.tolist() == sorted(file.removeprefix(shared) for file in corpus_files[name])
    assert statistics.utterances == len(corpus) == len(corpus_files[name]) == sum(statistics.emotions.values())
    assert statistics.speakers == len(set(corpus.speaker.tolist())) == SPEAKERS.get(name, 2)
    assert set(statistics.counts()) >= set(FOUR_EMOTIONS)
    assert statistics == datasets.load_statistics(name, data_dir)
    assert (corpus.name, corpus.emotions) == (name, EMOTIONS)
    for i, file in enumerate(corpus.file):
        np.testing.assert_array_equal(corpus.mfcc[i], extract(folder / (shared + file)).mfcc)


@pytest.mark.parametrize(
    ("name", "files", "speakers"),
    [
        ("savee", [f"ALL/{speaker}_{code}01.wav" for speaker in ("DC", "JE") for code in ("a", "n")], "DC JE"),
        ("savee", [f"jk/{code}01.wav" for code in ("a", "sa")], "JK"),
        ("shemo", [f"{s}{code}01.wav" for s in ("F01", "M07") for code in "AHNS"], "F01 M07"),
        ("emodb", [f"a/b/c/11a02{code}c.wav" for code in "WFNT"], "11"),
    ],
)
def test_other_layouts(name, files, speakers, recordings_dir):
    """As in copies that are in circulation: flat, deeper, folders in another case."""
    for file in files:
        write_sound(recordings_dir / name.upper() / file)
    found = datasets.check(name, recordings_dir).recordings
    assert len(found) == len(files)
    assert {one.parsed.speaker for one in found} == set(speakers.split())


# What is left out


def test_bad_recordings_are_named_at_once_or_left_out(demo, prepare, data_dir):
    (demo / "f1_angry_77.wav").write_bytes(b"")
    (demo / "f1_happy_77.wav").write_bytes((demo / "f1_happy_00.wav").read_bytes()[:500])
    with pytest.raises(InputError) as caught:
        prepare()
    for said in ("2 of 6 recordings", "\n  f1_angry_77.wav: the file is empty", "f1_happy_77.wav: trunc", "--skip_bad"):
        assert said in str(caught.value)
    assert not datasets.is_prepared("demo_urdu", data_dir)
    assert not list((data_dir / "demo_urdu").iterdir())
    (demo / "f1_bored_00.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"1 of 7 recordings.*\n  f1_bored_00\.wav: .*'bored'"):
        prepare(data=data_dir / "other", make=extracting(never))
    assert not (data_dir / "other").exists()
    statistics = prepare(skip_bad=True)
    assert statistics == datasets.load_statistics("demo_urdu", data_dir)
    assert statistics.utterances == 4
    assert [left.file for left in statistics.skipped] == ["f1_angry_77.wav", "f1_bored_00.wav", "f1_happy_77.wav"]
    assert "skipped: 3" in statistics.report()
    assert "f1_angry_77.wav: the file is empty" in statistics.report()
    for path in demo.glob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="7 of 7 recordings"):
        prepare(data=data_dir / "other", skip_bad=True)
    shutil.rmtree(demo)
    demo.mkdir()
    with pytest.raises(InputError, match="found no files"):
        prepare(data=data_dir / "other")


def test_duplicates_are_listed_and_may_be_dropped(make_corpus, prepare, data_dir):
    """The pair of RAVDESS, and a copy that says another emotion; a song is no part of it."""
    folder = make_corpus("ravdess")
    write_sound(folder / "03-02-01-01-01-01-01.wav")
    first = folder / "Actor_07" / "03-01-03-01-02-01-07.wav"
    first.parent.mkdir()
    first.write_bytes((folder / "Actor_01/03-01-01-01-01-01-01.wav").read_bytes() + b"LIST")
    for other in ("03-01-03-01-02-02-07.wav", "03-01-04-01-02-02-07.wav"):
        first.with_name(other).write_bytes(first.read_bytes())
    names = tuple(f"Actor_07/03-01-0{code}-07.wav" for code in ("3-01-02-01", "3-01-02-02", "4-01-02-02"))
    make = extracting(functools.partial(extraction.extract_all, min_files=1, pool=PicklingPool))
    for workers in (1, 2):
        data = data_dir / str(workers)
        statistics = prepare("ravdess", data, workers=workers, drop_duplicates=True, make=make)
        assert statistics.duplicates == (names,)
        assert statistics.dropped == tuple(Left(name, f"byte-identical to {names[0]}") for name in names[1:])
        assert statistics.utterances == 10
        assert set(datasets.load("ravdess", data).file) & set(names) == {names[0]}
    kept = prepare("ravdess")
    assert (kept.utterances, kept.duplicates) == (12, (names,))
    assert " = ".join(names) in kept.report()
    assert kept.excluded == (Left("03-02-01-01-01-01-01.wav", "a song (vocal channel 02)"),)
    assert "12 utterances of 1440 published" in kept.report()
    same = datasets.load("ravdess", data_dir).same
    assert sorted(np.bincount(same)) == [*[1] * 9, 3]
    with pytest.raises(InputError, match=r"drop_duplicates=False, .* --drop_duplicates=True .*--overwrite"):
        prepare("ravdess", drop_duplicates=True)


# The same bytes

OTHER_PROCESS = """
import locale, sys
from metaser_jax import datasets

if __name__ == "__main__":
    before = locale.setlocale(locale.LC_CTYPE)
    datasets.prepare("demo_urdu", *sys.argv[1:3], workers=2, skip_bad=True)
    datasets.load("demo_urdu", sys.argv[3])
    assert locale.setlocale(locale.LC_CTYPE) == before, "what surrounds it is as it was"
"""


@pytest.fixture
def turkish(tmp_path):
    """The environment of the locale in which C's toupper makes no I of i, where it can be had."""
    made = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(tmp_path / "tr_TR.UTF-8")]
    if not shutil.which("localedef") or subprocess.run(made, capture_output=True).returncode > 1:  # 1: warnings
        return dict(os.environ)
    return os.environ | {"LOCPATH": str(tmp_path), "LC_ALL": "tr_TR.UTF-8", "PYTHONIOENCODING": "ascii"}


def test_any_number_of_processes_in_any_locale_writes_the_same_bytes(recordings_dir, tmp_path, turkish):
    """Files of different lengths, rates and channels, one of them bad, and more than one process extracts alone."""
    number = extraction.MIN_FILES_FOR_PROCESSES + 10
    for i in range(number):
        path = recordings_dir / "demo_urdu" / f"f{i % 3}_{FOUR_EMOTIONS[i % 4]}_{i:02d}.wav"
        write_sound(path, seconds=0.1 * (i % 30 + 1), rate=(16000, 48000)[i % 2], channels=1 + i % 3)
    path.write_bytes(b"")
    here, there = tmp_path / "here", tmp_path / "there"
    datasets.prepare("demo_urdu", recordings_dir, here, workers=1, skip_bad=True)
    (tmp_path / "program.py").write_text(OTHER_PROCESS)
    run = python(tmp_path / "program.py", recordings_dir, there, here, env=turkish)
    assert run.returncode == 0, run.stderr
    written = [content(data / "demo_urdu" / "2.1.0") for data in (here, there)]
    assert "demo_urdu-train.array_record-00000-of-00001" in written[0]
    assert written[0] == written[1]
    assert len(datasets.load("demo_urdu", there)) == number - 1


def test_metadata_on_disk_is_plain_json(demo, prepare, data_dir):
    statistics = prepare()
    path = data_dir / "demo_urdu/2.1.0/metadata.json"
    options = {"skip_bad": False, "drop_duplicates": False, "language": None, "speaker_pattern": None}
    options |= {"speakers": "auto", "emotion_pattern": None, "map": [], "columns": []}
    left_out = {"skipped": [], "excluded": [], "duplicates": [], "dropped": []}
    metadata = json.loads(path.read_text())
    (note,) = metadata.pop("notes")
    assert note.startswith("4 recordings shorter than a second: f1_angry_03.wav, f1_happy_00.wav, ")
    assert metadata == {"language": "Urdu", "options": options, "encoder": None, **left_out}
    assert statistics.notes == (note,)
    assert f"  note: {note}" in statistics.report()
    # One that was prepared before there were notes is read.
    path.write_text(json.dumps(metadata))
    assert datasets.load_statistics("demo_urdu", data_dir) == dataclasses.replace(statistics, notes=())


# Whole, or not there


def test_prepared_again_only_to_overwrite(demo, prepare, data_dir):
    first = prepare()
    write_sound(demo / "f1_sad_00.wav")
    for left in ("incomplete.X1_2.1.0", "replaced.2.1.0"):
        (data_dir / "demo_urdu" / left).mkdir()
    assert prepare() == first
    assert os.listdir(data_dir / "demo_urdu") == ["2.1.0"]
    (demo / "f1_happy_01.wav").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        prepare(overwrite=True)
    assert datasets.load_statistics("demo_urdu", data_dir) == first
    (demo / "f1_happy_01.wav").unlink()
    (data_dir / "demo_urdu/2.1.0/dataset_info.json").write_text("{")
    assert prepare(overwrite=True).utterances == first.utterances + 1
    assert os.listdir(data_dir / "demo_urdu") == ["2.1.0"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_what_was_there(demo, prepare, data_dir, error):
    def interrupted(files, workers):
        yield from extraction.extract_all(files[:2], workers)
        raise error

    with pytest.raises(error):
        prepare(make=extracting(interrupted))
    assert not list((data_dir / "demo_urdu").iterdir())
    first = prepare()
    with pytest.raises(error):
        prepare(make=extracting(interrupted), overwrite=True)
    assert os.listdir(data_dir / "demo_urdu") == ["2.1.0"]
    assert datasets.load_statistics("demo_urdu", data_dir) == first


def test_a_data_dir_that_cannot_be_written(demo, prepare, data_dir, tmp_path, monkeypatch):
    def write_examples(path, iterator):
        for _ in zip(range(2), iterator, strict=False):
            pass
        raise RuntimeError("write() failed: No space left on device")

    monkeypatch.setattr(file_adapters.ArrayRecordFileAdapter, "write_examples", write_examples)
    with pytest.raises(InputError, match=r"--data_dir=.*No space left on device"):
        prepare()
    assert not datasets.is_prepared("demo_urdu", data_dir)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--data_dir=.*Not a directory"):
        prepare(data=tmp_path / "file")


KILLED = """
import functools, os, signal, sys
from metaser_jax import datasets

def kill(files, workers):
    os.kill(os.getpid(), signal.SIGKILL)

make = functools.partial(datasets.builder, extract=kill)
datasets.prepare("demo_urdu", *sys.argv[1:3], make=make, overwrite=len(sys.argv) > 3)
"""


def test_a_killed_run_does_not_count_and_loses_nothing(demo, prepare, recordings_dir, data_dir):
    run = python("-c", KILLED, recordings_dir, data_dir)
    assert run.returncode == -signal.SIGKILL, run.stderr
    (left,) = os.listdir(data_dir / "demo_urdu")
    assert left.startswith("incomplete.")
    (data_dir / "demo_urdu" / left / "dataset_info.json").write_text("{}")  # had it come this far
    with pytest.raises(InputError, match="prepared there: nothing"):
        datasets.load("demo_urdu", data_dir)
    first = prepare()
    assert os.listdir(data_dir / "demo_urdu") == ["2.1.0"]
    run = python("-c", KILLED, recordings_dir, data_dir, "overwrite")
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not datasets.is_prepared("demo_urdu", data_dir)
    assert datasets.prepare("demo_urdu", "/nowhere", data_dir) == first
    assert os.listdir(data_dir / "demo_urdu") == ["2.1.0"]


def test_two_at_once(demo, prepare, data_dir, capfd):
    """The second waits, deletes nothing of the first's, and takes what that has prepared."""
    began, others = threading.Event(), []

    def slowly(files, workers):
        began.set()
        while not capfd.readouterr().err.count("is being prepared by another process; waiting for its end"):
            assert os.listdir(data_dir / "demo_urdu")[0].startswith("incomplete.")
            time.sleep(0.01)
        yield from extraction.extract_all(files, workers)

    def second():
        began.wait()
        others.append(prepare(make=extracting(never)))

    thread = threading.Thread(target=second)
    thread.start()
    first = prepare(make=extracting(slowly))
    thread.join()
    assert others == [first]
    assert os.listdir(data_dir / "demo_urdu") == ["2.1.0"]


# What the speech encoder hears


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """One of made weights, as if it had been fetched; what it is."""
    path = tmp_path / "encoder.npz"
    path.write_bytes(encoder_bytes(made_encoder()))
    monkeypatch.setenv("METASER_ENCODER", str(path))
    return made_encoder()


def test_what_the_encoder_hears_is_kept_and_whose_it_is_said(encoder, make_corpus, prepare, data_dir):
    folder = make_corpus("emodb")
    statistics = prepare("emodb")
    corpus = datasets.load("emodb", data_dir)
    assert (corpus.vectors.shape, corpus.vectors_of, statistics.encoder) == ((8, 3, 256), *[encoder.digest] * 2)
    sources = [next(folder.rglob(str(file))) for file in corpus.file]
    bands = mel_of(*soundfile.read(sources[3], dtype="float32"))
    np.testing.assert_allclose(corpus.vectors[3], layers(encoder, [bands.frames[bands.kept]])[0], atol=1e-5)
    # In batches of any size, by any number of processes.
    for workers, options in ((1, {}), (2, {"min_files": 1})):
        found = [one.vectors for one in extract_all(sources, workers, encoder=True, **options)]
        np.testing.assert_allclose(found, corpus.vectors, atol=1e-6)
    assert (
        f"vectors of {statistics.speakers} people's voices are inside (encoder {encoder.digest})" in statistics.report()
    )
    # Its numbers are in nothing that people read.
    texts = [statistics.report(), *(path.read_text() for path in data_dir.rglob("*.json"))]
    assert not any(f"{number:.3f}"[1:] in text for text in texts for number in corpus.vectors[0, 1, :5])


def test_the_encoder_only_where_it_is_wanted_and_there(make_corpus, prepare, data_dir, monkeypatch, tmp_path):
    make_corpus("emodb")
    monkeypatch.delenv("METASER_ENCODER", raising=False)
    monkeypatch.setenv("METASER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"^--encoder=on needs .*metaser fetch-encoder"):
        prepare("emodb", encoder="on")
    assert prepare("emodb").encoder is None
    assert datasets.load("emodb", data_dir).vectors is None
    path = tmp_path / "encoder.npz"
    path.write_bytes(encoder_bytes(made_encoder()))
    monkeypatch.setenv("METASER_ENCODER", str(path))
    with pytest.raises(InputError, match=r"without the speech encoder.*--overwrite"):
        prepare("emodb", encoder="on")
    assert prepare("emodb", overwrite=True, encoder="off").encoder is None
    assert prepare("emodb", overwrite=True).encoder == made_encoder().digest


def test_a_corpus_of_version_2_0_is_read_for_what_it_has(encoder, make_corpus, prepare, data_dir, monkeypatch):
    make_corpus("emodb")
    with monkeypatch.context() as earlier:
        earlier.setattr(datasets.builder_class("emodb"), "VERSION", tfds.core.Version("2.0.0"))
        prepare("emodb", encoder="off")
    assert os.listdir(data_dir / "emodb") == ["2.0.0"]
    assert datasets.is_prepared("emodb", data_dir)
    assert datasets.prepared_names(data_dir) == ["emodb"]
    old = datasets.load("emodb", data_dir)
    assert (old.vectors, old.vectors_of) == (None, "")
    assert prepare("emodb").encoder is None  # it is good enough
    prepare("emodb", overwrite=True)
    new = datasets.load("emodb", data_dir)
    assert (new.vectors_of, new.digest()) == (encoder.digest, old.digest())
    np.testing.assert_array_equal(new.voice, old.voice)


# Into memory


@pytest.fixture
def emodb(make_corpus, prepare, data_dir):
    make_corpus("emodb")
    prepare("emodb")
    return data_dir / "emodb" / "2.1.0"


@pytest.mark.parametrize("file", ["metadata.json", "dataset_info.json", "emodb-train.array_record-00000-of-00001"])
def test_damaged(emodb, data_dir, file):
    (emodb / file).write_bytes((emodb / file).read_bytes()[:10])
    with pytest.raises(InputError, match=r"2\.1\.0 is damaged .*--overwrite"):
        datasets.load("emodb", data_dir)


def test_through_tfds_alone_and_pickled(emodb, data_dir, tmp_path):
    """Whoever has the folder needs this package's code no more than its name."""
    found = tfds.builder_from_directory(emodb)
    assert {one["emotion"].decode() for one in found.as_data_source("train")} >= {"anxiety/fear", "boredom"}
    assert found.info.splits["train"].num_examples == 8
    assert 8 * (120 * 20 + 171) * 4 < found.info.splits["train"].num_bytes < 8 * 12_000
    builder = datasets.builder("emodb", data_dir, skip_bad=True, workers=3)
    again = pickle.loads(pickle.dumps(builder))
    assert (again.options, again.info.file_format) == (builder.options, builder.info.file_format)
    assert len(again.as_data_source("train")) == 8
    for name in ("iemocap/excited_as_happy", "folder/mine"):
        assert pickle.loads(pickle.dumps(datasets.builder(name, tmp_path))).corpus_name == name


def test_prepared_names(emodb, make_corpus, prepare, data_dir, tmp_path):
    for read in (datasets.load, datasets.load_statistics):
        with pytest.raises(InputError, match=rf"urdu 2\.1\.0 .*{data_dir}; .*: emodb 2\.1\.0\. .* --corpora=urdu"):
            read("urdu", data_dir)
    with pytest.raises(InputError, match="nothing"):
        datasets.load("urdu", tmp_path / "none")
    with pytest.raises(InputError, match="Did you mean 'emodb'"):
        datasets.load("emo-db", data_dir)
    (data_dir / "folder").mkdir()
    (data_dir / "folder" / ".DS_Store").touch()
    for name in ("folder/saraiki", "shemo", "demo_urdu"):
        make_corpus(name)
        prepare(name)
    (data_dir / "urdu" / "1.0.0").mkdir(parents=True)
    assert datasets.prepared_names(data_dir) == ["emodb", "shemo", "demo_urdu", "folder/saraiki"]


def test_real_recordings(real_corpora, tmp_path, data_dir):
    """A handful of each real corpus, through links."""
    for name, files in {
        "emodb": ["wav/03a01Fa.flac"],
        "ravdess": ["Actor_07/03-01-03-01-02-01-07.flac", "Actor_07/03-01-03-01-02-02-07.flac"],
        "urdu": ["Sad/SF10_F1_S01.flac", "Angry/SM1_F10_A010.flac"],
    }.items():
        for file in files:
            (tmp_path / "some" / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "some" / name / file).symlink_to(real_corpora / name / file)
        statistics = datasets.prepare(name, tmp_path / "some", data_dir)
        corpus = datasets.load(name, data_dir)
        assert corpus.file.tolist() == sorted(file.removeprefix("Actor_07/").removeprefix("wav/") for file in files)
        assert (corpus.mfcc[:, 0, 0] < -100).all()
        # Known: these two recordings of RAVDESS are the same.
        assert statistics.duplicates == ((tuple(corpus.file),) if name == "ravdess" else ())
