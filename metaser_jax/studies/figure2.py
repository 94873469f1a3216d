"""The paper's Figure 2: macro F1 against the amount of target data, and where MetaSER crosses the others.

Chopra et al., ICASSP 2021, Figure 2. NOTE: fractions as the paper's, and shots beside them; each network with its dense
layers adapted (as the paper's baselines) and with all.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.report import style
from metaser_jax.report.adaptation import Band, adaptation_figure
from metaser_jax.report.content import Content, Picture, Section, Table, narrowed, run_section
from metaser_jax.report.page import picture, write_page
from metaser_jax.results.draws import draw_scores
from metaser_jax.results.rows import Row
from metaser_jax.results.series import Series, amount, method_name, series_label
from metaser_jax.scores.significance import SCORE, crossovers, seed_interval
from metaser_jax.specs.studies import Figure2Config, Figure2Spec
from metaser_jax.studies import tables, writing
from metaser_jax.studies.comparison import compare_methods, to_json
from metaser_jax.studies.entry import study_of
from metaser_jax.studies.method_descriptions import metaser_is
from metaser_jax.studies.methods import METASER
from metaser_jax.studies.numbers import Line, is_metaser, series_of
from metaser_jax.studies.plan import require_prepared

NAME = "figure2"
TITLE = "Figure 2: macro F1 against the amount of target data"
INTRO = """\
Each method learned from {sources}, adapted to more and more clips of a target language, and was scored on the \
target's whole test part, the same everywhere; draw by draw, all methods had the same clips. Beside those that learned \
from sources stand the network from scratch, and a support vector machine on utterance statistics of the same MFCC, \
with the target's clips alone and with the sources' recordings joined to them.{metaser}

"Head only" adapts the dense layers, as the paper lets TransSER and MultiSER; "all layers" is what it lets MetaSER \
adapt. One method's head against another's whole network says who may adapt more, and not which learned better."""
KINDS = ("fraction", "shots")
_CROSSED = "Where curves meet"
# A longer table is shown on demand.
_FOLDED = 30


def run_figure2(
    config: Figure2Config, command: str, log: Callable[[str], None] = print, *, corpora: Corpora = ON_DISK
) -> Path:
    """Compute what is missing and write figure2_{fractions,shots}.{png,svg,pdf}, figure2.{json,csv} and the report.

    Args:
      command: what the user ran, for the report.
      log: prints a line.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    study, identity = study_of(config, Figure2Spec, corpora), dataclasses.asdict(config)
    require_prepared(study, config.sources)
    out = study.out
    compared = compare_methods(study, identity, [config.sources], log)
    crossings = crossings_of(compared.lines)
    writing.write_json(out / f"{NAME}.json", to_json(identity, command, compared) | {"crossovers": crossings})
    writing.write_csv(out / f"{NAME}.csv", compared.lines)
    pictures = [one for kind in KINDS if (one := _picture(config.confidence, out, compared.rows, kind))]
    sections = (
        Section("Macro F1 against the amount of target data", (*pictures, *_points(compared.lines))),
        *_crossover_section(crossings),
        *writing.comparison_section(compared.comparisons),
        *writing.closing_sections(study, config.methods, compared.trained, *compared[:4]),
        writing.times_section(compared.seconds),
        run_section(command),
    )
    intro = INTRO.format(sources=" and ".join(config.sources), metaser=metaser_is(compared.trained))
    title = f"{TITLE}: {' and '.join(config.targets)}, learned from {' + '.join(config.sources)}"
    return write_page(out, Content(title, intro, sections))


