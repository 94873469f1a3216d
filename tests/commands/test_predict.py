"""metaser predict: rows on stdout, all else on stderr."""

import csv
import io
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fakes import fake_model
from subprograms import python

from metaser_jax import InputError
from metaser_jax.audio.clips import Upload
from metaser_jax.audio.extraction import MIN_FILES_FOR_PROCESSES
from metaser_jax.commands import predict
from metaser_jax.commands.predict import read, sources_of
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
    """A stdin that something was piped into."""
    return SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)


def table(text):
    return list(csv.reader(io.StringIO(text)))


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
    assert (status, err) == (0, "")
    assert header.split() == ["file", "emotion", "angry", "happy", "neutral", "sad", "start", "s", "end", "s"]
    assert len(header) == len(short) == len(long)
    assert short.split()[0] == "b/short.wav"
    assert long.split()[-2:] == ["0.00", "12.00"]


def test_a_row_per_window(run, place):
    _, out, _ = run("long.flac", format="csv", track=True)
    header, *rows = table(out)
    track = Predictor.load(place / "model").predict_file(place / "long.flac").track
    assert header == [*HEADER[:-1], "silent", "error"]
    assert [row[6:9] for row in rows] == [[f"{w.start:.3f}", f"{w.end:.3f}", "0"] for w in track]
    np.testing.assert_allclose(np.array(rows[-1][2:6], float), track[-1].probabilities, atol=1e-6)
    _, out, _ = run("long.flac", track=True)
    assert len(out.splitlines()) == 1 + len(track)
    assert run("long.flac", format="csv", windows="first")[1].splitlines()[1].endswith(",0.000,2.786,")


