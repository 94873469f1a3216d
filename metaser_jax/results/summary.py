"""The table of result rows: which of them are one setting and one draw, the summary of each setting, comparisons.

    summaries = summarise(read_results("runs/metaser/results.jsonl"))
    summaries = summarise([*read_scored("runs/metaser"), *read_scored("runs/svm")], resamples=2000)
    compare(summaries, summaries[0].series)        # metaser minus each other method, on the same draws

A draw is one seed on one split. With folds it has a row for each, and its score is their mean: every spread in tables,
pictures and reports is over draws, of which this is the only code. The bootstrap over speakers pools a draw's
predictions over the folds into one confusion, since each speaker is tested once; the macro F1 of that is not quite the
mean of the folds' (F1 is no mean over utterances), so Bootstrap.value and Seeds.mean differ a little there.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.bootstrap import RESAMPLES, Bootstrap, Units, choose_units, confusions, intervals_of
from metaser_jax.results.outcomes import Scored
from metaser_jax.results.rows import SCORES, Series, complete, method_name, series, series_order, split_name
from metaser_jax.results.significance import SCORE, Paired, Seeds, holm, paired_test, seed_interval

Draws = dict[tuple[int, int], list[Scored]]
"""(split_seed, seed) -> the runs of this draw, one for each fold, in the order of folds."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """Setting that rows of one table cell, or of one point of a curve, share.

    Attributes:
      series: method, order, adapt, sources, normalise.
      target, split: as in the rows; split None was not recorded.
      folds: number of folds, each the test part once with each seed; None is one split.
      shots, fraction: one of the two, or neither for the whole training part.
    """

    series: Series
    target: str
    split: str | None
    folds: int | None
    shots: int | None
    fraction: float | None

    @property
    def amount(self) -> tuple[str, float]:
        """("shots", per class) or ("fraction", of the training part), all of it where a row has neither."""
        if self.shots is not None:
            return "shots", self.shots
        return "fraction", 1.0 if self.fraction is None else self.fraction

    @property
    def data(self) -> str:
        """The amount in words: "5 shots", "fraction 0.5 of the training part"."""
        return amount_name(*self.amount)

    @property
    def place(self) -> tuple[str, str]:
        """Target and split, "3-fold speaker" where it has folds: results on different ones are never in one panel."""
        split = self.split or ""
        return self.target, f"{self.folds}-fold {split}" if self.folds else split

    @property
    def order(self) -> tuple:
        """A sort key: target, split, amount of data, method."""
        kind, value = self.amount
        return self.target, self.split or "", self.folds or 0, kind != "shots", value, series_order(self.series)

    def __str__(self) -> str:
        key = self.series
        source = f" from {' + '.join(key.sources)}" if key.sources else ""
        adapt = f", adapt {key.adapt}" if key.adapt else ""
        split = split_name(f"{self.split} split", self.folds)
        return f"{method_name(key)}{source}{adapt} on {self.target} ({split}, {self.data}, normalise {key.normalise})"


@dataclasses.dataclass(frozen=True)
class Summary(Setting):
    """Summary of all draws of one setting.

    Attributes:
      seeds: of the draws.
      macro_f1, uar, accuracy, weighted_f1, speaker_oracle_macro_f1: over draws, a draw's score being the mean over its
        folds; None unless every row has it.
      seconds: of an adaptation, mean over rows; start_size: numbers that it starts from, parameters and learned rates,
        or features of the sources; device: that ran it, or several. None: not recorded.
      test: score -> its interval over the test part; empty unless predictions were resampled.
      draws: the runs of each.
    """

    seeds: tuple[int, ...]
    macro_f1: Seeds
    uar: Seeds | None
    accuracy: Seeds | None
    weighted_f1: Seeds | None
    speaker_oracle_macro_f1: Seeds | None
    seconds: float | None = None
    start_size: int | None = None
    device: str | None = None
    test: Mapping[str, Bootstrap] = dataclasses.field(default_factory=dict)
    draws: Draws = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def setting(self) -> Setting:
        """The setting that the draws share."""
        return Setting(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Setting)})

    @property
    def over(self) -> str:
        """The draws in words: "5 draws", "5 draws of 3 folds"."""
        of = f" of {self.folds} folds" if self.folds else ""
        return f"one draw{of}" if self.macro_f1.n == 1 else f"{self.macro_f1.n} draws{of}"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of all draws, each once."""
        return [run.row for runs in self.draws.values() for run in runs]

    def per_draw(self, score: str) -> list[float]:
        """Return a score of each draw, the mean over its folds."""
        return _per_draw(self.draws, score)

    def mean(self, field: str) -> float | None:
        """Return the mean over rows of one of their fields; None if a row lacks it."""
        values = [row[field] for row in self.rows]
        return None if None in values else float(np.mean(values))

    @property
    def confusion(self) -> np.ndarray:
        """The confusion matrix, [class, class], summed over draws and folds."""
        return np.sum([row["confusion"] for row in self.rows], axis=0)


