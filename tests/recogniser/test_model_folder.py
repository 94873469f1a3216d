"""What is saved is what is loaded; a folder is there completely or not at all."""

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_model, made_encoder
from subprograms import python

from metaser_jax import InputError
from metaser_jax.audio.encoder import encoder_bytes
from metaser_jax.recogniser.folder import digest, load_model, save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.specs.network import NORMALISATIONS

FILES = ["README.md", "arrays.npz", "model.json", "support.npz"]


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert [leaf.dtype for leaf in jax.tree.leaves(a)] == [leaf.dtype for leaf in jax.tree.leaves(b)]


VOICE = {"features": "voice", "track_groups": ("pitch", "tilt"), "members": 3}
VERSION_1 = {"emotions": ("angry", "sad"), "normalise": "speaker"}
EACH = [{"normalise": normalise} for normalise in sorted({*NORMALISATIONS} - {"auto"})]
EACH += [{"normalise": normalise, **VOICE} for normalise in ("none", "corpus", "speaker")]
EACH += [{"features": "encoder"}, {"features": "embeddings", "embedding_dim": 5, "embeddings_name": "mine"}]
OF_ENCODER = ["LICENSE.Resemblyzer", "NOTICE", "encoder.npz"]


@pytest.mark.parametrize("settings", EACH, ids=str)
def test_what_is_saved_is_loaded(settings, tmp_path):
    model = fake_model(**settings)
    save_model(tmp_path / "new" / "model", model)
    files = sorted(FILES + (OF_ENCODER if model.encoder else []))
    assert (names(tmp_path / "new" / "model"), names(tmp_path / "new")) == (files, ["model"])
    loaded = load_model(tmp_path / "new" / "model")
    assert (loaded.settings, loaded.temperature, loaded.about) == (model.settings, model.temperature, model.about)
    assert_same(
        (loaded.params, loaded.scale, loaded.start, loaded.support.arrays(), loaded.shape, loaded.labelled),
        (model.params, model.scale, model.start, model.support.arrays(), model.shape, model.labelled),
    )
    assert (loaded.encoder and loaded.encoder.digest) == (model.encoder and model.encoder.digest)
    assert loaded.support.vectors_of == (model.encoder.digest if model.encoder else model.settings.embeddings_name)
    assert digest(loaded) == digest(model) == digest(tmp_path / "new" / "model")
    save_model(tmp_path / "again", fake_model(**settings))
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "new" / "model" / file).read_bytes()


