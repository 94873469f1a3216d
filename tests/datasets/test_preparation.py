import dataclasses
import functools
import hashlib
import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import soundfile
from pickling_pool import PicklingPool
from sounds import write_sound
from subprograms import python

from metaser_jax import datasets
from metaser_jax.audio import extraction
from metaser_jax.audio.extraction import extract
from metaser_jax.datasets.recordings import Left
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def digest(folder):
    """Of every file that was prepared."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*") if path.is_file()}


SPEAKERS = {"iemocap": 3, "urdu": 4}


@pytest.mark.parametrize("name", [*datasets.PAPER, "demo_urdu", "folder/saraiki"])
def test_every_file_is_prepared(name, make_corpus, recordings_dir, data_dir, corpus_files):
    folder = make_corpus(name)
    (folder / "README.txt").write_text("not audio")
    (folder / "._x.wav").write_bytes(b"macOS")
    statistics = datasets.prepare(name, recordings_dir, data_dir)
    corpus = datasets.load(name, data_dir)
    shared = {"emodb": "WAV/", "emovo": "EMOVO/", "savee": "AudioData/"}.get(name, "")
    assert corpus.file.tolist() == sorted(file.removeprefix(shared) for file in corpus_files[name])
    assert statistics.utterances == len(corpus) == len(corpus_files[name])
    assert sum(statistics.emotions.values()) == len(corpus)
    assert statistics.speakers == len(set(corpus.speaker.tolist())) == SPEAKERS.get(name, 2)
    assert set(statistics.counts()) >= set(FOUR_EMOTIONS)
    assert statistics == datasets.load_statistics(name, data_dir)
    for i, file in enumerate(corpus.file):
        np.testing.assert_array_equal(corpus.mfcc[i], extract(folder / (shared + file)).mfcc)


def test_formats_rates_and_channels(recordings_dir, data_dir):
    folder = recordings_dir / "Demo_German"
    write_sound(folder / "x" / "f1_angry_00.wav", seconds=0.5, rate=48000, channels=2)
    write_sound(folder / "f1_happy_00.flac", seconds=0.25, rate=16000)
    write_sound(folder / "f1_sad_00.flac", seconds=4.0, rate=24414).rename(folder / "f1_sad_00.FLAC")
    statistics = datasets.prepare("demo_german", recordings_dir, data_dir)
    corpus = datasets.load("demo_german", data_dir)
    assert corpus.file.tolist() == ["f1_happy_00.flac", "f1_sad_00.FLAC", "x/f1_angry_00.wav"]
    assert corpus.label.tolist() == [1, 3, 0]
    assert corpus.n_frames.tolist() == [11, 120, 22]
    np.testing.assert_allclose(corpus.seconds, [0.25, 4.0, 0.5], rtol=1e-4)
    assert statistics.sample_rates == {16000: 1, 24414: 1, 48000: 1}
    assert statistics.seconds == pytest.approx(4.75, rel=1e-4)


def damage(folder):
    """Three bad recordings beside the good ones."""
    (folder / "f1_angry_77.wav").write_bytes(b"")
    (folder / "f1_happy_77.wav").write_bytes((folder / "f1_happy_00.wav").read_bytes()[:500])
    (folder / "f1_bored_00.wav").write_bytes(b"")


def test_all_bad_recordings_are_named_at_once(make_corpus, recordings_dir, data_dir):
    folder = make_corpus("demo_urdu")
    damage(folder)
    (folder / "f1_bored_00.wav").unlink()
    with pytest.raises(InputError) as caught:
        datasets.prepare("demo_urdu", recordings_dir, data_dir)
    message = str(caught.value)
    assert "demo_urdu: 2 of 6 recordings cannot be used:\n  f1_angry_77.wav: the file is empty" in message
    assert "f1_happy_77.wav: truncated" in message
    assert "--skip_bad" in message
    assert not datasets.is_prepared("demo_urdu", data_dir)
    assert not list((data_dir / "demo_urdu").iterdir())


def extracting(extract):
    """Builders that extract features so."""
    return functools.partial(datasets.builder, extract=extract)


def test_unknown_names_are_an_error_before_any_work(make_corpus, recordings_dir, data_dir):
    def never(files, workers):
        raise AssertionError("before any work")

    damage(make_corpus("demo_urdu"))
    with pytest.raises(InputError, match=r"1 of 7 recordings.*\n  f1_bored_00\.wav: unknown emotion 'bored'"):
        datasets.prepare("demo_urdu", recordings_dir, data_dir, make=extracting(never))
    assert not data_dir.exists()


def test_skip_bad_is_kept_with_the_corpus(make_corpus, recordings_dir, data_dir):
    damage(make_corpus("demo_urdu"))
    prepared = datasets.prepare("demo_urdu", recordings_dir, data_dir, skip_bad=True)
    again = datasets.load_statistics("demo_urdu", data_dir)
    assert prepared == again
    assert again.utterances == 4
    assert [left.file for left in again.skipped] == ["f1_angry_77.wav", "f1_bored_00.wav", "f1_happy_77.wav"]
    assert "unknown emotion 'bored'" in again.skipped[1].reason
    assert "skipped: 3" in again.report()
    assert "f1_angry_77.wav: the file is empty" in again.report()


def test_all_bad_is_an_error_even_if_bad_ones_are_skipped(recordings_dir, data_dir):
    folder = recordings_dir / "demo_urdu"
    folder.mkdir()
    (folder / "f1_angry_00.wav").write_bytes(b"")
    with pytest.raises(InputError, match="1 of 1 recordings"):
        datasets.prepare("demo_urdu", recordings_dir, data_dir, skip_bad=True)


def test_songs_are_listed(make_corpus, recordings_dir, data_dir, corpus_files):
    folder = make_corpus("ravdess")
    write_sound(folder / "03-02-01-01-01-01-01.wav")
    statistics = datasets.prepare("ravdess", recordings_dir, data_dir)
    assert statistics.excluded == (Left("03-02-01-01-01-01-01.wav", "a song (vocal channel 02)"),)
    assert statistics.utterances == len(corpus_files["ravdess"])
    assert "9 utterances of 1440 published" in statistics.report()


def test_identical_recordings_are_reported_and_kept(make_corpus, recordings_dir, data_dir):
    folder = make_corpus("demo_urdu")
    (folder / "m2_sad_11.wav").write_bytes((folder / "m2_sad_10.wav").read_bytes())
    statistics = datasets.prepare("demo_urdu", recordings_dir, data_dir)
    assert statistics.duplicates == (("m2_sad_10.wav", "m2_sad_11.wav"),)
    assert statistics.utterances == 5
    assert "m2_sad_10.wav = m2_sad_11.wav" in statistics.report()


def test_dropping_duplicates_keeps_the_first(make_corpus, recordings_dir, data_dir):
    """The pair of RAVDESS, and a copy that says another emotion."""
    folder = make_corpus("ravdess") / "Actor_07"
    first = folder / "03-01-03-01-02-01-07.wav"
    first.parent.mkdir()
    first.write_bytes((folder.parent / "Actor_01/03-01-01-01-01-01-01.wav").read_bytes() + b"LIST")
    for other in ("03-01-03-01-02-02-07.wav", "03-01-04-01-02-02-07.wav"):
        (folder / other).write_bytes(first.read_bytes())
    options = {
        "drop_duplicates": True,
        "make": extracting(functools.partial(extraction.extract_all, min_files=1, pool=PicklingPool)),
    }
    for workers in (1, 2):
        data = data_dir / str(workers)
        statistics = datasets.prepare("ravdess", recordings_dir, data, workers=workers, **options)
        names = [f"Actor_07/03-01-0{code}-07.wav" for code in ("3-01-02-01", "3-01-02-02", "4-01-02-02")]
        assert statistics.duplicates == (tuple(names),)
        assert statistics.dropped == tuple(Left(name, f"byte-identical to {names[0]}") for name in names[1:])
        assert statistics.utterances == 10
        assert set(datasets.load("ravdess", data).file) & set(names) == {names[0]}
        assert "byte-identical recordings, the first of each kept: 1\n    Actor_07/03-01-03-01" in statistics.report()
    assert datasets.prepare("ravdess", recordings_dir, data_dir).utterances == 12
    with pytest.raises(InputError, match=r"with drop_duplicates=False, and now --drop_duplicates=True .*--overwrite"):
        datasets.prepare("ravdess", recordings_dir, data_dir, drop_duplicates=True)


@pytest.mark.parametrize(
    ("name", "file", "rate", "channels", "rates"),
    [
        ("tess", "YAF_sad/YAF_bath_sad.wav", 96000, 1, {24414: 8, 96000: 1}),
        ("ravdess", "Actor_05/03-01-02-01-01-02-05.wav", 48000, 2, {48000: 10}),
        ("emovo", "EMOVO/f3/pau-f3-d1.wav", 48000, 1, {48000: 9}),  # among stereo ones
        ("shemo", "male/M02N05.wav", 22050, 1, {22050: 1, 44100: 7}),
    ],
)
def test_strays_in_rate_and_channels(
    name, file, rate, channels, rates, make_corpus, recordings_dir, data_dir, tmp_path
):
    """The known files that are not like the others of their corpus."""
    stray = write_sound(make_corpus(name) / file, rate=rate, channels=channels, seconds=0.5)
    statistics = datasets.prepare(name, recordings_dir, data_dir)
    assert statistics.sample_rates == rates
    corpus = datasets.load(name, data_dir)
    (row,) = np.flatnonzero([one.endswith(stray.name) for one in corpus.file])
    assert corpus.n_frames[row] == 22
    assert corpus.seconds[row] == pytest.approx(0.5, rel=1e-4)
    samples = soundfile.read(stray, always_2d=True)[0].mean(1)
    soundfile.write(tmp_path / "mono.wav", samples, rate, subtype="FLOAT")
    np.testing.assert_allclose(corpus.mfcc[row], extract(tmp_path / "mono.wav").mfcc, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "files", "speakers"),
    [
        (
            "savee",
            [f"ALL/{speaker}_{code}01.wav" for speaker in ("DC", "JE") for code in ("a", "h", "n", "sa")],
            "DC JE",
        ),
        ("savee", [f"jk/{code}01.wav" for code in ("a", "h", "n", "sa", "su", "d", "f")], "JK"),
        (
            "tess",
            [f"{s}_bath_{code}.wav" for s in ("OAF", "YAF") for code in ("angry", "happy", "neutral", "sad")],
            "OAF YAF",
        ),
        ("shemo", [f"{s}{code}01.wav" for s in ("F01", "M07") for code in "AHNS"], "F01 M07"),
        ("emovo", [f"{code}-m2-n5.wav" for code in ("rab", "gio", "neu", "tri")], "m2"),
        ("emodb", [f"a/b/c/11a02{code}c.wav" for code in "WFNT"], "11"),
        ("urdu", [f"{code}/SF3_F1_{code[0]}7.wav" for code in ("Angry", "Happy", "Neutral", "Sad")], "SF3"),
    ],
)
def test_other_layouts(name, files, speakers, recordings_dir, data_dir):
    """As in copies that are in circulation: flat, deeper, folders in another case."""
    for file in files:
        write_sound(recordings_dir / name.upper() / file)
    statistics = datasets.prepare(name, recordings_dir, data_dir)
    assert statistics.utterances == len(files)
    assert set(datasets.load(name, data_dir).speaker) == set(speakers.split())
    assert set(statistics.counts()) >= set(FOUR_EMOTIONS)


@pytest.mark.parametrize("name", ["demo_urdu", "ravdess"])
def test_empty_folder(recordings_dir, data_dir, name):
    (recordings_dir / name).mkdir()
    with pytest.raises(InputError, match="found no files"):
        datasets.prepare(name, recordings_dir, data_dir)


def test_data_dir_that_cannot_be_written(make_corpus, recordings_dir, tmp_path):
    make_corpus("demo_urdu")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"could not be prepared in --data_dir=.*Not a directory"):
        datasets.prepare("demo_urdu", recordings_dir, tmp_path / "file")


def test_prepared_is_not_prepared_again(make_corpus, recordings_dir, data_dir):
    folder = make_corpus("demo_urdu")
    first = datasets.prepare("demo_urdu", recordings_dir, data_dir)
    write_sound(folder / "f1_sad_00.wav")
    assert datasets.prepare("demo_urdu", recordings_dir, data_dir) == first
    again = datasets.prepare("demo_urdu", recordings_dir, data_dir, overwrite=True)
    assert again.utterances == first.utterances + 1


def test_failed_overwrite_keeps_what_was_there(make_corpus, recordings_dir, data_dir):
    folder = make_corpus("demo_urdu")
    first = datasets.prepare("demo_urdu", recordings_dir, data_dir)
    (folder / "f1_sad_00.wav").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        datasets.prepare("demo_urdu", recordings_dir, data_dir, overwrite=True)
    assert datasets.load_statistics("demo_urdu", data_dir) == first


def test_overwrite_repairs_a_damaged_corpus(make_corpus, recordings_dir, data_dir):
    make_corpus("demo_urdu")
    first = datasets.prepare("demo_urdu", recordings_dir, data_dir)
    (data_dir / "demo_urdu/2.0.0/dataset_info.json").write_text("{")
    assert datasets.prepare("demo_urdu", recordings_dir, data_dir, overwrite=True) == first


OTHER_PROCESS = """
import sys
from metaser_jax import datasets