def crossings_of(lines: Sequence[Line]) -> list[Line]:
    """Return where MetaSER's mean meets each other method's, at each target and split, along fractions and along shots.

    Returns:
      A line for each pair of curves: where they are, whose they are, and `crossovers`, as statistics.crossovers has
      them ("a" is MetaSER), empty where one is above the other all along, `above`: then which is, "metaser" | "other".
    """
    curves: dict[tuple, dict[Series, dict[float, float]]] = {}
    for line in lines:
        kind, value = amount(line)
        at = curves.setdefault((line["target"], line["split"], line["folds"], kind), {})
        at.setdefault(series_of(line), {})[value] = line["macro_f1"]
    found = []
    for (target, split, folds, kind), methods in curves.items():
        for one in filter(is_metaser, methods):
            for other in [key for key in methods if not is_metaser(key)]:
                x = sorted(methods[one].keys() & methods[other].keys())
                if len(x) < 2:
                    continue
                ours, theirs = ([methods[key][value] for value in x] for key in (one, other))
                met = crossovers(x, ours, theirs)
                above = ("metaser" if sum(ours) > sum(theirs) else "other") if not met else None
                found.append(
                    {"target": target, "split": split, "folds": folds, "along": kind, "adapt": one.adapt}
                    | {f"other_{name}": value for name, value in other._asdict().items() if name != "normalise"}
                    | {"order": one.order, "sources": list(one.sources), "method": METASER}
                    | {"algorithm": one.algorithm}
                    | {"normalise": one.normalise, "other_sources": list(other.sources)}
                    | {"crossovers": [m._asdict() for m in met], "above": above}
                )
    return found


def _crossover_section(crossings: Sequence[Line]) -> tuple[Section, ...]:
    if not crossings:  # without MetaSER, or of single amounts
        return ()
    text = (
        "Where the mean of MetaSER meets another method's, on straight lines between the measured amounts. A meeting "
        "point of curves whose intervals overlap may be elsewhere with other draws."
    )
    body = [
        [
            one["target"],
            tables.place_name(one).removeprefix(f"{one['target']}, "),
            series_label(series_of(one)),
            tables.other_label(one),
            one["along"],
            _crossing_text(one),
        ]
        for one in crossings
    ]
    header = ["target", "split", "method", "against", "along", "what"]
    return (Section("Crossover points", (text, narrowed(Table(header, body, folded=len(body) > _FOLDED), _CROSSED))),)


def _crossing_text(one: Line) -> str:
    name = method_name(series_of(one))
    if not one["crossovers"]:
        return f"{name if one['above'] == METASER else 'the other'} is above all along"
    parts = []
    for met in one["crossovers"]:
        where = f"at {met['x']:.3g}" if met["x"] == met["until"] else f"from {met['x']:.3g} to {met['until']:.3g}"
        ahead = {"a": f"{name} is above after it", "b": "the other is above after it", None: "they touch"}[met["ahead"]]
        parts.append(f"{where} (macro F1 {met['y']:.3f}): {ahead}")
    return "; ".join(parts)


def _picture(confidence: float, out: Path, rows: Sequence[Row], kind: str) -> Picture | None:
    """Return the curves along one kind of amount, as PNG and SVG; None if no such amount was possible."""
    shown = [row for row in rows if amount(row)[0] == kind]
    if not shown:
        return None

    def interval(at_point: Sequence[Row]) -> tuple[float, float] | None:
        found = seed_interval(draw_scores(at_point, "macro_f1"), confidence, SCORE).interval
        return found and (found.low, found.high)

    band = Band(f"{confidence:.0%} interval for the mean over draws", interval, dots=False)
    figure = adaptation_figure(shown, band)
    name = f"{NAME}_{'fractions' if kind == 'fraction' else 'shots'}"
    style.save(figure, out / f"{name}.svg")
    against = "the fraction of the training part" if kind == "fraction" else "clips per emotion"
    caption = f"Macro F1 on the test part against {against}."
    return picture(out, f"{name}.png", caption, figure)


def _points(lines: Sequence[Line]) -> list[Table]:
    """Return the points of the curves: a table for each target, split and kind of amount."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((tables.place_name(line), amount(line)[0]), []).append(line)
    return [tables.by_amount(group, f"{place}, along {kind}") for (place, kind), group in groups.items()]