def test_a_folder_of_version_1_is_still_read(tmp_path):
    """Its model.json was written before a model could be over anything but MFCC; its arrays are today's to the byte."""
    save_model(tmp_path / "model", fake_model(hidden_dim=2, clips=2, rates=False, **VERSION_1))
    shutil.copy(Path(__file__).parent / "version_1" / "model.json", tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert (model.settings.features, model.settings.network, model.settings.members) == ("mfcc", "lstm", 1)
    assert digest(model) == "44ea764e9119496d"
    logits = Predictor(model).logits(model.support.mfcc, model.support.n_frames)
    np.testing.assert_allclose(logits, [[-4.734813, -3.786509], [-7.308128, -2.128791]], atol=1e-4)


def test_a_folder_of_version_2_is_still_read(tmp_path):
    """Its model.json was written before clips were labelled together; its arrays are today's to the byte."""
    heard = {"features": "voice", "track_groups": ("tilt",), "members": 1}
    made = fake_model(hidden_dim=2, clips=2, rates=False, **VERSION_1, **heard)
    save_model(tmp_path / "model", dataclasses.replace(made, shape=None, labelled=None))
    shutil.copy(Path(__file__).parent / "version_2" / "model.json", tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert (model.shape, model.labelled, model.encoder, model.settings.embedding_dim) == (None, None, None, 0)
    assert digest(model) == "cacea45c23e35449"
    logits = Predictor(model).logits(model.support.voice)
    np.testing.assert_allclose(logits, [[-0.375776, 1.118352], [-0.875614, 1.839564]], atol=1e-4)


def test_a_folder_without_its_encoder_wants_the_one_that_was_fetched(tmp_path, monkeypatch):
    """As the starts of the package, which hold its digest alone."""
    model = fake_model(features="encoder", hidden_dim=1, clips=0)
    save_model(tmp_path / "start", model)
    for name in OF_ENCODER:
        (tmp_path / "start" / name).unlink()
    monkeypatch.setenv("METASER_CACHE", str(tmp_path))
    monkeypatch.delenv("METASER_ENCODER", raising=False)
    with pytest.raises(InputError, match=r"start needs the speech encoder, .*Fetch it once: metaser fetch-encoder"):
        load_model(tmp_path / "start")
    for seed, digest_of in ((1, made_encoder(1).digest), (0, None)):
        (tmp_path / "e.npz").write_bytes(encoder_bytes(made_encoder(seed)))
        monkeypatch.setenv("METASER_ENCODER", str(tmp_path / "e.npz"))
        if digest_of:
            with pytest.raises(InputError, match=f"{model.encoder.digest}, and here is {digest_of}"):
                load_model(tmp_path / "start")
    assert digest(load_model(tmp_path / "start")) == digest(model)


@pytest.mark.parametrize("change", [{"start": False}, {"rates": False}, {"clips": 0}])
def test_parts_that_are_not_there(change, tmp_path):
    """Nor does anything need to be known about a model; its arrays may be jax's."""
    model = dataclasses.replace(fake_model(**change), about={}, temperature=1)
    save_model(tmp_path / "model", dataclasses.replace(model, params=jax.device_put(model.params)))
    loaded = load_model(tmp_path / "model")
    assert_same((loaded.params, loaded.start), (model.params, model.start))
    assert (loaded.support is None) == (model.support is None) == ("support.npz" not in names(tmp_path / "model"))


def test_the_digest_is_of_what_it_predicts_with():
    model = fake_model()
    of = digest(model)
    assert of == digest(dataclasses.replace(model, start=None, support=None, about={}))
    changed = jax.tree.map(np.copy, model.params)
    changed["params"]["lstm_2"]["bias"][0] += 1e-6
    others = [
        dataclasses.replace(model, params=changed),
        dataclasses.replace(model, temperature=1.0),
        dataclasses.replace(model, scale=model.scale._replace(mean=model.scale.mean + 1e-9)),
        dataclasses.replace(model, settings=dataclasses.replace(model.settings, trim_db=26.0)),
    ]
    assert len({of, *map(digest, others)}) == 5
    voice = fake_model(**VOICE)
    other = dataclasses.replace(voice.settings, track_groups=("pitch", "loudness"))
    assert digest(voice) != digest(dataclasses.replace(voice, settings=other))
    learner = {"settings": {"inner_steps": 2}, "numbers": {}}
    changed = dataclasses.replace(voice.support, voice=voice.support.voice + 1)
    total = voice.labelled._replace(total=voice.labelled.total + 1e-6)
    others = [
        {"shape": voice.shape._replace(variance=voice.shape.variance + 1)},
        {"labelled": None},
        {"labelled": total},
        {"support": changed},
        {"support": None},
        {"start": voice.start._replace(learner=learner)},
    ]
    assert len({digest(voice), *(digest(dataclasses.replace(voice, **one)) for one in others)}) == 7
    heard = dataclasses.replace(fake_model(features="encoder", hidden_dim=1, clips=0), shape=None)
    assert digest(heard) != digest(dataclasses.replace(heard, encoder=made_encoder(1)))


def test_an_empty_folder_is_taken_and_no_other(tmp_path):
    model = fake_model(clips=0)
    (tmp_path / "empty").mkdir()
    save_model(tmp_path / "empty", model)
    (tmp_path / "file").write_text("mine")
    for place, said in (("empty", "is not empty"), ("file", "is a file"), ("file/model", "Not a directory")):
        with pytest.raises(InputError, match=said):
            save_model(tmp_path / place, model)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, data):
        write(path, data[: len(data) // 2])
        if path.name == "README.md":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"model .*No space left on device"):
        save_model(tmp_path / "model", fake_model())
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"scale": None}, "scale/mean, scale/std"),
        ({"about": {"support": {"speakers": "two"}}}, "about.support.speakers is 'two'"),
        ({"about": {"cross_validation": {"macro_f1": float("nan")}}}, "macro_f1 is nan"),
    ],
)
def test_a_model_that_could_not_be_read_is_not_written(change, said, tmp_path):
    with pytest.raises(InputError, match=said):
        save_model(tmp_path / "model", dataclasses.replace(fake_model(), **change))
    model = fake_model()
    model.params["params"]["lstm_1"]["bias"][3] = np.nan
    with pytest.raises(InputError, match="params/lstm_1/bias"):
        save_model(tmp_path / "model", model)
    assert names(tmp_path) == []


def test_loading_imports_little(tmp_path):
    save_model(tmp_path / "model", fake_model())
    heavy = ("sklearn", "scipy.stats", "orbax", "tensorflow_datasets", "matplotlib", "librosa")
    program = f"import sys; sys.modules.update(dict.fromkeys({heavy}))\n"
    program += "from metaser_jax.recogniser.folder import load_model\n"
    done = python("-c", f"{program}load_model({str(tmp_path / 'model')!r})")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("settings", [{}, VOICE], ids=str)
def test_what_is_on_disk_is_described(settings, tmp_path):
    """Every key of model.json has its place in the document for people who write other readers."""
    save_model(tmp_path / "model", fake_model(**settings))
    document = (Path(__file__).resolve().parents[2] / "docs" / "model_folder.md").read_text()

    def keys(value):
        inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        return {*(value if isinstance(value, dict) else ())}.union(*map(keys, inside))

    facts = json.loads((tmp_path / "model" / "model.json").read_text())
    free = {*facts["about"]["versions"], *facts["settings"]["emotions"]}
    with np.load(tmp_path / "model" / "arrays.npz") as arrays:
        of_network = {name for name in arrays if name.startswith("params/")}
    assert not [key for key in (keys(facts) - free) | of_network if f"`{key}`" not in document]
