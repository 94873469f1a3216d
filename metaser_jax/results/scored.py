"""Adaptations with their predictions: a folder's results.jsonl and predictions.npz together, or what is in memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaser_jax import cli
from metaser_jax.data.corpus import Corpus
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import PREDICTIONS, Outcome, read_predictions
from metaser_jax.results.rows import complete, read_results
from metaser_jax.results.run_dir import RESULTS
from metaser_jax.scores.bootstrap import confusions


class Utterances(NamedTuple):
    """Of a target, its emotions selected: path, speaker [n] str, label [n] int."""

    path: np.ndarray
    speaker: np.ndarray
    label: np.ndarray


class Scored(NamedTuple):
    """One adaptation: its row, and what was predicted.

    Attributes:
      row: completed (rows.complete).
      test: [n_test] int, indices into `of`. predicted: [n_test] int.
      of: the target's utterances.
    """

    row: dict[str, Any]
    test: np.ndarray
    predicted: np.ndarray
    of: Utterances


def read_scored(folder: str | Path) -> list[Scored]:
    """Return results.jsonl and predictions.npz of a folder, row by row.

    Raises:
      InputError: one of them is not there or cannot be read, or they are not of the same run.
    """
    folder = Path(folder)
    rows = read_results(folder / RESULTS)
    path = folder / PREDICTIONS
    try:
        saved = read_predictions(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}), expected what {cli.program('finetune')} writes."
        ) from error
    of = Utterances(saved.path, saved.speaker, saved.label)
    parts = [np.flatnonzero(saved.row == number) for number in range(len(rows))]
    runs = [Scored(row, saved.utterance[at], saved.predicted[at], of) for row, at in zip(rows, parts, strict=True)]
    for number, run in enumerate(runs, 1):
        _check_fits(run, f"{folder}, line {number}")
    return runs


def scored(outcomes: Iterable[Outcome], corpus: Corpus) -> list[Scored]:
    """Return the same from memory; corpus: the target, its emotions selected (of any of its folds)."""
    of = Utterances(corpus.file, corpus.speaker, corpus.label)
    runs = [Scored(complete(o.row, f"outcome {i}"), o.test, o.predicted, of) for i, o in enumerate(outcomes, 1)]
    for number, run in enumerate(runs, 1):
        _check_fits(run, f"outcome {number}")
    return runs


def _check_fits(run: Scored, where: str) -> None:
    classes = len(run.row["emotions"])
    ok = len(run.test) == len(run.predicted) > 0 and run.test.max() < len(run.of.label)
    if ok and run.predicted.max() < classes:
        found = confusions(run.of.label[run.test], run.predicted, np.zeros(len(run.test), int), classes, 1)[0]
        ok = np.array_equal(found, run.row["confusion"])
    if not ok:
        raise InputError(
            f"{where}: got predictions that do not give the confusion matrix of the row, expected {PREDICTIONS} and "
            f"{RESULTS} of one run. Run it again in another folder."
        )
