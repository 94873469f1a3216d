"""Driver of every study: compute its cells, summarise them, compare methods, and write the numbers and the report."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.report.content import Content, Section, run_section
from metaser_jax.report.page import write_page
from metaser_jax.results.rows import Series
from metaser_jax.results.run_dir import claim, csv_text, write_text
from metaser_jax.results.summary import Comparison, Summary, compare, summarise
from metaser_jax.specs.studies import StudySpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies.cells import Cell, Finished, run_cells
from metaser_jax.studies.study import METASER, Study
from metaser_jax.studies.tables import Line, by_place, comparison_line, line_of

# What a study that is there may be gone on with in another way.
FREE = ("data_dir", "out", "runs", "resamples", "confidence")
INTERVALS = ("draws", "test", "difference_draws", "difference_test", "of_second_order_range")


class Found(NamedTuple):
    """A computed matrix.

    Attributes:
      finished: its cells, with every adaptation.
      summaries, comparisons: its numbers.
      seconds: that adaptations took, by method; pre-training apart.
      trained: what the runs are that methods started from.
    """

    finished: list[Finished]
    summaries: list[Summary]
    comparisons: list[Comparison]
    seconds: dict[str, float]
    trained: tuple[SourcesSpec, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of every adaptation."""
        return [run.row for one in self.finished for run in one.runs]


def is_metaser(key: Series) -> bool:
    """Return whether a method is the study's meta-learner, whatever its algorithm."""
    return key.method == METASER or key.algorithm is not None


def compute(
    study: Study,
    cells: Sequence[Cell],
    is_reference: Callable[[Series], bool] | None = is_metaser,
    free: Sequence[str] = FREE,
) -> Found:
    """Compute what is missing of the cells, and what they say.

    Args:
      study: the study, whose folder is claimed.
      cells: the matrix, in the order in which it is computed.
      is_reference: the methods that are compared with every other one; None: nothing is compared.
      free: fields of the configuration that may differ from those of the study that is there.

    Raises:
      InputError: study.out holds another study; what the runs raise.
    """
    claim(study.out, dataclasses.asdict(study.spec), free=free)
    finished = run_cells(study.out, cells)
    runs = [run for one in finished for run in one.runs]
    summaries = summarise(runs, resamples=study.spec.resamples, confidence=study.spec.confidence)
    comparisons = comparisons_of(summaries, study.spec, is_reference) if is_reference else []
    seconds: dict[str, float] = defaultdict(float)
    for one, done in zip(cells, finished, strict=True):
        seconds[one.method] += done.seconds
    trained = {run.key: run.spec for one in cells for run in one.needs}
    return Found(finished, summaries, comparisons, dict(seconds), tuple(trained.values()))


def comparisons_of(
    summaries: Sequence[Summary], spec: StudySpec, is_reference: Callable[[Series], bool] = is_metaser
) -> list[Comparison]:
    """Compare each reference (MetaSER, of each source set and with each part adapted) with every other method.

    Others are those from the same sources, and those that have learned from none. The p of Holm is corrected for all
    comparisons of one reference at one target and split.
    """
    options = {"confidence": spec.confidence, "resamples": spec.resamples}
    found = []
    for at_place in by_place(summaries).values():
        methods = list(dict.fromkeys(one.series for one in at_place))
        for reference in filter(is_reference, methods):
            others = [key for key in methods if not is_reference(key) and key.sources in ((), reference.sources)]
            found += compare(at_place, reference, others, **options)
    return found


def lines_of(study: Study, found: Found) -> tuple[list[Line], list[Line]]:
    """Return a line for each summary, and one for each comparison."""
    confidence = study.spec.confidence
    lines = [line_of(one, confidence) for one in found.summaries]
    return lines, [comparison_line(one, confidence) for one in found.comparisons]


def write(
    study: Study,
    name: str,
    title: str,
    intro: str,
    sections: Sequence[Section],
    numbers: Mapping[str, Any],
    table: Iterable[Line],
) -> Path:
    """Write NAME.json, NAME.csv, report.html, report.md and tables.tex, and return the path of report.html.

    Args:
      sections: of the report, without what was run.
      numbers: what the JSON file holds besides the command, the configuration and what was left out.
      table: the lines of the CSV file.
    """
    config = dataclasses.asdict(study.spec)
    left = [one._asdict() for one in study.left]
    write_json(study.out / f"{name}.json", {"command": study.command, "config": config, **numbers, "left_out": left})
    write_csv(study.out / f"{name}.csv", table)
    return write_page(study.out, Content(title, intro, (*sections, run_section(study.command))))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, as a whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_csv(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a line per setting, flat; where lines have different fields, those that are missing are empty."""
    write_text(path, csv_text([flat(line) for line in lines]))


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
