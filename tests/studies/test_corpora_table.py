"""The paper's Table 1 (experiments/corpora.py), and the demo, whole but tiny."""

import csv
import dataclasses
import functools
import io
import zlib
from pathlib import Path

import pytest
import soundfile
from subprograms import python

from metaser_jax import InputError, datasets
from metaser_jax.datasets import demo_voices
from metaser_jax.report import read_results
from metaser_jax.specs import presets
from metaser_jax.specs.programs import DemoConfig
from metaser_jax.studies import corpora_table as corpora
from metaser_jax.studies import demo

PROGRAM = Path(__file__).resolve().parents[2] / "experiments" / "corpora.py"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """EMO-DB with six recordings of each of three speakers and four emotions, and a folder of two emotions."""
    folder = tmp_path_factory.mktemp("corpora")
    names = [f"emodb/wav/{v}a{n:02d}{code}a.wav" for v in ("03", "08", "09") for code in "WFNT" for n in range(6)]
    mine = [f"mine/{emotion}/{i}.wav" for emotion in ("angry", "sad") for i in range(3)]
    for name in (*names, "emodb/wav/03a01La.wav", *mine):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        long = 200 if "03a" in name else 1  # so that there are hours to see
        # The recordings of emodb differ.
        level = zlib.crc32(name.encode()) / 2**33 if name.startswith("emodb") else len(name) / 1000
        soundfile.write(folder / name, [0.1, level] * 800 * long, 22050 if long > 1 else 16000)
    for name in ("emodb", "folder/mine"):
        datasets.prepare(name, folder, folder / "data", skip_bad=True, drop_duplicates=name != "emodb", workers=1)
    return str(folder / "data")


def table_of(text):
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_markdown(data_dir):
    text = corpora.markdown(corpora.rows(data_dir), data_dir)
    emodb, mine = table_of(text)
    # Of emodb 25 recordings have 200 * 1600 samples at 22,050 Hz, and 48 have 1600 at 16,000 Hz.
    expected = {"corpus": "emodb", "language": "German", "hours": "0.10", "utterances": "73 / 535 ≠"}
    expected |= {"speakers": "3 / 10 ≠", "angry": "18 / 127 ≠", "happy": "18 / 71 ≠", "neutral": "18 / 79 ≠"}
    expected |= {"sad": "18 / 62 ≠", "other emotions": "boredom 1", "mean seconds": "5.04 / 2.78 ≠"}
    expected |= {"sampling rates": "16 kHz (48), 22.05 kHz (25) / 16 kHz ≠", "random split": "40 / 10 / 22"}
    assert expected | {"split by speaker": "24 / 24 / 24"} == emodb
    expected = {"corpus": "folder/mine", "utterances": "2", "angry": "1", "happy": "0", "random split": "not possible"}
    assert expected.items() | {("split by speaker", "not possible")} <= mine.items()
    assert "- emodb: 25 of 73 recordings are not at 16,000 Hz, as published" in text
    assert "- folder/mine, random: folder/mine has too few utterances to split: 1 angry, 1 sad are left" in text
    assert "- folder/mine: 4 recordings dropped duplicates" in text
    assert "- folder/mine: byte-identical are angry/0.wav and angry/1.wav and angry/2.wav" in text
    assert "not prepared in" in text
    assert "tess, ravdess, savee, iemocap, emovo, shemo, urdu." in text


def test_csv_as_typed(data_dir):
    run = python(PROGRAM, f"--data_dir={data_dir}", "--format=csv")
    assert (run.returncode, run.stderr) == (0, "")
    emodb, mine = csv.DictReader(io.StringIO(run.stdout))
    expected = {"utterances": "73", "utterances_published": "535", "happy_published": "71", "boredom": "1"}
    expected |= {"differs": "utterances speakers angry happy neutral sad mean_seconds sampling_rates"}
    expected |= {"mean_seconds": "5.036", "mean_seconds_published": "2.78", "sampling_rates": "16000:48 22050:25"}
    expected |= {"sampling_rates_published": "16000", "random_train": "40", "random_valid": "10", "random_test": "22"}
    assert expected.items() <= emodb.items()
    assert len(emodb["speaker_split_digest"]) == 16
    empty = ("utterances_published", "differs", "random_train", "mean_seconds_published", "sampling_rates_published")
    assert [mine[name] for name in empty] == [""] * 5
    assert mine["dropped"] == "4"
    assert "too few utterances" in mine["notes"]


def test_the_seed_of_the_splits(data_dir):
    rows = [corpora.rows(data_dir, ("emodb",), seed)[0] for seed in (0, 1)]
    assert len({parts.digest for row in rows for parts in (row.random, row.by_speaker)}) == 4


def test_a_bar_in_a_name(data_dir):
    (row,) = corpora.rows(data_dir, ("folder/mine",))
    row = row._replace(statistics=dataclasses.replace(row.statistics, language="a|b"))
    assert table_of(corpora.markdown([row], data_dir))[0]["language"] == "a/b"


def test_errors(data_dir, tmp_path):
    with pytest.raises(InputError, match="has no prepared corpus"):
        corpora.rows(str(tmp_path))
    with pytest.raises(InputError, match=r"urdu 2\.1\.0 is not prepared"):
        corpora.rows(data_dir, ("urdu",))
    with pytest.raises(InputError, match="--corpora: got 'udru'"):
        corpora.rows(data_dir, ("udru",))


TRAIN = {"hidden_dim": 4, "tasks_per_episode": 2, "shots": 1, "queries": 1, "episodes": 2, "order": "first"}
TRAIN |= {"inner_steps": 1}
TUNE = {"max_epochs": 1}


def test_demo(tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader", reason="the extra 'demo' is not installed")
    small = {"languages": ["english", "urdu"], "speakers": 4, "per_speaker": 4, "workers": 1, "progress": False}
    monkeypatch.setattr(demo_voices, "synthesise", functools.partial(demo_voices.synthesise, **small))
    monkeypatch.setattr(demo_voices, "SOURCES", ("english",))
    # To start processes takes longer than the rest.
    monkeypatch.setattr(datasets, "prepare", functools.partial(datasets.prepare, workers=1))
    for preset, changes in ((presets.DEMO_META_TRAIN, TRAIN), (presets.DEMO_FINETUNE, TUNE)):
        for name, value in changes.items():
            monkeypatch.setitem(preset, name, value)
    config = DemoConfig(out=str(tmp_path / "demo"), shots=(1,), seeds=2)
    for _ in range(2):
        report = demo.run_demo(config, "python experiments/demo.py")
        said = capsys.readouterr().out
        assert "no claim of accuracy" in said
        assert str(report) in said
        assert "±" in said
        assert report.read_text().count("synthetic") >= 1
        rows = read_results(tmp_path / "demo" / "results.jsonl")
        assert {(row["method"], row["target"], row["seed"]) for row in rows} == {
            (method, "demo_urdu", seed) for method in ("cautious_proto_maml", "scratch") for seed in (0, 1)
        }
    for picture in ("adaptation_curve.png", "confusion_matrix.png", "training.png"):
        assert (tmp_path / "demo" / picture).stat().st_size > 1000
