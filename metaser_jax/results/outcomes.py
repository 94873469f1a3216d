"""An adaptation's outcome: its row of results.jsonl, and the predicted class of each test utterance.

runs = read_scored("runs/metaser")      # of a folder: results.jsonl and predictions.npz, row by row
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from metaser_jax import cli
from metaser_jax.data.corpus import Corpus
from metaser_jax.data.splits import Split
from metaser_jax.data.target import Target
from metaser_jax.errors import InputError
from metaser_jax.results.bootstrap import confusions
from metaser_jax.results.metrics import scores, speaker_oracle
from metaser_jax.results.rows import read_results
from metaser_jax.results.run_dir import RESULTS, device, replacing
from metaser_jax.specs import FinetuneSpec

PREDICTIONS = "predictions.npz"
_NONE = np.zeros(0, int)


class Amount(NamedTuple):
    """Amount of the target's training part that is drawn: ("shots", per emotion) or ("fraction", of the part)."""

    kind: str
    value: float


class Outcome(NamedTuple):
    """Outcome of one adaptation.

    Attributes:
      row: for results.jsonl.
      test: [n_test] int, the scored utterances: indices into the corpus (its emotions selected).
      predicted: [n_test] int, their predicted classes.
    """

    row: dict[str, Any]
    test: np.ndarray
    predicted: np.ndarray


def outcome(
    spec: FinetuneSpec,
    target: Target,
    source: dict[str, Any],
    amount: Amount,
    seed: int,
    drawn: tuple[np.ndarray, np.ndarray],
    predicted: np.ndarray,
    **more: Any,
) -> Outcome:
    """Score what was predicted of the whole test part.

    Args:
      spec: of the adaptation.
      target: what it adapted to; its split is drawn by seed.
      source: what is known of where it started: method, order, sources, inner_steps ...
      drawn: the utterances that it was trained on and validated on.
      predicted: [n_test] int, classes, in the order of target.split.test.
      more: further fields of the row: best_epoch, epochs, seconds ...; device, where it is not jax's.
    """
    corpus, split, classes = target.corpus, cast(Split, target.split), len(spec.emotions)
    test, train = split.test, split.train
    oracle = speaker_oracle(corpus.label[train], corpus.speaker[train], corpus.speaker[test], classes)
    fold = dict(zip(("fold", "folds"), split.fold, strict=True)) | {"valid_by": split.valid_by} if split.fold else {}
    row = source | {
        "target": target.corpus.name,
        "language": corpus.language,
        "split": split.kind,
        "split_seed": split.seed,
        "split_digest": split.digest,
        **fold,
        "shots": amount.value if amount.kind == "shots" else None,
        "fraction": amount.value if amount.kind == "fraction" else None,
        "adapt": spec.adapt,
        "validation": spec.validation,
        "normalise": f"{spec.normalise} of the draw" if spec.normalise_by == "drawn" else spec.normalise,
        "emotions": list(spec.emotions),
        "n_train": len(drawn[0]),
        "n_valid": len(drawn[1]),
        "n_test": len(test),
        "speaker_oracle_macro_f1": scores(corpus.label[test], oracle, classes)["macro_f1"],
        "device": device(),
        **more,
        "seed": seed,
        **scores(corpus.label[test], predicted, classes),
    }
    return Outcome(row, test, np.asarray(predicted))


def write_predictions(path: Path, corpus: Corpus, outcomes: Sequence[Outcome]) -> None:
    """Write predictions.npz: the outcomes in the order of the rows, all of the same corpus.

    Of its arrays path, speaker and label [n] are of the target's utterances, its emotions selected; row, utterance and
    predicted [m] say that in line `row` of results.jsonl (from 0) `utterance` was taken for `predicted`.
    """
    with replacing(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(
            out,
            path=corpus.file,
            speaker=corpus.speaker,
            label=corpus.label.astype(np.int8),
            row=np.repeat(np.arange(len(outcomes)), [len(o.test) for o in outcomes]).astype(np.int32),
            utterance=np.concatenate([o.test for o in outcomes]).astype(np.int32),
            predicted=np.concatenate([o.predicted for o in outcomes]).astype(np.int8),
        )


class Scored(NamedTuple):
    """Outcome as it was read: a row, and its predictions, empty where they are not known.

    Attributes:
      row: completed (rows.complete).
      file, speaker, label, predicted: [n_test] str, str, int, int, of the test part.
    """

    row: dict[str, Any]
    file: np.ndarray = _NONE
    speaker: np.ndarray = _NONE
    label: np.ndarray = _NONE
    predicted: np.ndarray = _NONE


def read_scored(folder: str | Path) -> list[Scored]:
    """Return results.jsonl and predictions.npz of a folder, row by row.

    Raises:
      InputError: one of them is not there or cannot be read, or they are not of the same run.
    """
    rows = read_results(Path(folder) / RESULTS)
    path = Path(folder) / PREDICTIONS
    try:
        with np.load(path, allow_pickle=False) as saved:
            utterances = [saved[name] for name in ("path", "speaker", "label")]
            line, at, predicted = (saved[name] for name in ("row", "utterance", "predicted"))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}), expected what {cli.program('finetune')} writes."
        ) from error
    found = []
    for number, row in enumerate(rows):
        own, classes = line == number, len(row["emotions"])
        try:
            run = Scored(row, *(of[at[own]] for of in utterances), predicted[own])
            counts = confusions(run.label, run.predicted, np.zeros(len(run.label), int), classes, 1)[0]
        except IndexError:  # another corpus, or other emotions
            counts = None
        if not np.array_equal(counts, row["confusion"]):
            raise InputError(
                f"{folder}, line {number + 1}: got predictions that do not give the confusion matrix of the row, "
                f"expected {PREDICTIONS} and {RESULTS} of one run. Run it again in another folder."
            )
        found.append(run)
    return found
