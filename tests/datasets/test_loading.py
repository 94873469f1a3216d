import pickle

import numpy as np
import pytest

from metaser_jax import datasets
from metaser_jax.emotions import EMOTIONS
from metaser_jax.errors import InputError


@pytest.fixture
def data_dir(make_corpus, recordings_dir, tmp_path):
    """With EMO-DB prepared."""
    make_corpus("emodb")
    datasets.prepare("emodb", recordings_dir, tmp_path / "data")
    return tmp_path / "data"


def test_corpus(data_dir):
    corpus = datasets.load("emodb", data_dir)
    assert (corpus.name, corpus.language, len(corpus)) == ("emodb", "German", 8)
    assert (corpus.mfcc.shape, corpus.mfcc.dtype) == ((8, 120, 20), np.float32)
    assert (corpus.n_frames.dtype, corpus.label.dtype, corpus.seconds.dtype) == (np.int32, np.int32, np.float32)
    assert corpus.file.tolist() == sorted(corpus.file.tolist())
    assert corpus.file[0] == "03a01Aa.wav"
    assert EMOTIONS[corpus.label[0]] == "fear"
    assert corpus.speaker.tolist() == ["03"] * 7 + ["16"]
    assert corpus.emotions == EMOTIONS
    assert corpus.digest() == datasets.load("emodb", data_dir).digest()


def test_not_prepared(data_dir):
    expected = (
        rf"urdu 2\.0\.0 is not prepared in --data_dir={data_dir}; prepared there: emodb 2\.0\.0\. "
        r"To prepare it: .* prepare --corpora=urdu"
    )
    for read in (datasets.load, datasets.load_statistics):
        with pytest.raises(InputError, match=expected):
            read("urdu", data_dir)


def test_data_dir_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="prepared there: nothing"):
        datasets.load("urdu", tmp_path / "none")


def test_unknown_name(data_dir):
    with pytest.raises(InputError, match="Did you mean 'emodb'"):
        datasets.load("emo-db", data_dir)


@pytest.mark.parametrize("file", ["metadata.json", "dataset_info.json", "emodb-train.array_record-00000-of-00001"])
def test_damaged(data_dir, file):
    path = data_dir / "emodb" / "2.0.0" / file
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(InputError, match=r"2\.0\.0 is damaged .*--overwrite"):
        datasets.load("emodb", data_dir)


def test_through_tfds_alone(data_dir):
    """Whoever has the folder needs this package's code no more than its name."""
    import tensorflow_datasets as tfds

    examples = tfds.builder_from_directory(data_dir / "emodb" / "2.0.0").as_data_source("train")
    assert {example["emotion"].decode() for example in examples} >= {"anxiety/fear", "boredom"}


def test_builder_survives_pickling(data_dir):
    builder = datasets.builder("emodb", data_dir, skip_bad=True, workers=3)
    again = pickle.loads(pickle.dumps(builder))
    assert (again.options, again.info.file_format) == (builder.options, builder.info.file_format)
    assert (again.options.skip_bad, again.options.workers) == (True, 3)
    assert len(again.as_data_source("train")) == 8


@pytest.mark.parametrize("name", ["iemocap/excited_as_happy", "folder/mine"])
def test_builder_with_a_configuration_survives_pickling(name, tmp_path):
    again = pickle.loads(pickle.dumps(datasets.builder(name, tmp_path)))
    assert again.corpus_name == name


def test_what_tfds_knows_of_it(data_dir):
    split = datasets.builder("emodb", data_dir).info.splits["train"]
    assert split.num_examples == 8
    assert 8 * (120 * 20 + 171) * 4 < split.num_bytes < 8 * 12_000


def test_prepared_names(data_dir, make_corpus, recordings_dir):
    (data_dir / "folder").mkdir()
    (data_dir / "folder" / ".DS_Store").touch()
    for name in ("folder/saraiki", "shemo", "demo_urdu"):
        make_corpus(name)
        datasets.prepare(name, recordings_dir, data_dir)
    assert datasets.prepared_names(data_dir) == ["emodb", "shemo", "demo_urdu", "folder/saraiki"]
    with pytest.raises(InputError, match=r"there: demo_urdu 2\.0\.0, emodb 2\.0\.0, folder saraiki 2\.0\.0, shemo "):
        datasets.load("urdu", data_dir)
