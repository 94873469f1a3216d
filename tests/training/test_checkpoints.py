"""Checkpoints: what is kept, what comes back, what is refused, and what a damaged or unwritable one leads to."""

import json
import shutil
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import InputError
from metaser_jax.training.checkpoints import Checkpoints, DamagedError, _spare_late_answers, to_host
from metaser_jax.training.loops.meta_training import TrainState


def state(units: int = 3, dtype=jnp.float32) -> TrainState:
    params = {"dense": {"kernel": jnp.arange(2 * units, dtype=dtype).reshape(2, units), "bias": jnp.ones(units, dtype)}}
    return TrainState(params, optax.adam(1e-3).init(params), jax.random.key(7), *map(jnp.int32, (4, 0, 0)))


def assert_equal(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, to_host(got), to_host(expected))


@pytest.fixture
def saved(tmp_path) -> Path:
    with Checkpoints(tmp_path, run={"corpus_digests": {"a": "1f"}}) as checkpoints:
        checkpoints.save(4, state(), 0.5)
    return tmp_path


def test_what_is_saved_comes_back(saved):
    with Checkpoints(saved, read_only=True) as checkpoints:
        restored = checkpoints.restore(4, jax.tree.map(jnp.zeros_like, state()))
        assert_equal(checkpoints.restore(4, jax.eval_shape(state)), state())  # shapes are enough
    assert_equal(restored, state())
    assert jnp.array_equal(jax.random.bits(restored.key), jax.random.bits(jax.random.key(7)))
    written = json.loads((saved / "checkpoints" / "4" / "run" / "metadata").read_text())
    assert written["run"] == {"corpus_digests": {"a": "1f"}}


def test_what_is_written_is_what_was_given(tmp_path):
    """The array's buffer may be given to the next step while it is being written."""
    with Checkpoints(tmp_path) as checkpoints:
        array = np.zeros(3)
        checkpoints.save(4, {"a": array}, 0.5)
        array += 1
        checkpoints.wait()
        np.testing.assert_array_equal(checkpoints.restore(4, {"a": array})["a"], np.zeros(3))


def test_the_newest_and_the_best_are_kept(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.latest() is None
        assert checkpoints.restore_newest(state()) is None
        for episode, loss in [(2, 0.9), (4, 0.3), (6, 0.5), (8, 0.4), (10, 0.6)]:
            checkpoints.save(episode, state(), loss)
        checkpoints.wait()
        assert (checkpoints.latest(), checkpoints.best()) == (10, 4)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()} == {"4", "8", "10"}


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (state(5), r"bias is float32\[3\], expected float32\[5\]"),
        (state(dtype=jnp.float16), r"bias is float32\[3\], expected float16\[3\]"),
        (state()._replace(opt_state=None), r"opt_state.* is .*, expected nothing"),
        (state()._replace(episode={"more": jnp.int32(4)}), r"episode is int32\[\], expected nothing"),
        (state()._replace(meta_params={"more": jnp.ones(2)} | state().meta_params), r"more is missing, expected float"),
    ],
)
def test_another_network(saved, like, message):
    """Refused before anything is read, so that no unfinished read warns later; and it is no damage."""
    with (
        Checkpoints(saved) as checkpoints,
        pytest.raises(InputError, match=f"the checkpoint of episode 4 is of another network .*{message}"),
    ):
        checkpoints.restore_newest(like)
    assert (saved / "checkpoints" / "4").is_dir()


# One array, so that one read fails and no other is left unfinished.
ARRAY = {"a": jnp.arange(300.0)}
DAMAGED_FILES = ["state/_METADATA", "state/d/*", "state/manifest.ocdbt", "run/metadata", "metrics/metrics"]
TYPES = ["[]", '{"valid_query_loss": "low"}', "[" * 100_000, '["valid_query_loss"]', "7"]


def damage(step: Path, pattern: str, how: str) -> None:
    (path,) = step.glob(pattern)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]
    path.write_bytes({"truncated": content[:middle], "flipped": flipped, "empty": b""}.get(how, how.encode()))