if __name__ == "__main__":
    datasets.prepare("demo_urdu", *sys.argv[1:3], workers=int(sys.argv[3]), skip_bad=True)
"""


def test_any_number_of_processes_writes_the_same_bytes(recordings_dir, tmp_path):
    """Files of different lengths, rates and channels, one of them bad, and more than one process extracts alone."""
    number = extraction.MIN_FILES_FOR_PROCESSES + 10
    for i in range(number):
        path = recordings_dir / "demo_urdu" / f"f{i % 3}_{FOUR_EMOTIONS[i % 4]}_{i:02d}.wav"
        write_sound(path, seconds=0.1 * (i % 30 + 1), rate=(16000, 48000)[i % 2], channels=1 + i % 3)
    path.write_bytes(b"")
    program = tmp_path / "program.py"
    program.write_text(OTHER_PROCESS)
    digests = []
    for workers in (1, 2):
        run = python(program, recordings_dir, tmp_path / f"data{workers}", workers)
        assert run.returncode == 0, run.stderr
        digests.append(digest(tmp_path / f"data{workers}" / "demo_urdu" / "2.0.0"))
    assert "demo_urdu-train.array_record-00000-of-00001" in digests[0]
    assert digests[0] == digests[1]
    assert len(datasets.load("demo_urdu", tmp_path / "data1")) == number - 1


def test_a_full_disk_is_an_error_of_the_data_dir(make_corpus, recordings_dir, data_dir, monkeypatch):
    from tensorflow_datasets.core import file_adapters

    def write_examples(path, iterator):
        for _ in zip(range(2), iterator, strict=False):
            pass
        raise RuntimeError("write() failed: No space left on device")

    make_corpus("demo_urdu")
    monkeypatch.setattr(file_adapters.ArrayRecordFileAdapter, "write_examples", write_examples)
    with pytest.raises(InputError, match=r"could not be prepared in --data_dir=.*No space left on device"):
        datasets.prepare("demo_urdu", recordings_dir, data_dir)
    assert not datasets.is_prepared("demo_urdu", data_dir)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_run_leaves_nothing(make_corpus, recordings_dir, data_dir, error):
    def interrupted(files, workers):
        yield from extraction.extract_all(files[:2], workers)
        raise error

    make_corpus("demo_urdu")
    with pytest.raises(error):
        datasets.prepare("demo_urdu", recordings_dir, data_dir, make=extracting(interrupted))
    assert not list((data_dir / "demo_urdu").iterdir())
    assert datasets.prepare("demo_urdu", recordings_dir, data_dir).utterances == 4


KILLED = """
import functools, os, signal, sys
from metaser_jax import datasets