def test_json_is_an_object_per_recording_with_its_track(run, place):
    _, out, _ = run("b/short.wav", "long.flac", format="json")
    short, long = map(json.loads, out.splitlines())
    assert short["file"] == "b/short.wav"
    assert sum(short["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert len(long["track"]) == 8
    second = long["track"][1]
    assert (second["start"], second["end"], second["silent"]) == (1.393, 4.18, False)
    assert set(second["probabilities"]) == set(HEADER[2:6])


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_what_fails_is_told_and_the_others_are_printed(run, format):
    status, out, err = run("bad.wav", "b/short.wav", "missing.wav", format=format)
    assert status == 1
    assert "error: bad.wav: this is not audio" in err
    assert "error: missing.wav: cannot be read (No such file or directory)" in err
    assert err.endswith("2 of 3 recordings failed.\n")
    assert "b/short.wav" in out
    if format == "csv":
        _, bad, good, missing = table(out)
        assert bad[:8] == ["bad.wav", *[""] * 7]
        assert "not audio" in bad[8]
        assert (good[8], missing[0]) == ("", "missing.wav")
    if format == "json":
        bad, good, _ = map(json.loads, out.splitlines())
        assert set(bad) == {"file", "error"}
        assert "error" not in good


@pytest.mark.parametrize("arguments", [["-"], []])
def test_stdin_is_one_recording(run, place, arguments):
    status, out, _ = run(*arguments, format="csv", stdin=pipe((place / "long.flac").read_bytes()))
    (row,) = table(out)[1:]
    assert (status, row[0], row[7]) == (0, "stdin", "12.000")


def test_what_names_no_recording(run):
    with pytest.raises(InputError, match="No recording was named"):
        run(stdin=SimpleNamespace(isatty=lambda: True))
    with pytest.raises(InputError, match=r"Got - .one recording from stdin. and other recordings"):
        run("-", "long.flac")
    assert run(stdin=pipe(b""))[0] == 1, "an empty pipe is a recording that cannot be read"


def test_a_folder_without_recordings_stops_no_other(run, tmp_path):
    status, out, err = run("b/short.wav", str(tmp_path), format="csv")
    empty, short = table(out)[1:]
    assert (status, empty[0], short[0], short[8]) == (1, str(tmp_path), "b/short.wav", "")
    assert "has no recording, expected .wav" in empty[8]
    assert "1 of 2 recordings failed." in err
    with pytest.raises(InputError, match="has no recording"):
        run(str(tmp_path))


def test_more_from_stdin_than_is_read():
    stdin = pipe(bytes(200))
    with pytest.raises(InputError, match="stdin: got more than 100 bytes"):
        sources_of(["-"], stdin, max_bytes=100)
    assert stdin.buffer.tell() == 101, "and no more is read of it"


def test_worker_processes_change_nothing(run, place, tmp_path):
    for i in range(MIN_FILES_FOR_PROCESSES):
        os.link(place / "b" / "short.wav", tmp_path / f"{i:02d}.wav")
    given = ["b/short.wav", "bad.wav", "long.flac", str(tmp_path)]
    status, out, err = run(*given, format="csv", workers=1)
    assert len(table(out)) == 1 + 3 + MIN_FILES_FOR_PROCESSES
    assert run(*given, format="csv", workers=2) == (status, out, err)


def test_rows_come_before_the_last_recording_is_read(place, capsys):
    printed = []

    class Watched(Upload):
        """Says what was printed when it is read."""

        def read_bytes(self):
            printed.append(capsys.readouterr().out.count("first"))
            return super().read_bytes()

    data = (place / "b" / "short.wav").read_bytes()
    config = PredictConfig(model=str(place / "model"))
    assert predict.print_rows(config, [Watched(name, data) for name in ("first", "second", "third")], frames=1) == 0
    assert printed == [0, 1, 0]


def test_a_model_that_normalises_by_speaker(run, place):
    status, by_model, err = run("long.flac", "b/short.wav", model="by_speaker", format="csv")
    assert status == 0
    assert "note: this model normalises by speaker" in err
    _, by_folder, err = run("long.flac", "b/short.wav", model="by_speaker", format="csv", speakers="folder")
    assert "note: less than 10 s of b (1.0 s): normalised by the voices" in err
    assert "this model normalises" not in err
    (_, long, short), (_, own, same) = table(by_model), table(by_folder)
    assert short == same
    assert long[2:6] != own[2:6]
    _, by_one, err = run("long.flac", "b/short.wav", model="by_speaker", format="csv", speakers="one")
    assert err == ""
    assert table(by_one)[2][2:6] != short[2:6]
    with pytest.raises(InputError, match="--speakers: got 'one', expected none: model does not normalise by speaker"):
        run("long.flac", speakers="one")


def test_a_voice_model(run, place, tmp_path):
    save_model(tmp_path / "model", fake_model(temperature=60.0, features="voice", normalise="speaker"))
    model = str(tmp_path / "model")
    status, out, err = run("long.flac", "b/short.wav", model=model, format="csv", track=True)
    rows = table(out)[1:]
    assert (status, len(rows)) == (0, 5), "12 s every 2.5 s, and one"
    predictor = Predictor.load(model)
    of_file = predictor.predict_file(place / "b" / "short.wav")
    np.testing.assert_allclose(np.array(rows[-1][2:6], float), of_file.probabilities, atol=1e-6)
    assert "note: this model hears each voice beside its other recordings, and whose these are was not said" in err
    _, own, err = run("b/short.wav", model=model, format="csv", speakers="one")
    assert err == "", "a second of a voice is enough"
    assert table(own)[1][2:6] == rows[-1][2:6], "one clip of a voice, whatever it is called"
    _, both, err = run("long.flac", "b/short.wav", model=model, format="csv", speakers="one")
    assert table(both)[2][2:6] != rows[-1][2:6]


def test_folders_inside_a_folder_are_voices(run, place, tmp_path):
    save_model(tmp_path / "model", fake_model(temperature=60.0, features="voice", normalise="speaker"))
    model = str(tmp_path / "model")
    rng = np.random.default_rng(3)
    names = ("new/anna/1.wav", "new/happy/anna/2.wav", "new/3.wav")
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / name, 0.1 * rng.normal(size=16_000), 16_000)
    _, out, err = run("new", model=model, format="csv")
    assert "note: the folders here are taken for voices" in err
    said = {row[0]: row[2:6] for row in table(out)[1:]}
    alone = {row[0]: row[2:6] for row in table(run(*names, model=model, format="csv")[1])[1:]}
    assert said["new/3.wav"] == alone["new/3.wav"]
    assert said["new/anna/1.wav"] != alone["new/anna/1.wav"]
    assert said["new/happy/anna/2.wav"] != alone["new/happy/anna/2.wav"]
    _, none, _ = run("new", model=model, format="csv", speakers="none")
    assert {row[0]: row[2:6] for row in table(none)[1:]} == alone
    assert run("long.flac", model=model, format="csv", windows="first")[1].splitlines()[1].split(",")[7] == "4.992"


def test_only_what_a_model_hears_is_computed(run, monkeypatch):
    seen = []
    monkeypatch.setattr(predict, "read", lambda sources, workers, voice: seen.append(voice) or read(sources, 1, voice))
    run("b/short.wav")
    assert seen == [False]


def test_a_model_that_was_not_calibrated_says_so(run, place):
    model = fake_model(temperature=1.0)
    model.about["calibration"] = None
    if not (place / "uncalibrated").exists():
        save_model(place / "uncalibrated", model)
    assert "note: this model was not calibrated" in run("b/short.wav", model="uncalibrated")[2]


def test_a_name_with_control_characters_stays_in_its_row(run, place):
    name = "a\x1b[31m\nb\udcff.wav"
    os.link(place / "b" / "short.wav", name)
    try:
        _, out, _ = run(name)
        assert len(out.splitlines()) == 2
        assert "\x1b" not in out
    finally:
        os.unlink(name)


def test_worker_processes_start_before_jax_is_imported():
    # Half a second in which nobody would decode.
    said = "import sys, metaser_jax.specs.flags, metaser_jax.commands.predict; print(*sys.modules)"
    loaded = python("-c", said).stdout.split()
    assert "metaser_jax.audio.clips" in loaded
    assert not {"jax", "flax", "librosa", "scipy", "sklearn", "tqdm", "tensorflow_datasets"} & set(loaded)
