"""Joint training: scikit-learn's own regression on the same clips; and openSMILE's functionals, kept and z-scored."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_corpus
from sklearn.linear_model import LogisticRegression
from small_runs import load_sources, load_target, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation.classifiers import JOINT, JOINT_C, SHOTS_WEIGHT, adapt_classifier, features_of
from metaser_jax.adaptation.egemaps import adapt_egemaps, find_in, functionals, read_functionals
from metaser_jax.adaptation.engine import draw
from metaser_jax.errors import RecordingError
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec


@pytest.fixture
def joint_config(finetune_config):
    return lambda **changes: finetune_config(**{"init": "joint", "sources": ("a", "b")} | changes)


def heard(name, seed):
    """A corpus with statistics of voices besides."""
    corpus, rng = fake_corpus(name, per_emotion=16, seed=seed, noise=1.0), np.random.default_rng(seed)
    voice = rng.normal(size=(len(corpus), 171)) + 8 * np.eye(171)[corpus.label]
    tracks = np.zeros((len(corpus), 120, 19), np.float32)
    ones = np.ones(len(corpus), np.int32)
    return dataclasses.replace(corpus, voice=voice.astype(np.float32), tracks=tracks, n_tracks=ones)


def weighted(sources, features, shots):
    """Rows, labels and weights of the sources, which share what the shots leave."""
    x = np.concatenate([features(one)[one.split.train] for one in sources])
    y = np.concatenate([one.corpus.label[one.split.train] for one in sources])
    of = np.repeat(np.arange(len(sources)), [len(one.split.train) for one in sources])
    same = (of[:, None] == of) & (y[:, None] == y)
    share = 1 / (len(sources) * 4 * same.sum(1))  # sources alike, and emotions alike within each
    return x, y, share * len(x) * (1 - SHOTS_WEIGHT if shots else 1.0)


@pytest.mark.parametrize("voice", [False, True])
@pytest.mark.parametrize("shots", [0, 2])
def test_it_is_sklearns_on_the_sources_and_the_draw(joint_config, voice, shots):
    how = {"features": "voice", "network": "perceptron", "normalise": "speaker"} if voice else {}
    config = joint_config(shots=2, split="speaker", folds=2, **how)
    load = (lambda name, data_dir: heard(name, ord(name))) if voice else None
    folds, sources = (of(config, load) if load else of(config) for of in (load_target, load_sources))
    spec = FinetuneSpec.of(config)

    def features(ready):
        x = features_of(ready, spec.front_end)
        assert x.shape[1] == (171 if voice else 140)
        return x

    found = iter(adapt_classifier(JOINT, spec, folds, [Amount("shots", shots)], config.seeds, sources))
    for ready in folds:
        # In the order of the utterances' classes and with weights of its own.
        x, y, weight = weighted(sources, features, shots)
        here = features(ready)
        for seed in range(config.seeds):
            drawn = draw(ready, Amount("shots", 2), "none", seed)[0] if shots else np.arange(0)
            own = np.full(len(drawn), SHOTS_WEIGHT * len(x) / max(len(drawn), 1))
            rows = np.concatenate([x, here[drawn]]), np.concatenate([y, ready.corpus.label[drawn]])
            model = LogisticRegression(C=JOINT_C, max_iter=5000, tol=1e-8).fit(*rows, np.concatenate([weight, own]))
            one = next(found)
            agree = np.mean(one.predicted == model.predict(here[ready.split.test]))
            assert agree > 0.97  # but for utterances on the border, since another order ends elsewhere
            assert (one.row["n_train"], one.row["start_size"]) == (4 * shots, x.size)
            assert one.row["macro_f1"] > 0.7


def test_from_flags(joint_config):
    config = joint_config()
    rows = run_finetune(config, given={"init", "sources", "shots"})
    assert [(row["method"], row["sources"], row["n_valid"]) for row in rows] == [("joint", ["a", "b"], 0)] * 2
    with pytest.raises(InputError, match="--init=joint: got --lr, which logistic regression has no use for"):
        run_finetune(joint_config(), given={"lr"})
    with pytest.raises(InputError, match=r"--sources: got \(\), expected corpora with --init=joint"):
        joint_config(sources=())


def test_nothing_to_learn_from(joint_config):
    config = joint_config()
    with pytest.raises(InputError, match="--shots=0: joint has nothing to learn from"):
        adapt_classifier(JOINT, FinetuneSpec.of(config), load_target(config), [Amount("shots", 0)], 1, [])


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


def test_functionals_are_scaled_by_speaker(joint_config):
    """What a speaker's clips have in common is not heard."""
    config = joint_config(split="speaker", folds=2, seeds=1)
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
