"""The paper's Table 2: source sets x targets x methods -> macro F1, with what other draws and speakers would give.

Chopra et al., ICASSP 2021, Table 2. NOTE: the paper's methods differ in what they adapt (MetaSER every layer, TransSER
and MultiSER the dense layers); here each network does both.
"""

import dataclasses
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.report.content import Content, Section, run_section
from metaser_jax.report.markdown_page import markdown_page
from metaser_jax.report.page import write_page
from metaser_jax.results.run_dir import write_text
from metaser_jax.specs.studies import Table2Config, Table2Spec
from metaser_jax.studies import tables, writing
from metaser_jax.studies.comparison import Compared, compare_methods, to_json
from metaser_jax.studies.entry import study_of
from metaser_jax.studies.method_descriptions import metaser_is
from metaser_jax.studies.numbers import Line

NAME = "table2"
TITLE = "Table 2: from which sources, to which targets, by which method"
INTRO = """\
Each method learned from a set of source corpora, adapted to clips of a target language, and was scored on the \
target's whole test part; draw by draw, all methods had the same clips. A column is a source set. In the last one are \
the methods that have the target's clips alone: the network from scratch, and a support vector machine on utterance \
statistics of the same MFCC, which stands in the other columns with the sources' recordings joined to the \
clips.{metaser}

"Head only" adapts the dense layers, as the paper lets TransSER and MultiSER; "all layers" is what it lets MetaSER \
adapt. One method's head against another's whole network says who may adapt more, and not which learned better."""


def run_table2(
    config: Table2Config, command: str, log: Callable[[str], None] = print, *, corpora: Corpora = ON_DISK
) -> Path:
    """Compute what is missing of the matrix and write table2.md, .csv, .json, report.html and report.md.

    Args:
      command: what the user ran, for the report.
      log: prints a line.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: nothing of the matrix is possible; config.out holds another study; what the runs raise.
    """
    study, identity = study_of(config, Table2Spec, corpora), dataclasses.asdict(config)
    out, spec = study.out, study.spec
    compared = compare_methods(study, identity, spec.sets, log)
    title = f"{TITLE}: {' and '.join(spec.targets)}"
    main, intro = _sections(spec, compared), INTRO.format(metaser=metaser_is(compared.trained))
    writing.write_json(out / f"{NAME}.json", to_json(identity, command, compared))
    writing.write_csv(out / f"{NAME}.csv", [*compared.lines, *_skipped(compared)])
    splits = writing.split_sections(spec, compared.rows, compared.lines)
    beside = (*writing.left_section(compared.left), *splits)
    write_text(
        out / f"{NAME}.md",
        markdown_page(Content(title, intro, (*main, *beside, run_section(command)))),
    )
    sections = (
        *main,
        *writing.comparison_section(compared.comparisons),
        *writing.closing_sections(study, spec.methods, compared.trained, *compared[:4]),
        writing.times_section(compared.seconds),
        run_section(command),
    )
    return write_page(out, Content(title, intro, sections))


def _sections(spec: Table2Spec, compared: Compared) -> tuple[Section, ...]:
    """Return a table for each target, split and amount; a target of which there is nothing has a sentence."""
    found = []
    for (place, data), group in groupby(compared.lines, lambda line: (tables.place_name(line), tables.data_name(line))):
        lines = list(group)
        target = lines[0]["target"]
        left = {sources: why for (sources, of), why in compared.skipped.items() if of == target}
        folds = f", each the mean of {lines[0]['folds']} folds" if lines[0]["folds"] else ""
        text = f"Macro F1, mean ± sample standard deviation over {spec.seeds} draws{folds}."
        found.append(Section(f"{place}: {data}", (text, tables.by_sources(lines, spec.sets, left))))
    shown = {line["target"] for line in compared.lines}
    for target in spec.targets:
        if target not in shown:
            why = " ".join(one.why for one in compared.left if one.what.split(",")[0] == target)
            found.append(Section(f"{target}: {compared.skipped.get(((), target), 'left out')}", (why,)))
    return tuple(found)


def _skipped(compared: Compared) -> list[Line]:
    """Return lines without numbers, so that the CSV names what is left out too."""
    return [
        {"target": target, "sources": list(sources), "left_out": why}
        for (sources, target), why in compared.skipped.items()
        if sources
    ]
