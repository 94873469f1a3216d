"""The paper's Table 2: source sets x targets x methods -> macro F1, with what other draws and speakers would give.

Chopra et al., ICASSP 2021, Table 2. NOTE: the paper's methods differ in what they adapt (MetaSER every layer, TransSER
and MultiSER the dense layers); here each network does both.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.report.content import Content, Section, run_section
from metaser_jax.report.text_page import markdown_page
from metaser_jax.results.run_dir import write_text
from metaser_jax.specs.studies import ComparisonSpec, Table2Config, Table2Spec
from metaser_jax.studies import sections, tables
from metaser_jax.studies.cells import Cell
from metaser_jax.studies.driver import Found, compute, lines_of, write
from metaser_jax.studies.places import Place, cell, places, reasons, unprepared
from metaser_jax.studies.study import PRETRAINED, SVM, Left, Study, open_study, pretraining

NAME = "table2"
TITLE = "Table 2: from which sources, to which targets, by which method"
INTRO = """\
Each method learned from a set of source corpora, adapted to clips of a target language, and was scored on the \
target's whole test part; draw by draw, all methods had the same clips. A column is a source set. In the last one are \
the methods that have the target's clips alone: the network from scratch, and a support vector machine on utterance \
statistics of the same MFCC, which stands in the other columns with the sources' recordings joined to the \
clips.{metaser}

"""
# Of Table 2 and Figure 2.
WHO_ADAPTS = """\
"Head only" adapts the dense layers, as the paper lets TransSER and MultiSER; "all layers" is what it lets MetaSER \
adapt. One method's head against another's whole network says who may adapt more, and not which learned better."""
IS_SOURCE = "is a source"
Sources = tuple[str, ...]


def run_table2(config: Table2Config, command: str, *, corpora: Corpora = ON_DISK) -> Path:
    """Compute what is missing of the matrix and write table2.md, .csv, .json, report.html and report.md.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: nothing of the matrix is possible; config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    found, skipped = compare_methods(study, spec.sets)
    title = f"{TITLE}: {' and '.join(spec.targets)}"
    main = _sections(study, found, skipped)
    intro = INTRO.format(metaser=sections.metaser_is(found.trained)) + WHO_ADAPTS
    beside = (*sections.left_section(study), *sections.split_sections(spec, found), run_section(command))
    write_text(study.out / f"{NAME}.md", markdown_page(Content(title, intro, (*main, *beside))))
    lines, comparisons = lines_of(study, found)
    # Without numbers, so that the CSV names what is left out, too.
    left = [{"target": t, "sources": list(s), "left_out": why} for (s, t), why in skipped.items() if s]
    numbers = {"lines": lines, "comparisons": comparisons, "seconds": found.seconds}
    return write(study, NAME, title, intro, (*main, *shared_sections(study, found)), numbers, [*lines, *left])


def compare_methods(
    study: Study[ComparisonSpec], sets: Sequence[Sources]
) -> tuple[Found, dict[tuple[Sources, str], str]]:
    """Compute what is missing of sets x targets x splits x methods.

    Args:
      study: what is compared, and where things are.
      sets: of sources.

    Returns:
      What was found; for (sources, target), why there is nothing, in a word.

    Raises:
      InputError: nothing of it is possible; study.out holds another study; what the runs raise.
    """
    at = places(study, study.spec.targets)
    skipped = {(s, one.what): one.short for one in study.left if one.what in study.spec.targets for s in (*sets, ())}
    cells = []
    for sources in sets:
        name = tables.sources_name(sources)
        missing = unprepared(study, sources, name)
        if missing:
            study.left.append(missing)
            skipped |= {(sources, target): missing.short for target in study.spec.targets}
        for place in () if missing else at:
            if place.target not in sources:
                cells += _cells_at(study, place, sources)
            elif (sources, place.target) not in skipped:
                skipped[sources, place.target] = IS_SOURCE
                why = f"{place.target} is one of the sources: its test part was learned from."
                study.left.append(Left(f"{name} -> {place.target}", IS_SOURCE, why))
    if not cells:
        raise InputError(f"No source set can be used with any target:\n{reasons(study)}")
    cells += [one for place in at for one in _cells_at(study, place, ())]
    return compute(study, cells), skipped


def _cells_at(study: Study[ComparisonSpec], place: Place, sources: Sources) -> list[Cell]:
    """Return the methods that learn from these sources, or with () those that need none."""
    found = []
    for method in study.spec.methods:
        if method == SVM:
            found.append(cell(study, place, SVM, None, sources))
        elif (method in PRETRAINED) == bool(sources):
            runs = pretraining(study, method, sources)
            found += [cell(study, place, method, adapted, sources, runs) for adapted in study.spec.adapt]
    return found


def shared_sections(study: Study[ComparisonSpec], found: Found) -> tuple[Section, ...]:
    """Return what the reports of Table 2 and Figure 2 have after their own sections."""
    return (
        *sections.comparison_section({"": found}, study.spec.confidence),
        *sections.closing_sections(study, study.spec.methods, {"": found}),
        sections.times_section(found.seconds),
    )


def _sections(study: Study[Table2Spec], found: Found, skipped: dict[tuple[Sources, str], str]) -> tuple[Section, ...]:
    """Return a table for each target, split and amount; a target of which there is nothing has a sentence."""
    spec, shown = study.spec, []
    for (place, data), group in groupby(found.summaries, lambda one: (tables.place_name(one), one.data)):
        summaries = list(group)
        target, n_folds = summaries[0].target, summaries[0].folds
        left = {sources: why for (sources, of), why in skipped.items() if of == target}
        folds = f", each the mean of {n_folds} folds" if n_folds else ""
        text = f"Macro F1, mean ± sample standard deviation over {spec.seeds} draws{folds}."
        shown.append(Section(f"{place}: {data}", (text, tables.by_sources(summaries, spec.sets, left))))
    for target in spec.targets:
        if target not in {one.target for one in found.summaries}:
            why = " ".join(one.why for one in study.left if one.what.split(",")[0] == target)
            shown.append(Section(f"{target}: {skipped.get(((), target), 'left out')}", (why,)))
    return tuple(shown)
