"""The benchmark: each corpus in turn is the unseen language, all others the sources; by every method, draw by draw.

Folds over the unseen language's speakers; as many of its clips as --shots says, the same for all methods. What another
language would give is told by intervals over corpora.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from metaser_jax.adaptation import egemaps
from metaser_jax.adaptation.classifiers import EGEMAPS, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.report.content import Content, run_section
from metaser_jax.report.page import write_page
from metaser_jax.results.over_corpora import by_point
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.results.scored import Scored
from metaser_jax.specs.studies import UnseenConfig, UnseenSpec
from metaser_jax.studies import unseen_report, writing
from metaser_jax.studies.cells import Cell, Finished, run_cells
from metaser_jax.studies.entry import settings_of, study_of
from metaser_jax.studies.method_descriptions import trained_name
from metaser_jax.studies.methods import (
    BASELINES,
    CLASSIFIERS,
    METASER,
    finetune_spec,
    meta_run,
    method_spec,
    pretraining,
)
from metaser_jax.studies.numbers import lines_of
from metaser_jax.studies.plan import Fit, Left, Place, cell, even_folds, places, require_prepared, source
from metaser_jax.studies.study import Study

NAME = "unseen"
SVM_SOURCES = "svm_sources"
# Folder of what openSMILE hears.
FUNCTIONALS = "functionals"
# A study that is there may get other methods: each cell says what it is of.
FREE = (*writing.FREE, "methods", "adapt", "manual_dir", "candidates")


def run_unseen(
    config: UnseenConfig,
    command: str,
    log: Callable[[str], None] = print,
    *,
    corpora: Corpora = ON_DISK,
    find: egemaps.Find | None = None,
    extract: egemaps.Extract | None = None,
) -> Path:
    """Compute what is missing and write unseen.{json,csv,png,svg,pdf}, results.jsonl and the report.

    Args:
      command: what the user ran, for the report.
      log: prints a line.
      corpora: where prepared corpora come from.
      find: of the method egemaps, the recordings of a corpus; by default those in config.manual_dir.
      extract: of egemaps, what is heard of recordings; by default openSMILE's functionals.

    Returns:
      Path of report.html.

    Raises:
      InputError: a corpus is not prepared, or none can be divided by its speakers; openSMILE is wanted and not there;
        config.out holds another study; what the runs raise.
    """
    study = study_of(config, UnseenSpec, corpora)
    spec, out = study.spec, study.out
    require_prepared(study, spec.corpora, "corpora")
    if EGEMAPS in spec.methods and extract is None:
        egemaps.opensmile()  # before anything is computed
    at, left = places(study, spec.corpora, functools.partial(even_folds, study))
    at, others = _of_same_amounts(at)
    claim(out, dataclasses.asdict(config), free=FREE)
    fits: dict[str, Fit] = {}
    if EGEMAPS in spec.methods:
        find = find or egemaps.find_in(config.manual_dir, study.data_dir)
        heard = _heard(study, find, extract or egemaps.extract_all)
        fits[EGEMAPS] = functools.partial(egemaps.adapt_egemaps, heard=heard)

    cells = [one for place in at for one in _cells_at(study, place, fits)]
    candidates = {name: _candidate(study, config.preset, name, at) for name in config.candidates}
    # A candidate may be the preset's own.
    every = {one.key: one for one in (*cells, *(one for of in candidates.values() for one in of))}
    done = {one.key: one for one in run_cells(out, list(every.values()), log)}
    runs = _runs_of(cells, done)
    found = unseen_report.Found(
        by_point(runs),
        trained_name(method_spec(study, METASER, study.spec.corpora, 0)),
        {name: by_point(_runs_of(of, done)) for name, of in candidates.items()},
        {one.key: done[one.key] for one in cells},
    )

    lines, rows, left = lines_of(runs, spec), [run.row for run in runs], [*left, *others]
    write_text(out / RESULTS, to_lines(rows))
    content = {"command": command, "config": dataclasses.asdict(config), "lines": lines}
    content |= unseen_report.numbers(found, spec.confidence) | {"left_out": [one._asdict() for one in left]}
    writing.write_json(out / f"{NAME}.json", content)
    writing.write_csv(out / f"{NAME}.csv", lines)
    trained = {run.key: run.spec for one in cells for run in one.needs}
    sections = unseen_report.sections(study, found, tuple(trained.values()), rows, lines, left)
    intro = unseen_report.intro(found, spec.start)
    title = unseen_report.TITLE if spec.start is None else unseen_report.TITLE_OF_START
    return write_page(out, Content(title, intro, (*sections, run_section(command))))


def _of_same_amounts(at: Sequence[Place]) -> tuple[list[Place], list[Left]]:
    """Return the places with the amounts that all of them allow, since means are over all corpora."""
    amounts = [amount for amount in at[0].amounts if all(amount in place.amounts for place in at)]
    if not amounts:
        raise InputError("--shots: no number is allowed by every corpus. Give fewer shots, or leave a corpus out.")
    gone = {amount: place.target for place in at for amount in place.amounts if amount not in amounts}
    left = [Left(f"shots {a.value:g}", "not for all", "Not every corpus has so many clips to draw.") for a in gone]
    return [place._replace(amounts=tuple(amounts)) for place in at], left


def _others(study: Study[UnseenSpec], place: Place) -> tuple[str, ...]:
    return tuple(name for name in study.spec.corpora if name != place.target)


def _cells_at(study: Study[UnseenSpec], place: Place, fits: Mapping[str, Fit]) -> Iterator[Cell]:
    """Yield a cell for each method, and of the baselines for each part that they adapt."""
    others = _others(study, place)
    # Without clips there is nothing to learn from.
    with_clips = place._replace(amounts=tuple(amount for amount in place.amounts if amount.value))
    for method in _methods(study, others):
        if method in (SVM, SCRATCH):
            if with_clips.amounts:
                adapted = finetune_spec(study, method).adapt if method == SCRATCH else None
                yield cell(study, with_clips, method, adapted, (), ())
        elif study.spec.start is not None:
            yield cell(study, place, method, finetune_spec(study, method).adapt, (), (), start=study.spec.start)
        elif method == SVM_SOURCES:
            yield cell(study, place, SVM, None, others, ())
        elif method in CLASSIFIERS:
            yield cell(study, place, method, None, others, (), fits.get(method))
        else:
            runs = pretraining(study, method, others)
            for adapted in study.spec.adapt if method in BASELINES else (finetune_spec(study, method).adapt,):
                yield cell(study, place, method, adapted, others, runs)


def _methods(study: Study[UnseenSpec], sources: tuple[str, ...]) -> list[str]:
    """Return the methods, without an algorithm that is the preset's own, where that is compared, too."""
    methods, fitted = study.spec.methods, (*BASELINES, *CLASSIFIERS, SVM_SOURCES, SCRATCH)
    if METASER not in methods or study.spec.start is not None:
        return list(methods)
    own = trained_name(method_spec(study, METASER, sources, 0))
    return [m for m in methods if m in (METASER, *fitted) or trained_name(method_spec(study, m, sources, 0)) != own]


