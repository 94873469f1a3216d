"""The paper's Figure 2: macro F1 against the amount of target data, and where MetaSER crosses the others.

Chopra et al., ICASSP 2021, Figure 2. NOTE: fractions as the paper's, and shots beside them; each network with its dense
layers adapted (as the paper's baselines) and with all.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.report.adaptation import Band, adaptation_figure
from metaser_jax.report.content import Picture, Section, narrowed, table_of
from metaser_jax.report.page import picture
from metaser_jax.results.series import Series, method_name, series_label
from metaser_jax.results.summary import Summary
from metaser_jax.scores.significance import Crossover, crossovers
from metaser_jax.specs.studies import Figure2Config, Figure2Spec
from metaser_jax.studies import sections, tables
from metaser_jax.studies.driver import is_metaser, lines_of, write
from metaser_jax.studies.places import require_prepared
from metaser_jax.studies.study import METASER, Study, open_study
from metaser_jax.studies.table2 import WHO_ADAPTS, compare_methods, shared_sections

NAME = "figure2"
TITLE = "Figure 2: macro F1 against the amount of target data"
INTRO = """\
Each method learned from {sources}, adapted to more and more clips of a target language, and was scored on the \
target's whole test part, the same everywhere; draw by draw, all methods had the same clips. Beside those that learned \
from sources stand the network from scratch, and a support vector machine on utterance statistics of the same MFCC, \
with the target's clips alone and with the sources' recordings joined to them.{metaser}

"""
KINDS = {"fraction": ("fractions", "the fraction of the training part"), "shots": ("shots", "clips per emotion")}


def run_figure2(config: Figure2Config, command: str, *, corpora: Corpora = ON_DISK) -> Path:
    """Compute what is missing and write figure2_{fractions,shots}.{png,svg,pdf}, figure2.{json,csv} and the report.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    require_prepared(study, spec.sources)
    found, _ = compare_methods(study, [spec.sources])
    crossings = crossings_of(found.summaries)
    points: dict[str, list[Summary]] = defaultdict(list)
    for one in found.summaries:
        points[f"{tables.place_name(one)}, along {one.amount[0]}"].append(one)
    shown = (*_pictures(study, found.summaries), *(tables.by_amount(of, name) for name, of in points.items()))
    main = (Section("Macro F1 against the amount of target data", shown), *_crossover_section(crossings))
    lines, comparisons = lines_of(study, found)
    numbers = {"lines": lines, "comparisons": comparisons, "seconds": found.seconds}
    numbers["crossovers"] = [one.line() for one in crossings]
    intro = INTRO.format(sources=" and ".join(spec.sources), metaser=sections.metaser_is(found.trained)) + WHO_ADAPTS
    title = f"{TITLE}: {' and '.join(spec.targets)}, learned from {' + '.join(spec.sources)}"
    return write(study, NAME, title, intro, (*main, *shared_sections(study, found)), numbers, lines)


class Crossing(NamedTuple):
    """Two curves at one target and split.

    Attributes:
      one, other: a point of MetaSER's curve, and of the other method's.
      along: "fraction" or "shots".
      met: where they meet ("a" is MetaSER); empty where one is above the other all along.
      above: then which is, "metaser" or "other".
    """

    one: Summary
    other: Summary
    along: str
    met: list[Crossover]
    above: str | None

    def line(self) -> dict[str, Any]:
        """Return it JSON-able."""
        one, other = self.one.series, self.other.series
        return (
            {"target": self.one.target, "split": self.one.split, "folds": self.one.folds, "along": self.along}
            | {"method": METASER, "algorithm": one.algorithm, "order": one.order, "adapt": one.adapt}
            | {"sources": list(one.sources), "normalise": one.normalise}
            | {f"other_{name}": value for name, value in other._asdict().items() if name != "normalise"}
            | {"other_sources": list(other.sources)}
            | {"crossovers": [met._asdict() for met in self.met], "above": self.above}
        )

    def text(self) -> str:
        """Return where the curves meet in words."""
        name = method_name(self.one.series)
        if not self.met:
            return f"{name if self.above == METASER else 'the other'} is above all along"
        ahead = {"a": f"{name} is above after it", "b": "the other is above after it", None: "they touch"}
        parts = []
        for met in self.met:
            where = f"at {met.x:.3g}" if met.x == met.until else f"from {met.x:.3g} to {met.until:.3g}"
            parts.append(f"{where} (macro F1 {met.y:.3f}): {ahead[met.ahead]}")
        return "; ".join(parts)


def crossings_of(summaries: Sequence[Summary]) -> list[Crossing]:
    """Return where MetaSER's mean meets each other method's, at each target, split and kind of amount."""
    curves: dict[tuple, dict[Series, dict[float, Summary]]] = defaultdict(lambda: defaultdict(dict))
    for one in summaries:
        kind, value = one.amount
        curves[*one.place, kind][one.series][value] = one
    found = []
    for (*_, along), methods in curves.items():
        for key in filter(is_metaser, methods):
            for other in [key for key in methods if not is_metaser(key)]:
                x = sorted(methods[key].keys() & methods[other].keys())
                if len(x) < 2:
                    continue
                ours, theirs = ([methods[of][value].macro_f1.mean for value in x] for of in (key, other))
                met = crossovers(x, ours, theirs)
                above = (METASER if sum(ours) > sum(theirs) else "other") if not met else None
                found.append(Crossing(methods[key][x[0]], methods[other][x[0]], along, met, above))
    return found


def _crossover_section(crossings: Sequence[Crossing]) -> tuple[Section, ...]:
    if not crossings:  # without MetaSER, or of single amounts
        return ()
    text = (
        "Where the mean of MetaSER meets another method's, on straight lines between the measured amounts. A meeting "
        "point of curves whose intervals overlap may be elsewhere with other draws."
    )
    columns = {
        "target": lambda at: at.one.target,
        "split": lambda at: tables.place_name(at.one).removeprefix(f"{at.one.target}, "),
        "method": lambda at: series_label(at.one.series),
        "against": lambda at: tables.other_label(at.other.series),
        "along": lambda at: at.along,
        "what": Crossing.text,
    }
    table = table_of(columns, crossings)._replace(folded=len(crossings) > tables.FOLDED)
    return (Section("Crossover points", (text, narrowed(table, "Where curves meet"))),)


def _pictures(study: Study[Figure2Spec], summaries: Sequence[Summary]) -> list[Picture]:
    """Return the curves along each kind of amount that was possible."""
    # What the summaries have their intervals of.
    name = f"{study.spec.confidence:.0%} interval for the mean over draws"
    band = Band(name, lambda one: one.macro_f1.interval and one.macro_f1.interval[:2], dots=False)
    found = []
    for kind, (name, against) in KINDS.items():
        shown = [one for one in summaries if one.amount[0] == kind]
        if shown:
            caption = f"Macro F1 on the test part against {against}."
            figure = adaptation_figure(shown, band)
            found.append(picture(study.out, f"{NAME}_{name}.png", caption, figure, svg=True))
    return found
