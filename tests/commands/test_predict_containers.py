"""metaser predict on folders of files as they are found: a row for what can be read, a reason for what cannot."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_model
from sounds import encoded, noise

from metaser_jax.commands import predict
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.specs.commands import PredictConfig

# Of ../shared/cases, by the beginning of their names: what stands on stderr, and whether there is a row.
CASES = {
    "antiphase_stereo": ("whose channels are opposite and cancel", True),
    "caf_from_pipe": (None, True),
    "dc_only": ("a constant (DC) of 0.02 of full scale and no sound", False),
    "flac_from_pipe": (None, True),
    "float_int16_scale": ("of which the samples reach far beyond 1 (full scale)", True),
    "more_than_promised": ("truncated", False),
    "mp3_cbr_no_xing": (None, True),
    "ogg_speex": ("this is Speex (.ogg), which is not read", False),
    "speech_11025": ("of a low sample rate (11,025 Hz)", True),
    "two_samples": ("2 samples (9.1e-05 s), expected speech", False),
    "wav_data0_riff_ok": (None, True),
    "wav_data_says_half": ("with more sound than the header says", True),
}
# The same speech as in flac_from_pipe, to the bit or through a codec.
SAME = {"caf_from_pipe": 1e-6, "antiphase_stereo": 1e-6, "wav_data0_riff_ok": 1e-6, "wav_data_says_half": 1e-6}


@pytest.fixture
def model(tmp_path):
    save_model(tmp_path / "model", fake_model(temperature=60.0))
    return str(tmp_path / "model")


def rows_of(model, folder, capsys):
    """The rows by the stem of the file, what was printed to stderr, the exit status."""
    status = predict.predict_recordings(PredictConfig(model=model, format="csv"), [str(folder)])
    out, err = capsys.readouterr()
    return {Path(row["file"]).stem: row for row in csv.DictReader(io.StringIO(out))}, err, status


def test_all_cases_and_ten_good_files(model, tmp_path, capsys, real_corpora, without_formats):
    cases = real_corpora.parent / "cases"
    if not cases.is_dir():
        pytest.skip(f"the cases are not at {cases}")
    folder = tmp_path / "all"
    folder.mkdir()
    for path in cases.iterdir():
        (folder / path.name).symlink_to(path)
    for i in range(10):
        (folder / f"good_{i}.wav").write_bytes(encoded(noise(1.2, rate=16000, seed=i), 16000))
    rows, err, status = rows_of(model, folder, capsys)
    assert set(rows) == set(CASES) | {f"good_{i}" for i in range(10)}
    assert status == 1
    for name, row in rows.items():
        said, reads = CASES.get(name, (None, True))
        assert bool(row["label"]) == reads, row
        assert bool(row["error"]) != reads
        about = [line for line in err.splitlines() if f"{name}." in line]
        assert len(about) == (said is not None), about
        assert said is None or said in about[0]
    plain = probabilities(rows["flac_from_pipe"])
    for name, within in SAME.items():
        np.testing.assert_allclose(probabilities(rows[name]), plain, atol=within)


def probabilities(row):
    return np.array([row[emotion] for emotion in ("angry", "happy", "neutral", "sad")], float)


def test_notes_are_grouped_and_in_json(model, tmp_path, capsys):
    folder = tmp_path / "all"
    folder.mkdir()
    for i in range(7):
        (folder / f"low_{i}.wav").write_bytes(encoded(noise(1.2, rate=8000, seed=i), 8000))
    (folder / "good.wav").write_bytes(encoded(noise(1.2)))
    _, err, status = rows_of(model, folder, capsys)
    (line,) = err.splitlines()
    assert status == 0
    assert line.startswith("note: 7 recordings of a low sample rate (8,000 Hz): ")
    assert " and 2 more. Above half of it there is no sound" in line
    predict.predict_recordings(PredictConfig(model=model, format="json"), [str(folder)])
    rows = {Path(row["file"]).stem: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["good"]["notes"] == []
    assert rows["low_3"]["notes"][0].startswith("Of a low sample rate (8,000 Hz). ")
    assert list(rows["low_3"]["notes"]) == list(Predictor.load(model).predict_file(folder / "low_3.wav").notes)


def test_samples_of_another_scale_in_python(model):
    predictor, samples = Predictor.load(model), noise(1.2)[:, 0]
    assert predictor.predict(samples, 22050).notes == ()
    (note,) = predictor.predict(samples * 2**15, 22050).notes
    assert "Numbers of another scale" in note