def _candidate(study: Study[UnseenSpec], preset: str, name: str, at: Sequence[Place]) -> list[Cell]:
    """Return the cells of the method metaser by another preset."""
    if name == preset:
        method, variant = METASER, METASER
    else:
        method = variant = f"{METASER}-{name}"
        study = dataclasses.replace(study, settings=settings_of(name))
    found = []
    for place in at:
        others = _others(study, place)
        specs = [method_spec(study, METASER, others, seed) for seed in range(study.spec.pretrain_seeds)]
        runs = tuple(meta_run(study, spec, variant, variant) for spec in specs)
        found.append(cell(study, place, method, finetune_spec(study, METASER).adapt, others, runs))
    return found


def _heard(study: Study[UnseenSpec], find: egemaps.Find, extract: egemaps.Extract) -> dict:
    """Return the functionals of every corpus, computed once and kept."""
    emotions, folder = finetune_spec(study, EGEMAPS).emotions, study.out / FUNCTIONALS
    targets = [source(study, name, emotions) for name in study.spec.corpora]
    return {one.corpus.name: egemaps.read_functionals(one.corpus, one.digest, folder, find, extract) for one in targets}


def _runs_of(cells: Sequence[Cell], done: Mapping[str, Finished]) -> list[Scored]:
    return [run for one in cells for run in done[one.key].runs]
