"""metaser predict: rows on stdout, all else on stderr."""

import csv
import dataclasses
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fakes import fake_model
from sounds import encoded, noise
from subprograms import python

from metaser_jax import InputError
from metaser_jax.audio.clips import Upload, read_clip
from metaser_jax.audio.extraction import MIN_FILES_FOR_PROCESSES
from metaser_jax.commands import predict
from metaser_jax.commands.predict import sources_of
from metaser_jax.recogniser import predictor as predictors
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.specs.commands import PredictConfig

HEADER = ["file", "label", "angry", "happy", "neutral", "sad", "start", "end", "error"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Models, and recordings: a short one, a long one, a broken one."""
    folder = tmp_path_factory.mktemp("predict")
    save_model(folder / "model", fake_model(temperature=60.0))
    save_model(folder / "by_speaker", fake_model(temperature=60.0, normalise="speaker"))
    voice = fake_model(temperature=60.0, features="voice", normalise="speaker")
    save_model(folder / "voice", dataclasses.replace(voice, about=voice.about | {"calibration": None}))
    noise = np.random.default_rng(0).normal(size=16000 * 12) / 10
    (folder / "b").mkdir()
    soundfile.write(folder / "b" / "short.wav", noise[:16000], 16000)
    soundfile.write(folder / "long.flac", noise, 16000)
    (folder / "bad.wav").write_bytes(b"no audio at all")
    return folder


@pytest.fixture
def run(place, monkeypatch, capsys):
    """run(*arguments, **flags) -> exit status, stdout, stderr; in the folder of the recordings."""
    monkeypatch.chdir(place)

    def run(*arguments, model="model", stdin=None, **flags):
        status = predict.predict_recordings(PredictConfig(model=model, **flags), list(arguments), stdin)
        return status, *capsys.readouterr()

    return run


def pipe(data):
    return SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)


def table(text):
    return list(csv.reader(io.StringIO(text)))


def shares(out):
    """Probabilities as printed, by the recording's name."""
    return {row[0]: row[2:6] for row in table(out)[1:]}


def test_rows_come_as_typed_and_folders_are_walked(run, place):
    status, out, err = run("long.flac", "b", format="csv")
    header, *rows = table(out)
    assert (status, err, header) == (0, "", HEADER)
    assert [row[0] for row in rows] == ["long.flac", "b/short.wav"]
    predictor = Predictor.load(place / "model")
    for row in rows:
        expected = predictor.predict_file(place / row[0])
        assert row[1] == expected.label
        np.testing.assert_allclose(np.array(row[2:6], float), expected.probabilities, atol=1e-6)
        assert row[6:] == [f"{expected.start:.3f}", f"{expected.end:.3f}", ""]


def test_a_table_for_people(run):
    status, out, err = run("b/short.wav", "long.flac")
    header, short, long = out.splitlines()
    assert (status, err, len({len(header), len(short), len(long)})) == (0, "", 1)
    assert header.split() == ["file", "emotion", "angry", "happy", "neutral", "sad", "start", "s", "end", "s"]
    assert (short.split()[0], long.split()[-2:]) == ("b/short.wav", ["0.00", "12.00"])


def test_a_row_per_window(run, place):
    _, out, _ = run("long.flac", format="csv", track=True)
    header, *rows = table(out)
    track = Predictor.load(place / "model").predict_file(place / "long.flac").track
    assert header == [*HEADER[:-1], "silent", "error"]
    assert [row[6:9] for row in rows] == [[f"{w.start:.3f}", f"{w.end:.3f}", "0"] for w in track]
    np.testing.assert_allclose(np.array(rows[-1][2:6], float), track[-1].probabilities, atol=1e-6)
    assert len(run("long.flac", track=True)[1].splitlines()) == 1 + len(track)
    assert run("long.flac", format="csv", windows="first")[1].splitlines()[1].endswith(",0.000,2.786,")


def test_json_is_an_object_per_recording_with_its_track(run):
    short, long = map(json.loads, run("b/short.wav", "long.flac", format="json")[1].splitlines())
    assert short["file"] == "b/short.wav"
    assert sum(short["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert len(long["track"]) == 8
    second = long["track"][1]
    assert (second["start"], second["end"], second["silent"]) == (1.393, 4.18, False)
    assert set(second["probabilities"]) == set(HEADER[2:6])


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_what_fails_is_told_and_the_others_are_printed(run, format):
    status, out, err = run("bad.wav", "b/short.wav", "missing.wav", format=format)
    assert (status, "b/short.wav" in out) == (1, True)
    assert "error: bad.wav: this is not audio" in err
    assert "error: missing.wav: cannot be read (No such file or directory)" in err
    assert err.endswith("2 of 3 recordings failed.\n")
    if format == "csv":
        _, bad, good, missing = table(out)
        assert (bad[:8], good[8], missing[0]) == (["bad.wav", *[""] * 7], "", "missing.wav")
        assert "not audio" in bad[8]
    if format == "json":
        bad, good, _ = map(json.loads, out.splitlines())
        assert (set(bad), "error" in good) == ({"file", "error"}, False)


@pytest.mark.parametrize("arguments", [["-"], []])
def test_stdin_is_one_recording(run, place, arguments):
    status, out, _ = run(*arguments, format="csv", stdin=pipe((place / "long.flac").read_bytes()))
    (row,) = table(out)[1:]
    assert (status, row[0], row[7]) == (0, "stdin", "12.000")
    assert run(*arguments, stdin=pipe(b""))[0] == 1, "an empty pipe is a recording that cannot be read"


def test_what_names_no_recording(run, tmp_path):
    stdin = pipe(bytes(200))
    for call, said in (
        (lambda: run(stdin=SimpleNamespace(isatty=lambda: True)), "No recording was named"),
        (lambda: run("-", "long.flac"), "Got - .one recording from stdin. and other recordings"),
        (lambda: run(str(tmp_path)), "has no recording"),
        (lambda: sources_of(["-"], stdin, max_bytes=100), "stdin: got more than 100 bytes"),
    ):
        with pytest.raises(InputError, match=said):
            call()
    assert stdin.buffer.tell() == 101, "and no more is read of it"
    # Beside others it stops none.
    status, out, err = run("b/short.wav", str(tmp_path), format="csv")
    empty, short = table(out)[1:]
    assert (status, empty[0], short[0], short[8]) == (1, str(tmp_path), "b/short.wav", "")
    assert "has no recording, expected .wav" in empty[8]
    assert "1 of 2 recordings failed." in err


def test_worker_processes_change_nothing(run, place, tmp_path):
    for i in range(MIN_FILES_FOR_PROCESSES):
        os.link(place / "b" / "short.wav", tmp_path / f"{i:02d}.wav")
    given = ["b/short.wav", "bad.wav", "long.flac", str(tmp_path)]
    status, out, err = run(*given, format="csv", workers=1)
    assert len(table(out)) == 1 + 3 + MIN_FILES_FOR_PROCESSES
    assert run(*given, format="csv", workers=2) == (status, out, err)


def test_rows_come_before_the_last_recording_is_read(place, capsys):
    printed, data = [], (place / "b" / "short.wav").read_bytes()

    class Watched(Upload):
        """Says what was printed when it is read."""

        def read_bytes(self):
            printed.append(capsys.readouterr().out.count("first"))
            return data

    sources = [Watched(name, b"") for name in ("first", "second", "third")]
    assert predict.print_rows(PredictConfig(model=str(place / "model")), sources, frames=1) == 0
    assert printed == [0, 1, 0]


def test_a_model_that_normalises_by_speaker(run):
    both = {"model": "by_speaker", "format": "csv"}
    status, by_model, err = run("long.flac", "b/short.wav", **both)
    assert status == 0
    assert "note: this model normalises by speaker" in err
    _, by_folder, err = run("long.flac", "b/short.wav", **both, speakers="folder")
    assert "note: less than 10 s of b (1.0 s): normalised by the voices" in err
    assert "this model normalises" not in err
    of_model, of_folder = shares(by_model), shares(by_folder)
    assert of_model["b/short.wav"] == of_folder["b/short.wav"]
    assert of_model["long.flac"] != of_folder["long.flac"]
    _, by_one, err = run("long.flac", "b/short.wav", **both, speakers="one")
    assert err == ""
    assert shares(by_one)["b/short.wav"] != of_model["b/short.wav"]
    with pytest.raises(InputError, match="--speakers: got 'one', expected none: model does not normalise by speaker"):
        run("long.flac", speakers="one")


def test_a_voice_model(run, place):
    both = {"model": "voice", "format": "csv"}
    status, out, err = run("long.flac", "b/short.wav", **both, track=True)
    assert "note: this model was not calibrated" in err
    assert "note: this model hears each voice beside its other recordings, and whose these are was not said" in err
    *windows, last = table(out)[1:]
    assert (status, len(windows)) == (0, 4), "12 s every 2.5 s"
    of_file = Predictor.load(place / "voice").predict_file(place / "b" / "short.wav")
    np.testing.assert_allclose(np.array(last[2:6], float), of_file.probabilities, atol=1e-6)
    _, own, err = run("b/short.wav", **both, speakers="one")
    assert "less than" not in err, "a second of a voice is enough"
    assert shares(own)["b/short.wav"] == last[2:6], "one clip of a voice, whatever it is called"
    assert shares(run("long.flac", "b/short.wav", **both, speakers="one")[1])["b/short.wav"] != last[2:6]
    assert run("long.flac", **both, windows="first")[1].splitlines()[1].split(",")[7] == "4.992"


def test_folders_inside_a_folder_are_voices(run, place):
    both, names = {"model": "voice", "format": "csv"}, ("new/anna/1.wav", "new/happy/anna/2.wav", "new/3.wav")
    for i, name in enumerate(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(encoded(noise(1.0, rate=16_000, seed=i), 16_000))
    _, out, err = run("new", **both)
    assert "note: the folders here are taken for voices" in err
    said, alone = shares(out), shares(run(*names, **both)[1])
    assert [said[name] == alone[name] for name in names] == [False, False, True]
    assert shares(run("new", **both, speakers="none")[1]) == alone


@pytest.fixture(scope="module")
def two_voices(place):
    """A folder for each of two voices, of four and nine recordings, and a recording of nobody's."""
    names = [f"two/{voice}/{i}.wav" for voice, n in (("anna", 4), ("bo", 9)) for i in range(n)]
    for i, name in enumerate([*names, "two/nobody.wav"]):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(encoded(noise(1.0, rate=16_000, seed=i), 16_000))
    return "two"


def test_recordings_of_voices_are_labelled_together(run, place, two_voices):
    status, out, err = run(two_voices, model="voice", format="csv")
    header, *rows = table(out)
    assert (status, header) == (0, [*HEADER[:-1], "together", "error"])
    assert {row[0]: row[8] for row in rows if row[8] == "false"} == {"two/nobody.wav": "false"}
    predictor = Predictor.load(place / "voice")
    some = [read_clip(place / row[0]) for row in rows]
    expected = predictor.predict_together(some, [Path(row[0]).parent.name.replace("two", "unknown") for row in rows])
    for row, prediction in zip(rows, expected.predictions, strict=True):
        np.testing.assert_allclose(np.array(row[2:6], float), prediction.probabilities, atol=1e-6)
    assert "note: the recordings of each voice were labelled together: a label depends on those beside it" in err
    (anna,) = (line for line in err.splitlines() if "voice anna, 4 recordings: " in line)
    assert anna.startswith("warning: ")
    assert "few, under 8" in anna
    alone = shares(run(two_voices, model="voice", format="csv", together="off")[1])
    assert {name: alone[name] for name in alone if name not in shares(out)} == {}
    assert sum(alone[name] != of for name, of in shares(out).items()) == 13, "nobody's is the same"
    found = [json.loads(line) for line in run(two_voices, model="voice", format="json")[1].splitlines()]
    assert [one["together"] for one in found] == [True] * 13 + [False]
    voice = found[0]["voice"]
    assert (voice["name"], voice["clips"], "few, under 8" in voice["doubts"]) == ("anna", 4, True)
    np.testing.assert_allclose(list(voice["mix"].values()), expected.found.mix[0], atol=1e-6)


def test_where_recordings_are_not_labelled_together(run, two_voices, monkeypatch):
    def heard(found):
        return "by what a program sees"

    monkeypatch.setattr(predictors, "reason_off", heard)
    _, out, err = run(two_voices, model="voice", format="csv")
    assert table(out)[0] == HEADER
    assert "note: each recording is heard by itself: by what a program sees" in err
    assert "labelled together" in run(two_voices, model="voice", format="csv", together="on")[2]
    for model, flags, said in (
        ("voice", {"speakers": "none"}, "it was not said whose voices"),
        ("model", {}, "does not normalise by speaker"),
        ("by_speaker", {"speakers": "one"}, "the model does not say how emotions sound"),
    ):
        with pytest.raises(InputError, match=f"--together=on: .*{said}"):
            run(two_voices, model=model, together="on", **flags)


def test_a_name_with_control_characters_stays_in_its_row(run, place, tmp_path):
    name = str(tmp_path / "a\x1b[31m\nb\udcff.wav")
    os.link(place / "b" / "short.wav", name)
    _, out, _ = run(name)
    assert (len(out.splitlines()), "\x1b" in out) == (2, False)


def test_worker_processes_start_before_jax_is_imported():
    """And read recordings without it, and without anything else that takes seconds to import."""
    program = "import sys, numpy, metaser_jax.specs.flags, metaser_jax.commands.predict; "
    program += "from metaser_jax.audio.tracks import statistics, tracks; statistics(tracks(numpy.ones(3000, 'f'))); "
    loaded = set(python("-c", f"{program}print(*sys.modules)").stdout.split())
    assert "metaser_jax.audio.clips" in loaded
    assert loaded.isdisjoint({"jax", "flax", "librosa", "scipy", "sklearn", "tqdm", "tensorflow_datasets", "av"})


def test_notes_are_grouped_and_in_json(run, tmp_path):
    for i in range(7):
        (tmp_path / f"low_{i}.wav").write_bytes(encoded(noise(1.2, rate=8000, seed=i), 8000))
    (tmp_path / "good.wav").write_bytes(encoded(noise(1.2)))
    status, _, err = run(str(tmp_path), format="csv")
    (line,) = err.splitlines()
    assert status == 0
    assert line.startswith("note: 7 recordings of a low sample rate (8,000 Hz): ")
    assert " and 2 more. Above half of it there is no sound" in line
    rows = {Path(row["file"]).stem: row for row in map(json.loads, run(str(tmp_path), format="json")[1].splitlines())}
    assert rows["good"]["notes"] == []
    assert rows["low_3"]["notes"][0].startswith("Of a low sample rate (8,000 Hz). ")
