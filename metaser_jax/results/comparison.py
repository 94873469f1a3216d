"""Methods compared on a target: scores with intervals over draws and over speakers, and paired differences.

    runs = [*read_scored("runs/metaser"), *read_scored("runs/svm")]
    results(runs)                                    # scores of each setting
    compare(runs, reference=series(runs[0].row))     # metaser minus each other method, on the same draws

With folds, a draw's score is the mean over its folds, as everywhere in this package. The bootstrap over speakers pools
its predictions over the folds into one confusion, since each speaker is tested once; the macro F1 of that is not quite
the mean of the folds' (F1 is no mean over utterances), so Bootstrap.value and Seeds.mean differ a little there.
"""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.draws import Setting, order
from metaser_jax.results.pairing import by_setting, check_same_draws, draws_of, per_draw, pooled
from metaser_jax.results.scored import Scored
from metaser_jax.results.series import Series
from metaser_jax.scores.bootstrap import RESAMPLES, SCORES, Bootstrap, intervals_of
from metaser_jax.scores.significance import SCORE, Paired, Seeds, holm, paired_test, seed_interval


class Measured(NamedTuple):
    """A score of a setting: over its draws, and over speakers."""

    draws: Seeds
    speakers: Bootstrap


class Result(NamedTuple):
    """A setting's scores.

    Attributes:
      scores: by name, see bootstrap.SCORES.
      speaker_oracle_macro_f1: mean over draws (and folds); None if a row lacks it.
      seeds: ascending. digests: of its splits, one for each fold.
      n_train, n_valid: utterances, mean over draws and folds; None if a row lacks it.
      n_test: utterances of a draw's test part, of all its folds together.
    """

    setting: Setting
    scores: dict[str, Measured]
    speaker_oracle_macro_f1: float | None
    seeds: tuple[int, ...]
    digests: tuple[str, ...]
    n_train: float | None
    n_valid: float | None
    n_test: int


class Comparison(NamedTuple):
    """reference minus other, on the same draws and the same test utterances.

    Attributes:
      draws: paired over draws.
      speakers: bootstrap of the difference.
      p_holm: draws.p_t, corrected for all comparisons of the call.
    """

    reference: Setting
    other: Setting
    score: str
    draws: Paired
    speakers: Bootstrap
    p_holm: float | None


def results(
    runs: Iterable[Scored], *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> list[Result]:
    """Return every setting's scores with both intervals, sorted by target, split, amount and method.

    Args:
      seed: of the resamples.

    Raises:
      InputError: a draw that is there twice with different predictions, or lacks a fold.
    """
    found = []
    for key, group in by_setting(runs).items():
        draws = draws_of(group)
        rows = [run.row for fold_runs in draws.values() for run in fold_runs]
        units, tensors = pooled(list(draws.values()))
        by_speakers = intervals_of(tensors, units, resamples=resamples, confidence=confidence, seed=seed)
        scores = {
            score: Measured(seed_interval(per_draw(draws, score), confidence, SCORE), by_speakers[score])
            for score in SCORES
        }
        first = next(iter(draws.values()))
        found.append(
            Result(
                key,
                scores,
                _mean(rows, "speaker_oracle_macro_f1"),
                tuple(sorted({row["seed"] for row in rows})),
                tuple(dict.fromkeys(str(row["split_digest"]) for row in rows)),
                _mean(rows, "n_train"),
                _mean(rows, "n_valid"),
                sum(len(run.test) for run in first),
            )
        )
    return sorted(found, key=lambda result: order(result.setting))


def compare(
    runs: Iterable[Scored],
    reference: Series,
    others: Collection[Series] | None = None,
    *,
    score: str = "macro_f1",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Return the reference against every other method, at each target, split and amount that both have.

    Args:
      reference, others: as `series(row)` tells methods apart; others None takes all that are in runs.
      score: one of bootstrap.SCORES.
      seed: of the resamples.

    Raises:
      InputError: no run of the reference; draws or test parts that are not the same for both: it names what is not.
    """
    settings = {key: draws_of(group) for key, group in by_setting(runs).items()}
    if not any(key.series == reference for key in settings):
        names = ", ".join(dict.fromkeys(str(tuple(key.series)) for key in settings)) or "none"
        raise InputError(f"compare: got no run of {tuple(reference)}, expected one of these in the results: {names}.")
    found = []
    for key in sorted(settings, key=order):
        where = dataclasses.replace(key, series=reference)
        if key.series == reference or where not in settings or (others is not None and key.series not in others):
            continue
        a, b = settings[where], settings[key]
        check_same_draws(where, a, key, b)
        pair = paired_test(per_draw(a, score), per_draw(b, score), confidence)
        units, tensors = pooled(list(a.values()), [b[draw] for draw in a])
        speakers = intervals_of(tensors, units, (score,), resamples=resamples, confidence=confidence, seed=seed)
        found.append(Comparison(where, key, score, pair, speakers[score], None))
    corrected = holm([comparison.draws.p_t for comparison in found])
    return [comparison._replace(p_holm=p) for comparison, p in zip(found, corrected, strict=True)]


def _mean(rows: Sequence[dict], field: str) -> float | None:
    values = [row[field] for row in rows]
    return None if None in values else float(np.mean(values))