@pytest.mark.parametrize(
    ("pattern", "how"),
    [(pattern, how) for pattern in DAMAGED_FILES for how in ("truncated", "flipped", "empty")]
    + [("metrics/metrics", content) for content in TYPES],
)
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, pattern, how, capsys):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        for episode in (4, 6):
            checkpoints.save(episode, {"a": ARRAY["a"] + episode}, 1 / episode)
    damage(tmp_path / "checkpoints" / "6", pattern, how)
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        episode, restored = checkpoints.restore_newest(ARRAY)
        assert episode == checkpoints.latest() == checkpoints.best() == 4
        np.testing.assert_array_equal(restored["a"], ARRAY["a"] + 4)
        checkpoints.save(6, {"a": ARRAY["a"] + 6}, 0.1)  # the way is free
    line = capsys.readouterr().out
    assert "the checkpoint of episode 6 is damaged" in line
    assert "Taking the one of episode 4" in line
    assert (tmp_path / "damaged" / "6").is_dir()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        np.testing.assert_array_equal(checkpoints.restore(6, ARRAY)["a"], ARRAY["a"] + 6)


@pytest.mark.parametrize("pattern", ["state/_METADATA", "metrics/metrics"])
def test_nothing_whole_is_left(tmp_path, pattern):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, ARRAY, 0.5)
    damage(tmp_path / "checkpoints" / "4", pattern, "truncated")
    with (
        pytest.raises(DamagedError, match="the checkpoint of episode 4 is damaged"),
        Checkpoints(tmp_path, read_only=True) as checkpoints,
    ):
        checkpoints.restore(4, ARRAY)
    for _ in range(2):  # the second start does not find an empty folder, and begin anew
        with (
            pytest.raises(DamagedError, match=r"episode 4 is damaged .*None before it is whole: remove"),
            Checkpoints(tmp_path) as checkpoints,
        ):
            checkpoints.restore_newest(ARRAY)


def test_a_checkpoint_without_its_metrics(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for episode in (4, 6):
            checkpoints.save(episode, ARRAY, 1 / episode)
    (tmp_path / "checkpoints" / "6" / "metrics" / "metrics").unlink()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:  # as if it were being removed
        assert checkpoints.best() == 4
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.restore_newest(ARRAY)[0] == 4


@pytest.mark.parametrize("name", ["0013", "13.old", "notes", "\N{SUPERSCRIPT TWO}"])
def test_folders_that_somebody_has_put_there(saved, name):
    """A copy of a checkpoint by another name is no checkpoint, and stays."""
    shutil.copytree(saved / "checkpoints" / "4", saved / "checkpoints" / name)
    with Checkpoints(saved, keep=2) as checkpoints:
        assert checkpoints.restore_newest(state())[0] == checkpoints.latest() == checkpoints.best() == 4
        checkpoints.save(6, state(), 0.4)
    with Checkpoints(saved, read_only=True) as checkpoints:
        assert checkpoints.best() == 6
    assert (saved / "checkpoints" / name).is_dir()


def test_a_checkpoint_that_cannot_be_written(tmp_path, largest_file):
    noise = {"a": jax.random.normal(jax.random.key(0), (1000,))}  # cannot be compressed
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, noise, 0.5)
        checkpoints.wait()
        largest_file(1000)
        checkpoints.save(6, noise, 0.4)
        with pytest.raises(InputError, match=r"episode 6 cannot be written \(.*large.*that of episode 4 is intact"):
            checkpoints.wait()
        largest_file()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_newest(noise)[0] == 4


def test_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"holds no checkpoint \(checkpoints/ is missing\)"):
        Checkpoints(tmp_path, read_only=True)
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="no complete checkpoint"):
        checkpoints.best()


def test_late_answers_of_a_write_that_failed_print_nothing(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", lambda late: shown.append(str(late.exc_value)))
    _spare_late_answers.__wrapped__()
    for said in ("Event loop is closed", "another"):
        sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(said)))
    assert shown == ["another"]