class Comparison(NamedTuple):
    """reference minus other, on the same draws and the same test utterances.

    Attributes:
      draws: paired over draws.
      speakers: bootstrap of the difference.
      p_holm: draws.p_t, corrected for all comparisons of the call.
    """

    reference: Summary
    other: Summary
    draws: Paired
    speakers: Bootstrap
    p_holm: float | None


def amount_name(kind: str, value: float) -> str:
    """Return the amount in words: "5 shots", "fraction 0.5 of the training part"."""
    if kind == "fraction":
        return "the whole training part" if value == 1 else f"fraction {value:g} of the training part"
    return f"{value:g} shot" if value == 1 else f"{value:g} shots"


def summarise(
    rows: Iterable[dict[str, Any] | Scored], *, resamples: int = 0, confidence: float = 0.95, seed: int = 0
) -> list[Summary]:
    """Summarise rows that differ in nothing but seed and fold, sorted by target, split, amount of data and method.

    Args:
      rows: as results.jsonl has them, or with their predictions.
      resamples: of the test part, for intervals over it, which need predictions; 0: none.
      seed: of the resamples.

    Raises:
      InputError: a row that `rows.complete` refuses; a draw that is there twice with different results, or lacks a
        fold.
    """
    groups: dict[Setting, list[Scored]] = defaultdict(list)
    for number, one in enumerate(rows, 1):
        run = one if isinstance(one, Scored) else Scored(complete(one, f"row {number}"))
        of = [run.row[name] for name in ("target", "split", "folds", "shots", "fraction")]
        groups[Setting(series(run.row), *of)].append(run)
    found = []
    for key in sorted(groups, key=lambda key: key.order):
        runs = groups[key]
        draws = _draws_of(key, runs)
        rows, scores, test = [run.row for run in runs], dict.fromkeys(SCORES), {}
        for score in SCORES:
            if all(row[score] is not None for row in rows):
                scores[score] = seed_interval(_per_draw(draws, score), confidence, SCORE)
        seconds = [row["seconds"] for row in rows]
        if resamples:
            units, tensors = _pooled(draws)
            test = intervals_of(tensors, units, resamples=resamples, confidence=confidence, seed=seed)
        found.append(
            Summary(
                **vars(key),
                seeds=tuple(seed for _, seed in draws),
                **scores,
                seconds=None if None in seconds else float(np.mean(seconds)),
                start_size=max((row["start_size"] for row in rows if row.get("start_size")), default=None),
                device=" and ".join(sorted({row["device"] for row in rows if row.get("device")})) or None,
                test=test,
                draws=draws,
            )
        )
    return found


