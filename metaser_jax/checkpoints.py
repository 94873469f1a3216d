"""Checkpoints of a training run, by orbax: the latest to go on from, the best by validation loss to fine-tune from."""

from pathlib import Path
from typing import Any

import jax
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
                "finished experiments/meta_train.py run."
            )
        options = ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics[_METRIC],
            best_mode="min",
            preservation_policy=checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(1), best]),
            read_only=read_only,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

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
                f"{self._folder} holds no complete checkpoint: let experiments/meta_train.py finish first."
            )
        return step

    def restore(self, episode: int, like: Any) -> Any:
        """The state saved at an episode; `like` is a state of the same structure, shapes and dtypes.

        Raises:
          InputError: it is damaged, or of another network.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            return self._manager.restore(episode, args=ocp.args.StandardRestore(abstract))
        except (ValueError, KeyError, OSError) as error:
            raise InputError(
                f"{self._folder}: the checkpoint of episode {episode} is damaged, or of another network than "
                f"config.json says ({str(error).splitlines()[0]}). Train again in another --run_dir."
            ) from error
