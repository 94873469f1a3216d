"""Checkpoints of a training run, by orbax: the last few to go on from, the best by validation loss to fine-tune from.

A state is the same on all devices of all processes, so process 0 alone writes and reads it, as host arrays: it may be
restored on any number of either. A checkpoint says what run it is of, and has a checksum of what was saved.
"""

import contextlib
import functools
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from metaser_jax import cli
from metaser_jax.errors import InputError
from metaser_jax.messages import log
from metaser_jax.training.parallel import is_key

_METRIC = "valid_query_loss"
_FOLDER = "checkpoints"
_DAMAGED = "damaged"
_STATE, _RUN = "state", "run"
# Characters of an error that is shown whole.
_SHORT = 160
# What reading a damaged file, or writing to a full disk, raises in orbax and tensorstore.
_FAILURES = (ValueError, KeyError, OSError, AttributeError, TypeError, RuntimeError)


class DamagedError(InputError):
    """A checkpoint that cannot be read, or is not what was saved."""


class Checkpoints:
    """The checkpoints of one run directory. A context manager: leaving it waits for what is being written."""

    def __init__(
        self, run_dir: str | Path, *, keep: int = 1, run: Mapping[str, Any] | None = None, read_only: bool = False
    ):
        """Open them; partial ones that a killed program left are removed.

        Args:
          run_dir: of the run.
          keep: how many of the newest are kept, besides the best.
          run: what says which run it is, JSON-able; written into every checkpoint.
          read_only: neither writes nor removes anything.

        Raises:
          InputError: read_only, and there are none.
          DamagedError: the metrics of one, if read_only, or of all are damaged.
        """
        _spare_late_answers()
        self._folder = Path(run_dir).resolve() / _FOLDER
        self._run = dict(run or {})
        self._begun: list[int] = []
        self._read_only = read_only
        if read_only and not self._folder.is_dir():
            programs = f"{cli.program('meta-train')} or {cli.program('pretrain')}"
            raise InputError(
                f"{run_dir} holds no checkpoint ({_FOLDER}/ is missing), expected a finished run of {programs}."
            )
        if not read_only:
            self._folder.mkdir(parents=True, exist_ok=True)
        # orbax reads all metrics at once, and one that is damaged would hide every checkpoint.
        steps = self._steps()
        self._damaged = {step: error for step in steps if (error := self._damaged_metrics(step))}
        for step, error in self._damaged.items():
            if read_only:
                raise error
            # With none left, the next start would find an empty folder, and begin anew.
            if len(self._damaged) == len(steps):
                raise self._none_is_whole(error)
            self._put_aside(step)
        # Imported here: adapting from a model needs none, and it takes half as long as jax.
        import orbax.checkpoint as ocp
        from orbax.checkpoint import checkpoint_managers

        best = checkpoint_managers.BestN(get_metric_fn=lambda metrics: metrics[_METRIC], reverse=True, n=1)
        options = ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics[_METRIC],
            best_mode="min",
            preservation_policy=checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(keep), best]),
            read_only=read_only,
            create=False,
            cleanup_tmp_directories=not read_only,
            # The others have the same state, and need not see the folder.
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=jax.process_index(),
                active_processes={jax.process_index()},
                barrier_sync_key_prefix=f"process_{jax.process_index()}",
            ),
        )
        handlers = {_STATE: ocp.StandardCheckpointHandler(), _RUN: ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(self._folder, options=options, item_handlers=handlers)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        # An error that is on its way is the one to be told of.
        with contextlib.suppress(*_FAILURES) if kind else self._writing():
            self._manager.close()

    def save(self, episode: int, state: Any, valid_query_loss: float) -> None:
        """Start writing; kept afterwards are the newest and the best.

        Args:
          episode: of the state.
          state: pytree of arrays, the same on all devices; PRNG keys among them.
          valid_query_loss: what the best has the lowest of.

        Raises:
          InputError: this checkpoint, or the one that was begun before it, cannot be written.
        """
        import orbax.checkpoint as ocp

        state = to_host(state)
        items = {
            _STATE: ocp.args.StandardSave(state),
            _RUN: ocp.args.JsonSave({"checksum": checksum(state), "run": self._run}),
        }
        self.wait()  # so that an error is the other checkpoint's, and not this one's
        self._begun = [*self._begun[-1:], episode]
        with self._writing():
            self._manager.save(episode, args=ocp.args.Composite(**items), metrics={_METRIC: valid_query_loss})

    def wait(self) -> None:
        """Return when all is written; raises InputError as `save`."""
        with self._writing():
            self._manager.wait_until_finished()

    def latest(self) -> int | None:
        """Return episode of the newest checkpoint, None if there is none."""
        return self._manager.latest_step()

    def best(self) -> int:
        """Return episode of the checkpoint with the lowest validation loss.

        Raises:
          InputError: there is no checkpoint.
        """
        step = self._manager.best_step()
        if step is None:
            raise InputError(f"{self._folder} holds no complete checkpoint: let its program finish first.")
        return step

    def loss(self, episode: int) -> float:
        """Return the validation loss that a checkpoint was saved with."""
        metrics: Any = self._manager.metrics(episode)
        return metrics[_METRIC]

    def restore(self, episode: int, like: Any) -> Any:
        """Return the state saved at an episode, on the host.

        Args:
          episode: of a checkpoint.
          like: a state of the same structure, shapes and dtypes, or its jax.eval_shape.

        Returns:
          Pytree of NumPy arrays, and of PRNG keys where `like` has them.

        Raises:
          DamagedError: it cannot be read, or is not what was saved.
          InputError: it is of another network.
        """
        expected = {
            jax.tree_util.keystr(path, simple=True, separator="."): _describe(_plain(leaf))
            for path, leaf in jax.tree.leaves_with_path(like)
        }
        with self._reading(episode):
            metadata = self._manager.item_metadata(episode)[_STATE]
            saved = {leaf.name: _describe(leaf) for leaf in jax.tree.leaves(metadata.tree)}
        # Compared here: orbax finds out in the middle of reading, and leaves its other reads unfinished.
        for name in sorted(saved.keys() | expected.keys()):
            got, want = saved.get(name, "missing"), expected.get(name, "nothing")
            if got != want:
                raise InputError(
                    f"{self._folder}: the checkpoint of episode {episode} is of another network than config.json "
                    f"says: {name} is {got}, expected {want}. Give the run its own config.json back."
                )
        import orbax.checkpoint as ocp

        empty = jax.tree.map(lambda leaf: np.zeros(_plain(leaf).shape, _plain(leaf).dtype), like)
        items = {_STATE: ocp.args.StandardRestore(empty), _RUN: ocp.args.JsonRestore()}
        with self._reading(episode):
            restored = self._manager.restore(episode, args=ocp.args.Composite(**items))
            state = jax.tree.map(np.asarray, restored[_STATE])
            if checksum(state) != restored[_RUN]["checksum"]:
                raise ValueError("its arrays are not those that were saved")
        return jax.tree.map(lambda leaf, a: jax.random.wrap_key_data(a) if is_key(leaf) else a, like, state)

    def restore_newest(self, like: Any) -> tuple[int, Any] | None:
        """Return the newest state that is whole; damaged ones that are newer are put aside, into RUN/damaged.

        Args:
          like: as in `restore`.

        Returns:
          Its episode and the state, or None if there is no checkpoint.

        Raises:
          DamagedError: there are checkpoints, and none is whole.
          InputError: it is of another network.
        """
        damaged: dict[int, DamagedError] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                state = self.restore(step, like)
            except DamagedError as error:
                damaged[step] = error
                continue
            for number in damaged:
                self._put_aside(number)
            self._manager.reload()
            for error in (self._damaged | damaged).values():
                log(f"{error} It is now in {self._folder.parent / _DAMAGED}. Taking the one of episode {step}.")
            return step, state
        for error in damaged.values():
            raise self._none_is_whole(error)
        return None

    def _steps(self) -> list[int]:
        names = (path.name for path in self._folder.iterdir() if path.name.isdecimal())
        return sorted(int(name) for name in names if name == str(int(name)))  # 0013 is somebody's own

    def _damaged_metrics(self, step: int) -> DamagedError | None:
        path = self._folder / str(step) / "metrics" / "metrics"
        try:
            with self._reading(step):
                # The program that trains may be removing it at this moment.
                if self._read_only and not path.exists():
                    return None
                if not isinstance(json.loads(path.read_text())[_METRIC], int | float):
                    raise ValueError(f"{_METRIC} is no number")
        except DamagedError as error:
            return error
        return None

    def _none_is_whole(self, error: DamagedError) -> DamagedError:
        return DamagedError(f"{error} None before it is whole: remove {self._folder.parent} to begin anew.")

    def _put_aside(self, step: int) -> None:
        to = self._folder.parent / _DAMAGED / str(step)
        to.parent.mkdir(exist_ok=True)
        shutil.rmtree(to, ignore_errors=True)
        (self._folder / str(step)).rename(to)

    @contextlib.contextmanager
    def _reading(self, episode: int) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            text = f"{self._folder}: the checkpoint of episode {episode} is damaged ({_reason(error)})."
            if self._read_only:
                text += f" Start its program again, or move {self._folder / str(episode)} away."
            raise DamagedError(text) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            whole = self._steps()
            # orbax may tell of an error only when the next one has begun.
            failed = next((episode for episode in self._begun if episode not in whole), max(self._begun, default=None))
            intact = f"that of episode {max(whole)} is intact" if whole else "there is none before it"
            raise InputError(
                f"{self._folder}: the checkpoint of episode {failed} cannot be written ({_reason(error)}); {intact}. "
                "Make room, or allow writing there, and start the same command again, which goes on from there."
            ) from error


@functools.cache
def _spare_late_answers() -> None:
    """Print no traceback where tensorstore's threads answer to an event loop that orbax has closed after an error."""
    before = sys.unraisablehook

    def hook(said: Any) -> None:
        if not (isinstance(said.exc_value, RuntimeError) and str(said.exc_value) == "Event loop is closed"):
            before(said)

    sys.unraisablehook = hook


def to_host(tree: Any) -> Any:
    """Return NumPy copies of arrays that are the same on all devices; PRNG keys become their data."""

    def of(leaf: Any) -> np.ndarray:
        if is_key(leaf):
            leaf = jax.random.key_data(leaf)
        # A copy: what is written later must not change with the array's buffer.
        return np.array(leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf)

    return jax.tree.map(of, tree)


def _plain(leaf: Any) -> Any:
    """Return the array, or shape and dtype, that stands for it in a checkpoint."""
    return jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf


def _describe(leaf: Any) -> str:
    """Return an array, or orbax's metadata of one, as dtype[shape]."""
    return f"{np.dtype(leaf.dtype).name}[{', '.join(map(str, leaf.shape))}]"


def checksum(tree: Any, describe: Callable[[Any], str] = _describe) -> str:
    """Return a digest of arrays on the host: of their names, what describes them, and their values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        digest.update(f"{jax.tree_util.keystr(path)} {describe(leaf)}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """Shorten an error's text: tensorstore's begin with everything that was being done."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = (text.strip().splitlines() or [repr(error)])[0]
    return line if len(line) <= _SHORT else line.rsplit(": ", 1)[-1]
