"""Checkpoints of a training run, by orbax: the latest to go on from, the best by validation loss to fine-tune from."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from metaser_jax.errors import InputError

_METRIC = "valid_query_loss"
_FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one run directory. A context manager: leaving it waits for what is being written."""

    def __init__(self, run_dir: str | Path, *, read_only: bool = False):
        best = checkpoint_managers.BestN(get_metric_fn=lambda metrics: metrics[_METRIC], reverse=True, n=1)
        self._folder = Path(run_dir).resolve() / _FOLDER
        if read_only and not self._folder.is_dir():
            raise InputError(
                f"{run_dir} holds no checkpoint ({_FOLDER}/ is missing), expected the --run_dir of a "
                "finished run of experiments/meta_train.py or experiments/pretrain.py."
            )
        options = ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics[_METRIC],
            best_mode="min",
            preservation_policy=checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(1), best]),
            read_only=read_only,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        # Named, so that a checkpoint's metadata can be read before anything is restored.
        handler = ocp.StandardCheckpointHandler()
        self._manager = ocp.CheckpointManager(self._folder, options=options, item_handlers=handler)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self._manager.close()

    def save(self, episode: int, state: Any, valid_query_loss: float) -> None:
        """Starts writing; what is kept afterwards is the latest and the best."""
        self._manager.save(episode, args=ocp.args.StandardSave(state), metrics={_METRIC: valid_query_loss})

    def latest(self) -> int | None:
        """Episode of the newest checkpoint, None if there is none."""
        return self._manager.latest_step()

    def best(self) -> int:
        """Episode of the checkpoint with the lowest validation loss.

        Raises:
          InputError: there is no checkpoint.
        """
        step = self._manager.best_step()
        if step is None:
            raise InputError(
                f"{self._folder} holds no complete checkpoint: let the program that trains it finish first."
            )
        return step

    def restore(self, episode: int, like: Any) -> Any:
        """The state saved at an episode.

        Args:
          episode: of a checkpoint.
          like: a state of the same structure, shapes and dtypes, or its jax.eval_shape, which is restored to the
            default device.

        Raises:
          InputError: it is damaged, or of another network.
        """
        expected = {
            jax.tree_util.keystr(path, simple=True, separator="."): _describe(leaf)
            for path, leaf in jax.tree.leaves_with_path(like)
        }
        try:
            metadata = self._manager.item_metadata(episode)
            saved = {leaf.name: _describe(leaf) for leaf in jax.tree.leaves(metadata.tree)}
        except (ValueError, KeyError, OSError, AttributeError) as error:
            raise self._damaged(episode, error) from error
        # Compared here: orbax finds out in the middle of reading, and leaves its other reads unfinished.
        for name in sorted(saved.keys() | expected.keys()):
            got, want = saved.get(name, "missing"), expected.get(name, "nothing")
            if got != want:
                raise InputError(
                    f"{self._folder}: the checkpoint of episode {episode} is of another network than config.json "
                    f"says: {name} is {got}, expected {want}. Give the run the config.json back that it wrote, or "
                    "train again in another --run_dir."
                )
        try:
            return self._manager.restore(episode, args=ocp.args.StandardRestore(jax.tree.map(_abstract, like)))
        except (ValueError, KeyError, OSError) as error:
            raise self._damaged(episode, error) from error

    def _damaged(self, episode: int, error: Exception) -> InputError:
        return InputError(
            f"{self._folder}: the checkpoint of episode {episode} is damaged ({str(error).splitlines()[0]}). Train "
            "again in another --run_dir, or put a whole copy of this one in its place."
        )


def _abstract(leaf: jax.Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    # Never without a device: orbax would take the one that the checkpoint was written on, which may not be here.
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _describe(leaf: Any) -> str:
    """An array, or orbax's metadata of one, as dtype[shape]."""
    return f"{jnp.dtype(leaf.dtype).name}[{', '.join(map(str, leaf.shape))}]"
