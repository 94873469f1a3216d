"""Checkpoints: what is kept, what comes back, and what is refused."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import InputError
from metaser_jax.checkpoints import Checkpoints
from metaser_jax.training import TrainState


def state(units: int = 3, dtype=jnp.float32) -> TrainState:
    params = {"dense": {"kernel": jnp.arange(2 * units, dtype=dtype).reshape(2, units), "bias": jnp.ones(units, dtype)}}
    return TrainState(params, optax.adam(1e-3).init(params), jnp.int32(4))


@pytest.fixture
def saved(tmp_path) -> Path:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, state(), 0.5)
    return tmp_path


def test_what_is_saved_comes_back(saved):
    with Checkpoints(saved, read_only=True) as checkpoints:
        restored = checkpoints.restore(4, jax.tree.map(jnp.zeros_like, state()))
    assert jax.tree.structure(restored) == jax.tree.structure(state())
    jax.tree.map(np.testing.assert_array_equal, restored, state())


def test_shapes_are_enough(saved):
    """And a sharding written on another machine does not matter."""
    sharding = saved / "checkpoints" / "4" / "default" / "_sharding"
    written = json.loads(sharding.read_text())
    sharding.write_text(json.dumps({k: v.replace("cpu", "gpu").replace("CPU", "GPU") for k, v in written.items()}))
    assert "gpu" in sharding.read_text().lower()
    with Checkpoints(saved, read_only=True) as checkpoints:
        restored = checkpoints.restore(4, jax.eval_shape(state))
    jax.tree.map(np.testing.assert_array_equal, restored, state())
    assert {leaf.device for leaf in jax.tree.leaves(restored)} == {jax.devices()[0]}


def test_the_latest_and_the_best_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() is None
        for episode, loss in [(2, 0.9), (4, 0.3), (6, 0.5), (8, 0.4)]:
            checkpoints.save(episode, state(), loss)
        assert (checkpoints.latest(), checkpoints.best()) == (8, 4)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()} == {"4", "8"}


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
    """Refused before anything is read, so that no unfinished read warns later."""
    with (
        Checkpoints(saved, read_only=True) as checkpoints,
        pytest.raises(InputError, match=f"the checkpoint of episode 4 is of another network .*{message}"),
    ):
        checkpoints.restore(4, like)


@pytest.mark.parametrize("pattern", ["default/_METADATA", "default/d/*", "default/manifest.ocdbt"])
@pytest.mark.parametrize("content", [None, b"damaged"])
def test_damaged(tmp_path, pattern, content):
    """One array, so that one read fails and no other is left unfinished."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, {"a": jnp.ones(3)}, 0.5)
    for path in (tmp_path / "checkpoints" / "4").glob(pattern):
        path.unlink() if content is None else path.write_bytes(content)
    with (
        Checkpoints(tmp_path, read_only=True) as checkpoints,
        pytest.raises(InputError, match="the checkpoint of episode 4 is damaged"),
    ):
        checkpoints.restore(4, {"a": jnp.ones(3)})