def kill(files, workers):
    os.kill(os.getpid(), signal.SIGKILL)

make = functools.partial(datasets.builder, extract=kill)
datasets.prepare("demo_urdu", *sys.argv[1:3], make=make, overwrite=len(sys.argv) > 3)
"""


def test_killed_run_does_not_count(make_corpus, recordings_dir, data_dir):
    make_corpus("demo_urdu")
    run = python("-c", KILLED, recordings_dir, data_dir)
    assert run.returncode == -signal.SIGKILL, run.stderr
    left = os.listdir(data_dir / "demo_urdu")
    assert left
    assert all(name.startswith("incomplete.") for name in left)
    (data_dir / "demo_urdu" / left[0] / "dataset_info.json").write_text("{}")  # had it come this far
    with pytest.raises(InputError, match="prepared there: nothing"):
        datasets.load("demo_urdu", data_dir)
    assert datasets.prepare("demo_urdu", recordings_dir, data_dir).utterances == 4
    assert os.listdir(data_dir / "demo_urdu") == ["2.0.0"]


def test_killed_overwrite_loses_nothing(make_corpus, recordings_dir, data_dir):
    make_corpus("demo_urdu")
    first = datasets.prepare("demo_urdu", recordings_dir, data_dir)
    run = python("-c", KILLED, recordings_dir, data_dir, "overwrite")
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not datasets.is_prepared("demo_urdu", data_dir)
    assert datasets.prepare("demo_urdu", "/nowhere", data_dir) == first
    datasets.prepare("demo_urdu", recordings_dir, data_dir, overwrite=True)
    assert os.listdir(data_dir / "demo_urdu") == ["2.0.0"]


def test_a_killed_overwrite_leaves_nothing_behind(make_corpus, recordings_dir, data_dir):
    """Whoever asks for the corpus next, without overwriting it, clears away."""
    make_corpus("demo_urdu")
    datasets.prepare("demo_urdu", recordings_dir, data_dir)
    for left in ("incomplete.X1_2.0.0", "replaced.2.0.0"):
        (data_dir / "demo_urdu" / left).mkdir()
    datasets.prepare("demo_urdu", recordings_dir, data_dir)
    assert os.listdir(data_dir / "demo_urdu") == ["2.0.0"]


def test_two_at_once(make_corpus, recordings_dir, data_dir, capfd):
    """The second waits, deletes nothing of the first's, and takes what that has prepared."""
    make_corpus("demo_urdu")
    began, others = threading.Event(), []

    def slowly(files, workers):
        began.set()
        while not capfd.readouterr().err.count("is being prepared by another process; waiting for its end"):
            assert os.listdir(data_dir / "demo_urdu")[0].startswith("incomplete.")
            time.sleep(0.01)
        yield from extraction.extract_all(files, workers)

    def never(files, workers):
        raise AssertionError("it is prepared")

    def second():
        began.wait()
        others.append(datasets.prepare("demo_urdu", recordings_dir, data_dir, make=extracting(never)))

    thread = threading.Thread(target=second)
    thread.start()
    first = datasets.prepare("demo_urdu", recordings_dir, data_dir, make=extracting(slowly))
    thread.join()
    assert others == [first]
    assert os.listdir(data_dir / "demo_urdu") == ["2.0.0"]


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


def test_metadata_on_disk_is_plain_json(make_corpus, recordings_dir, data_dir):
    make_corpus("demo_urdu")
    datasets.prepare("demo_urdu", recordings_dir, data_dir)
    text = (data_dir / "demo_urdu/2.0.0/metadata.json").read_text()
    options = {"skip_bad": False, "drop_duplicates": False, "language": None, "speaker_pattern": None}
    options |= {"speakers": "auto", "emotion_pattern": None, "map": [], "columns": []}
    left_out = {"skipped": [], "excluded": [], "duplicates": [], "dropped": []}
    metadata = json.loads(text)
    (note,) = metadata.pop("notes")
    assert note.startswith("4 recordings shorter than a second: f1_angry_03.wav, f1_happy_00.wav, ")
    assert metadata == {"language": "Urdu", "options": options, **left_out}
    statistics = datasets.load_statistics("demo_urdu", data_dir)
    assert statistics.notes == (note,)
    assert f"  note: {note}" in statistics.report()
    # One that was prepared before there were notes is read.
    (data_dir / "demo_urdu/2.0.0/metadata.json").write_text(json.dumps(metadata))
    assert datasets.load_statistics("demo_urdu", data_dir) == dataclasses.replace(statistics, notes=())
