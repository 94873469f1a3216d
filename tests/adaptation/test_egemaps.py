"""The practitioner's pipeline: openSMILE's functionals, found, kept and z-scored by speaker."""

from pathlib import Path

import numpy as np
import pytest
from fakes import fake_corpus
from small_runs import load_sources, load_target

from metaser_jax import InputError
from metaser_jax.adaptation.egemaps import adapt_egemaps, find_in, functionals, read_functionals
from metaser_jax.errors import RecordingError
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec


def test_functionals_are_computed_once(tmp_path):
    corpus, asked = fake_corpus("c"), []

    def find(name):
        return {file: f"{name}/{file}" for file in corpus.file}

    def extract(sources):
        asked.append(list(sources))
        return (np.array([len(source), 1.0], np.float32) for source in sources)

    first = read_functionals(corpus, "digest", tmp_path / "kept", find, extract)
    assert asked == [[f"c/{file}" for file in corpus.file]]
    np.testing.assert_array_equal(read_functionals(corpus, "digest", tmp_path / "kept", find, extract), first)
    assert len(asked) == 1
    read_functionals(corpus, "another", tmp_path / "kept", find, extract)
    assert len(asked) == 2
    with pytest.raises(InputError, match=r"of c 1 of 48 recordings are missing, angry/0000.wav first"):
        read_functionals(corpus, "d", tmp_path / "x", lambda name: dict(list(find(name).items())[1:]), extract)
    bad = RecordingError("angry/0000.wav", "empty")
    with pytest.raises(InputError, match=r"angry/0000.wav: empty"):
        read_functionals(corpus, "d", tmp_path / "x", find, lambda sources: [bad])


def test_functionals_are_scaled_by_speaker(finetune_config):
    """What a speaker's clips have in common is not heard."""
    config = finetune_config(init="joint", sources=("a", "b"), split="speaker", folds=2, seeds=1)
    folds, sources = load_target(config), load_sources(config)
    spec, amounts = FinetuneSpec.of(config), [Amount("shots", 0), Amount("shots", 3)]

    def by_name(loud):
        found = {}
        for one in (folds[0].corpus, *(source.corpus for source in sources)):
            own = loud * np.unique(one.speaker, return_inverse=True)[1]
            rng = np.random.default_rng(len(one))
            found[one.name] = (np.eye(4)[one.label] + 0.3 * rng.normal(size=(len(one), 4))) * 1e-3 + own[:, None]
        return found

    plain, loud = (adapt_egemaps(spec, folds, amounts, 1, sources, by_name(a)) for a in (0.0, 100.0))
    for one, other in zip(plain, loud, strict=True):
        np.testing.assert_array_equal(one.predicted, other.predicted)
        assert one.row["method"] == "egemaps"
        assert one.row["macro_f1"] > 0.8


def test_recordings_are_found_in_the_first_folder_that_has_them(tmp_path):
    path = tmp_path / "second" / "xx" / "angry" / "s1" / "a.wav"
    path.parent.mkdir(parents=True)
    (tmp_path / "first").mkdir()
    path.write_bytes(b"")
    find = find_in([str(tmp_path / "first"), str(tmp_path / "second")], str(tmp_path))
    assert [Path(str(one)).name for one in find("folder/xx").values()] == ["a.wav"]
    with pytest.raises(InputError, match="--manual_dir: none has the recordings of folder/yy"):
        find("folder/yy")


def test_opensmile(tmp_path):
    pytest.importorskip("opensmile")
    import soundfile

    times = np.arange(16000) / 16000
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 220 * times), 16000)
    x = functionals(str(tmp_path / "a.wav"))
    assert (x.shape, x.dtype) == ((88,), np.float32)
    assert x[0] == pytest.approx(12 * np.log2(220 / 27.5), abs=0.2)  # mean F0, semitones above 27.5 Hz
    with pytest.raises(RecordingError):
        functionals(str(tmp_path / "b.wav"))
