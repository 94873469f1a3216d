"""A matrix of cells that is computed once: completed cells are cached, and an interrupted study resumes.

OUT/cells/KEY/ holds a finished cell: results.jsonl and predictions.npz as metaser finetune writes them, and cell.json
(what it is of, and the seconds that it took). It is written beside and renamed, so it is there as a whole or not
at all.
"""

import contextlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from metaser_jax.data.corpus import Corpus
from metaser_jax.errors import InputError
from metaser_jax.messages import log, progress_bar
from metaser_jax.results.outcomes import PREDICTIONS, Outcome, Scored, read_scored, write_predictions
from metaser_jax.results.run_dir import RESULTS, to_lines, write_text
from metaser_jax.training import parallel

CELLS = "cells"
CELL = "cell.json"
_BAR = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {elapsed}<{remaining}{postfix}"


class Run(NamedTuple):
    """A pre-training run that cells start from; one that is finished returns at once.

    Attributes:
      key: its name, unique in the study.
      train: does it, or goes on with it.
      identity: its settings, JSON-able.
      spec: what it is.
    """

    key: str
    train: Callable[[], Any]
    identity: dict[str, Any]
    spec: Any = None


class Cell(NamedTuple):
    """A part of a study.

    Attributes:
      key: its name and its folder's, unique in the study: letters, digits and "._+=-".
      method: name of its method, for the sums of times.
      identity: settings and digests, JSON-able. A finished cell of another identity is an error.
      compute: does it: the target with its emotions selected, and the outcomes.
      needs: the runs that it starts from.
    """

    key: str
    method: str
    identity: dict[str, Any]
    compute: Callable[[], tuple[Corpus, Sequence[Outcome]]]
    needs: tuple[Run, ...] = ()


class Finished(NamedTuple):
    """A finished cell: its adaptations, and the seconds that they took."""

    key: str
    runs: list[Scored]
    seconds: float


def safe(text: str) -> str:
    """Return text as a part of a file's name: "folder/saraiki" -> "folder.saraiki"."""
    return re.sub(r"[^A-Za-z0-9._+=-]", ".", text)


def run_cells(out: Path, cells: Sequence[Cell]) -> list[Finished]:
    """Compute the cells that are not finished yet, one after another, each after the runs that it needs.

    Args:
      out: folder of the study, claimed by it.
      cells: the matrix, in the order in which it is computed.

    Returns:
      All cells, finished, in the order of `cells`.

    Raises:
      InputError: a finished cell is of other settings or recordings, or damaged; what runs and cells raise.
    """
    names = [cell.key for cell in cells]
    if len(set(names)) < len(names) or any(safe(name) != name for name in names):
        raise ValueError(f"cells: got the keys {names}, expected each once, fit for the name of a file.")
    folder = out / CELLS
    missing = [cell for cell in cells if not _is_finished(folder, cell)]
    runs = {run.key: run for cell in missing for run in cell.needs}
    done = len(cells) - len(missing)
    if done:
        log(f"{done} of {len(cells)} cells in {folder} are finished already.")
    # Before jax's first use: a study whose runs are finished adapts on all cores, too.
    parallel.one_device_per_core()
    total = len(runs) + len(missing)
    with _shared_programs(), progress_bar(total=total, desc="study", bar_format=_BAR, shown=bool(total)) as bar:
        for cell in missing:
            try:
                for run in [runs.pop(run.key) for run in cell.needs if run.key in runs]:
                    bar.set_postfix_str(f"now {run.key}")
                    run.train()
                    bar.update()
                bar.set_postfix_str(f"now {cell.key}")
                start = time.perf_counter()
                corpus, outcomes = cell.compute()
                _write(folder, cell, corpus, outcomes, time.perf_counter() - start)
                bar.update()
            except KeyboardInterrupt:
                log(f"{done} of {len(cells)} cells are finished and kept; the same command goes on with {cell.key}.")
                raise
            done += 1
    return [_read(folder, cell) for cell in cells]


@contextlib.contextmanager
def _shared_programs() -> Iterator[None]:
    """Compile the same programs, of runs with another seed say, once: by jax's cache on disk."""
    if jax.config.jax_compilation_cache_dir is not None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="metaser_jax_programs_") as place:
        jax.config.update("jax_compilation_cache_dir", place)
        try:
            yield
        finally:
            jax.config.update("jax_compilation_cache_dir", None)
            compilation_cache.reset_cache()


def _is_finished(folder: Path, cell: Cell) -> bool:
    path = folder / cell.key / CELL
    if not path.is_file():
        return False
    try:
        was = json.loads(path.read_text(encoding="utf-8"))["identity"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error!r}). Remove {path.parent} to compute the cell again.") from error
    if differ := list(_differences(was, json.loads(json.dumps(cell.identity)))):
        raise InputError(
            f"{path.parent} is of other settings or recordings: {', '.join(differ)}. Give another --out, or remove "
            "that folder to compute the cell again."
        )
    return True


def _differences(was: dict, now: dict, prefix: str = "") -> Iterable[str]:
    for name in sorted(was.keys() | now.keys()):
        a, b = was.get(name), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{prefix}{name}.")
        elif a != b:
            yield f"{prefix}{name} (was {a!r}, now {b!r})"


def _write(folder: Path, cell: Cell, corpus: Corpus, outcomes: Sequence[Outcome], seconds: float) -> None:
    unfinished, finished = folder / f".{cell.key}.tmp", folder / cell.key
    for old in (unfinished, finished):  # what a kill, or a hand, left of it
        shutil.rmtree(old, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write_predictions(unfinished / PREDICTIONS, corpus, outcomes)
    write_text(unfinished / RESULTS, to_lines(outcome.row for outcome in outcomes))
    text = json.dumps({"key": cell.key, "seconds": seconds, "identity": cell.identity}, indent=2)
    write_text(unfinished / CELL, text + "\n")
    unfinished.rename(finished)


def _read(folder: Path, cell: Cell) -> Finished:
    runs = read_scored(folder / cell.key)
    # Cells from before rows had their algorithm: it is in what they started from.
    algorithm = next((run.identity.get("algorithm") for run in cell.needs), None)
    if algorithm:
        runs = [run._replace(row=run.row | {"algorithm": algorithm}) for run in runs]
    return Finished(cell.key, runs, json.loads((folder / cell.key / CELL).read_text(encoding="utf-8"))["seconds"])
