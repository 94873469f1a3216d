"""The numbers of a study: a line for each setting, and one for each comparison of a method with MetaSER.

A setting is a method at a target, a split and an amount of data. Lines are flat and JSON-able: tables, CSV, JSON and
report are made of them, so they agree. Scores are from 0 to 1, intervals [low, high], None what one draw cannot say.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from metaser_jax.results.comparison import Comparison, compare, results
from metaser_jax.results.draws import Setting, taken
from metaser_jax.results.pairing import by_setting
from metaser_jax.results.scored import Scored
from metaser_jax.results.series import Series, series
from metaser_jax.scores.bootstrap import Bootstrap
from metaser_jax.scores.significance import Seeds
from metaser_jax.specs.studies import StudySpec
from metaser_jax.studies.methods import METASER

Line = dict[str, Any]
INTERVALS = ("draws", "test", "difference_draws", "difference_test", "of_second_order_range")


def lines_of(runs: Sequence[Scored], spec: StudySpec) -> list[Line]:
    """Return a line for each setting, sorted by target, split, amount and method."""
    rows = {key: [run.row for run in group] for key, group in by_setting(runs).items()}
    found = []
    for result in results(runs, confidence=spec.confidence, resamples=spec.resamples):
        of_setting, macro = rows[result.setting], result.scores["macro_f1"]
        line = _setting(result.setting) | {name: of_setting[0].get(name) for name in ("method", "validation")}
        line |= {"macro_f1": macro.draws.mean, "macro_f1_deviation": macro.draws.deviation}
        line |= {"draws": _ends(macro.draws), "test": _ends(macro.speakers)}
        line |= {"resampled": macro.speakers.by, "resampled_units": macro.speakers.units}
        for score, measured in result.scores.items():
            if score != "macro_f1":
                line |= {score: measured.draws.mean, f"{score}_deviation": measured.draws.deviation}
        line["speaker_oracle_macro_f1"] = result.speaker_oracle_macro_f1
        line |= {"n_train": result.n_train, "n_valid": result.n_valid, "n_test": result.n_test}
        line |= {"seeds": list(result.seeds), "split_digests": list(result.digests)}
        line["init_seeds"] = sorted({row["init_seed"] for row in of_setting if row.get("init_seed") is not None})
        line |= taken(of_setting)._asdict()
        line |= {"confidence": spec.confidence, "emotions": of_setting[0]["emotions"]}
        line["confusion"] = np.sum([row["confusion"] for row in of_setting], axis=0).tolist()
        found.append(line)
    return found


def is_metaser(key: Series) -> bool:
    """Return whether a method is the study's meta-learner, whatever its algorithm."""
    return key.method == METASER or key.algorithm is not None


def comparisons_of(
    runs: Sequence[Scored], spec: StudySpec, is_reference: Callable[[Series], bool] = is_metaser
) -> list[Line]:
    """Compare each reference (MetaSER, of each source set and with each part adapted) with every other method.

    Others are those from the same sources, and those that have learned from none. The p of Holm is corrected for all
    comparisons of one reference at one target and split.
    """
    places: dict[tuple, list[Scored]] = defaultdict(list)
    for key, group in by_setting(runs).items():
        places[key.target, key.split].extend(group)
    found = []
    on_disk = {series(run.row): run.row["method"] for run in runs}
    for at_place in places.values():
        methods = list(dict.fromkeys(key.series for key in by_setting(at_place)))
        for one in filter(is_reference, methods):
            others = [key for key in methods if not is_reference(key) and key.sources in ((), one.sources)]
            if others:
                options = {"confidence": spec.confidence, "resamples": spec.resamples}
                found += [
                    _comparison(c, on_disk) | {"confidence": spec.confidence}
                    for c in compare(at_place, one, others, **options)
                ]
    return found


def _comparison(comparison: Comparison, on_disk: Mapping[Series, str]) -> Line:
    """Return a Comparison as a line.

    The fields of the other method are called other_*; on_disk: what rows call a method.
    """
    one, other = comparison.reference.series, comparison.other.series
    over = comparison.draws.difference
    line = _setting(comparison.reference) | {f"other_{name}": value for name, value in _series(other).items()}
    return line | {
        "method": on_disk[one],
        "other_method": on_disk[other],
        "difference": over.mean,
        "difference_deviation": over.deviation,
        "difference_draws": _ends(over),
        "difference_test": _ends(comparison.speakers),
        "resampled": comparison.speakers.by,
        "resampled_units": comparison.speakers.units,
        "n": over.n,
        "p_t": comparison.draws.p_t,
        "p_wilcoxon": comparison.draws.p_wilcoxon,
        "p_holm": comparison.p_holm,
    }


def series_of(line: Mapping[str, Any], prefix: str = "") -> Series:
    """Return the method of a line; with prefix "other_" the other of a comparison."""
    own = {name: line[f"{prefix}{name}"] for name in ("method", "algorithm", "order", "adapt", "sources")}
    return series(own | {"normalise": line["normalise"]})


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line for a CSV: an interval as two columns, other lists joined, no confusion matrix."""
    cells: dict[str, Any] = {}
    for name, value in line.items():
        if name in INTERVALS:
            cells |= dict(zip((f"{name}_low", f"{name}_high"), value or (None, None), strict=True))
        elif name not in ("confusion", "emotions"):
            # As --source_sets takes them.
            joint = "+" if name.endswith("sources") else " "
            cells[name] = joint.join(map(str, value)) if isinstance(value, list) else value
    return cells


def _setting(setting: Setting) -> Line:
    place = {name: getattr(setting, name) for name in ("target", "split", "folds", "shots", "fraction")}
    return place | _series(setting.series) | {"normalise": setting.series.normalise}


def _series(series: Series) -> Line:
    known = {"method": series.method, "algorithm": series.algorithm, "order": series.order, "adapt": series.adapt}
    return known | {"sources": list(series.sources)}


def _ends(found: Seeds | Bootstrap) -> list[float] | None:
    return None if found.interval is None else [found.interval.low, found.interval.high]