def compare(
    summaries: Iterable[Summary],
    reference: Series,
    others: Collection[Series] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """Return the macro F1 of the reference against each other method's, at each target, split and amount of both.

    Args:
      summaries: of runs with their predictions.
      reference, others: as `series(row)` tells methods apart; others None takes all that are in summaries.

    Raises:
      InputError: draws or test parts that are not the same for both: it names what is not.
    """
    settings = {one.setting: one for one in summaries}
    found = []
    for key in sorted(settings, key=lambda key: key.order):
        a, b = settings.get(dataclasses.replace(key, series=reference)), settings[key]
        if key.series == reference or a is None or (others is not None and key.series not in others):
            continue
        check_same_draws(a, b)
        pair = paired_test(a.per_draw("macro_f1"), b.per_draw("macro_f1"), confidence)
        units, tensors = _pooled(a.draws, b.draws)
        (speakers,) = intervals_of(tensors, units, ("macro_f1",), resamples=resamples, confidence=confidence).values()
        found.append(Comparison(a, b, pair, speakers, None))
    corrected = holm([one.draws.p_t for one in found])
    return [one._replace(p_holm=p) for one, p in zip(found, corrected, strict=True)]


def check_same_draws(a: Summary, b: Summary) -> None:
    """Raise an InputError that names what differs unless both had the same seeds, splits and test utterances."""
    for (name, of_a), (_, of_b) in zip(_fingerprints(a), _fingerprints(b), strict=True):
        if of_a != of_b:
            raise InputError(
                f"{a} and {b} cannot be compared draw by draw: {name} {of_a} and {of_b}, expected the same. Run both "
                "with the same --seeds, --split_seed and corpus."
            )


def _fingerprints(one: Summary) -> Iterator[tuple[str, Any]]:
    """Yield name and value of what two methods must share, from the coarsest on."""
    for at, name in enumerate(("split seeds", "seeds")):
        yield name, sorted({draw[at] for draw in one.draws})
    yield "draws", list(one.draws)
    for (_, seed), runs in one.draws.items():
        for run in runs:
            yield f"seed {seed}, split digests", run.row["split_digest"]
            utterances = zip(run.file, run.label, strict=True)
            sha = hashlib.sha256("\0".join(f"{file}\0{label}" for file, label in utterances).encode())
            yield f"seed {seed}, test utterances (files or labels)", f"{len(run.file)} (digest {sha.hexdigest()[:16]})"


def _draws_of(key: Setting, runs: Iterable[Scored]) -> Draws:
    """Return the draws of one setting, sorted; a run that is there twice with the same result counts once."""
    kept: dict[tuple[int, int, int | None], Scored] = {}
    for run in runs:
        row = run.row
        other = kept.setdefault((row.get("split_seed") or 0, row["seed"], row["fold"]), run).row
        if any(row[name] != other[name] for name in ("split_digest", "macro_f1", "confusion")):
            raise InputError(
                f"{key}: seed {row['seed']} is there twice, with different results: macro F1 "
                f"{other['macro_f1']:.4f} and {row['macro_f1']:.4f}. Report two runs apart, or leave one out."
            )
    draws: Draws = defaultdict(list)
    for (split_seed, seed, _), run in sorted(kept.items(), key=lambda item: tuple(v or 0 for v in item[0])):
        draws[split_seed, seed].append(run)
    for (_, seed), of_draw in draws.items():
        if key.folds and len(of_draw) != key.folds:
            missing = sorted(set(range(key.folds)) - {run.row["fold"] for run in of_draw})
            raise InputError(
                f"{key}: seed {seed} lacks fold {', '.join(map(str, missing))}, expected all. Run it again, or leave "
                "that seed out."
            )
    return dict(draws)


def _per_draw(draws: Draws, score: str) -> list[float]:
    """Return a score of each draw, the mean over its folds."""
    return [float(np.mean([run.row[score] for run in runs])) for runs in draws.values()]


def _pooled(*methods: Draws) -> tuple[Units, list[np.ndarray]]:
    """Return confusions of each draw by what the bootstrap resamples, its folds summed.

    Returns:
      units, the same for all methods; of each method [draw, unit, class, class].
    """
    runs = [run for draws in methods for of_draw in draws.values() for run in of_draw]
    classes = len(runs[0].row["emotions"])
    # Runs of several folders have tables of utterances of their own: told apart by their files.
    label_speaker = {}
    for run in runs:
        label_speaker |= dict(zip(run.file, zip(run.label, run.speaker, strict=True), strict=True))
    number = {file: i for i, file in enumerate(label_speaker)}
    units = choose_units(*zip(*label_speaker.values(), strict=True))

    def counts(run: Scored) -> np.ndarray:
        unit = units.of[[number[file] for file in run.file]]
        return confusions(run.label, run.predicted, unit, classes, units.number)

    return units, [np.stack([sum(map(counts, of_draw)) for of_draw in draws.values()]) for draws in methods]
