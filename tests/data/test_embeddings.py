"""Vectors that somebody gives: read, matched to recordings, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from fakes import fake_corpus

from metaser_jax.data.embeddings import embeddings_for, name_below, read_embeddings, rows_of, with_embeddings
from metaser_jax.data.inputs import make_input, weights
from metaser_jax.errors import InputError
from metaser_jax.npz import npz_bytes
from metaser_jax.specs import FrontEnd

FILES = ["angry/a.wav", "sad/b.wav", "emodb/c.wav"]
VECTOR = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
HOW = FrontEnd(features="embeddings", embedding_dim=5, embeddings_name="mine", normalise="speaker")


@pytest.fixture
def write(tmp_path):
    def write(kind="npz", file=FILES, vector=VECTOR, **more):
        path = tmp_path / f"vectors.{kind}"
        if kind == "npz":
            np.savez(path, path=np.array(file), vector=vector, **more)
        else:
            pyarrow.parquet.write_table(
                pyarrow.table({"file": file, "vector": [list(map(float, v)) for v in vector]}), path
            )
        return str(path)

    return write


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_rows_by_the_names_of_files(write, kind):
    found = read_embeddings(write(kind))
    np.testing.assert_array_equal(rows_of(found, ["sad/b.wav", "angry/a.wav"])[:, 0], VECTOR[[1, 0]])
    np.testing.assert_array_equal(rows_of(found, ["c.wav"], "emodb")[:, 0], VECTOR[[2]])
    assert name_below("/rec/angry/a.wav", ["/rec"], found) == "angry/a.wav"
    assert name_below("sad/b.wav", ["/rec"], found) == "sad/b.wav"
    with pytest.raises(InputError, match=r"vectors.*: 2 of 3 files are missing: 'x', 'y'\."):
        rows_of(found, ["x", "sad/b.wav", "y"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file": ["a", "b", "a"]}, "'a' is there more than once"),
        (
            {"vector": np.where(np.eye(3, 5) > 0, np.nan, VECTOR)},
            "'angry/a.wav', 'sad/b.wav', 'emodb/c.wav' has numbers",
        ),
        ({"vector": VECTOR[:2]}, r"shape \[2, 5\] for 3 files"),
        ({"vector": VECTOR[:, :0]}, r"shape \[3, 0\]"),
        ({"vector": np.zeros((3, 4097), np.float32)}, r"shape \[3, 4097\] .*4,096"),
        ({"vector": VECTOR.astype(int)}, "int64"),
        ({"vector": VECTOR.astype(object)}, "cannot be used: .*pickle"),
        ({"file": [1, 2, 3]}, "file is int64"),
    ],
    ids=lambda value: "",
)
def test_what_cannot_be_used(write, changes, said):
    with pytest.raises(InputError, match=f"^--embeddings=.*{said}"):
        read_embeddings(write(**changes))


def test_files_that_are_none(write, tmp_path):
    path = write()
    content = Path(path).read_bytes()
    for name, data in (("cut.npz", content[:-40]), ("empty.npz", b""), ("not.parquet", content), ("gone.npz", None)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"^--embeddings=.*{name} cannot be used"):
            read_embeddings(tmp_path / name)
    with pytest.raises(InputError, match=r"got .*vectors.csv, expected FILE.npz or FILE.parquet"):
        read_embeddings(tmp_path / "vectors.csv")
    pyarrow.parquet.write_table(pyarrow.table({"file": FILES}), tmp_path / "one.parquet")
    with pytest.raises(InputError, match="vector"):
        read_embeddings(tmp_path / "one.parquet")
    pyarrow.parquet.write_table(
        pyarrow.table({"file": FILES, "vector": [[1.0], [1.0, 2.0], []]}), tmp_path / "un.parquet"
    )
    with pytest.raises(InputError, match="different lengths"):
        read_embeddings(tmp_path / "un.parquet")


def test_who_needs_them_and_of_what_size(write):
    path, other = write(), FrontEnd(features="voice")
    assert embeddings_for(None, other) is None
    assert embeddings_for(path, HOW, "mine") is not None
    for arguments, said in (
        ((path, other), "--features=voice"),
        ((None, HOW), "got none, expected mine's vectors, 5 numbers each"),
        ((path, dataclasses.replace(HOW, embedding_dim=6)), "5 numbers, expected 6"),
        ((path, HOW, "theirs"), "--embeddings_name: got 'theirs', expected 'mine'"),
    ):
        with pytest.raises(InputError, match=said):
            embeddings_for(*arguments)


def test_a_network_is_given_statistics_and_vectors_normalised_by_voice(tmp_path):
    corpus = fake_corpus()
    vector = np.random.default_rng(1).normal(loc=3, size=(len(corpus), 5)).astype(np.float32)
    names = np.array([f"fake/{file}" for file in corpus.file])
    (tmp_path / "v.npz").write_bytes(npz_bytes({"file": names[::-1], "vector": vector[::-1]}))
    found = with_embeddings(lambda name, _: corpus, str(tmp_path / "v.npz"), HOW)("fake", "data")
    np.testing.assert_array_equal(found.vectors[:, 0], vector)
    assert found.vectors_of == "mine"
    seen = make_input(found, HOW, np.arange(len(found)))
    assert seen.mfcc.shape == (len(corpus), 1, HOW.coefs) == (len(corpus), 1, 171 + 5)
    np.testing.assert_allclose(seen.mfcc[:, 0, 171:].std(0), 1, rtol=0.2)
    many = dataclasses.replace(HOW, embedding_dim=1024)
    np.testing.assert_allclose(weights(many)[[0, 170, 171, -1]], [1, 1, *[0.6 * (768 / 1024) ** 0.5] * 2], rtol=1e-6)
    with pytest.raises(InputError, match=r"got vectors of shape \[1, 5\], expected \[1, 6\]"):
        make_input(found, dataclasses.replace(HOW, embedding_dim=6), np.arange(3))
