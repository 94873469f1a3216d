"""The benchmark: each corpus in turn is the unseen language, all others the sources; by every method, draw by draw.

Folds over the unseen language's speakers; as many of its clips as --shots says, the same for all methods. What another
language would give is told by intervals over corpora.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from metaser_jax.adaptation import egemaps
from metaser_jax.adaptation.classifiers import EGEMAPS, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.results.over_corpora import Cells, Point, by_point
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.results.summary import Summary, summarise
from metaser_jax.specs.studies import UnseenConfig, UnseenSpec
from metaser_jax.studies import driver, unseen_report
from metaser_jax.studies.cells import Cell, run_cells
from metaser_jax.studies.driver import compute, lines_of, write
from metaser_jax.studies.places import Fit, Place, cell, even_folds, places, require_prepared, source
from metaser_jax.studies.sections import trained_name
from metaser_jax.studies.study import (
    BASELINES,
    CLASSIFIERS,
    METASER,
    Left,
    Study,
    finetune_spec,
    meta_run,
    method_spec,
    open_study,
    pretraining,
    settings_of,
)

NAME = "unseen"
SVM_SOURCES = "svm_sources"
# Folder of what openSMILE hears.
FUNCTIONALS = "functionals"
# A study that is there may get other methods: each cell says what it is of.
FREE = (*driver.FREE, "methods", "adapt", "manual_dir", "candidates")


def run_unseen(
    config: UnseenConfig,
    command: str,
    *,
    corpora: Corpora = ON_DISK,
    find: egemaps.Find | None = None,
    extract: egemaps.Extract | None = None,
) -> Path:
    """Compute what is missing and write unseen.{json,csv,png,svg,pdf}, results.jsonl and the report.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.
      find: of the method egemaps, the recordings of a corpus; by default those in config.manual_dir.
      extract: of egemaps, what is heard of recordings; by default openSMILE's functionals.

    Returns:
      Path of report.html.

    Raises:
      InputError: a corpus is not prepared, or none can be divided by its speakers; openSMILE is wanted and not there;
        config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    require_prepared(study, spec.corpora, "corpora")
    if EGEMAPS in spec.methods and extract is None:
        egemaps.opensmile()  # before anything is computed
    at = _of_same_amounts(study, places(study, spec.corpora, functools.partial(even_folds, study)))
    fits: dict[str, Fit] = {}
    if EGEMAPS in spec.methods:
        claim(study.out, dataclasses.asdict(config), free=FREE)  # before what is heard is kept there
        heard = _heard(
            study, find or egemaps.find_in(config.manual_dir, study.data_dir), extract or egemaps.extract_all
        )
        fits[EGEMAPS] = functools.partial(egemaps.adapt_egemaps, heard=heard)

    found = compute(study, [one for place in at for one in _cells_at(study, place, fits)], None, FREE)
    candidates = {}
    for name in config.candidates:
        finished = run_cells(study.out, _candidate(study, config.preset, name, at))
        candidates[name] = _points(study, summarise(run for one in finished for run in one.runs))
    recommended = trained_name(method_spec(study, METASER, spec.corpora, 0))
    benchmark = unseen_report.Benchmark(study, _points(study, found.summaries), recommended, candidates, found)
    write_text(study.out / RESULTS, to_lines(found.rows))
    lines, _ = lines_of(study, found)
    title = unseen_report.TITLE if spec.start is None else unseen_report.TITLE_OF_START
    sections, intro = unseen_report.sections_of(benchmark), unseen_report.intro(benchmark)
    return write(study, NAME, title, intro, sections, {"lines": lines, **unseen_report.numbers(benchmark)}, lines)


def _points(study: Study[UnseenSpec], summaries: Iterable[Summary]) -> dict[Point, Cells]:
    """Return the summaries of each method and number of shots, by corpus, in the order of --corpora."""
    return by_point(sorted(summaries, key=lambda one: study.spec.corpora.index(one.target)))


def _of_same_amounts(study: Study, at: Sequence[Place]) -> list[Place]:
    """Return the places with the amounts that all of them allow, since means are over all corpora."""
    amounts = [amount for amount in at[0].amounts if all(amount in place.amounts for place in at)]
    if not amounts:
        raise InputError("--shots: no number is allowed by every corpus. Give fewer shots, or leave a corpus out.")
    for gone in dict.fromkeys(amount for place in at for amount in place.amounts if amount not in amounts):
        why = "Not every corpus has so many clips to draw."
        study.left.append(Left(f"shots {gone.value:g}", "not for all", why))
    return [place._replace(amounts=tuple(amounts)) for place in at]


def _others(study: Study[UnseenSpec], place: Place) -> tuple[str, ...]:
    return tuple(name for name in study.spec.corpora if name != place.target)


def _cells_at(study: Study[UnseenSpec], place: Place, fits: Mapping[str, Fit]) -> Iterator[Cell]:
    """Yield a cell for each method, and of the baselines for each part that they adapt."""
    others = _others(study, place)
    # Without clips there is nothing to learn from.
    with_clips = place._replace(amounts=tuple(amount for amount in place.amounts if amount.value))
    for method in _methods(study, others):
        layers = finetune_spec(study, method).adapt
        if method in (SVM, SCRATCH):
            if with_clips.amounts:
                yield cell(study, with_clips, method, layers if method == SCRATCH else None)
        elif study.spec.start is not None:
            yield cell(study, place, method, layers, start=study.spec.start)
        elif method == SVM_SOURCES:
            yield cell(study, place, SVM, None, others)
        elif method in CLASSIFIERS:
            yield cell(study, place, method, None, others, (), fits.get(method))
        else:
            runs = pretraining(study, method, others)
            for adapted in study.spec.adapt if method in BASELINES else (layers,):
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
        runs = tuple(meta_run(study, spec, variant) for spec in specs)
        found.append(cell(study, place, method, finetune_spec(study, METASER).adapt, others, runs))
    return found


def _heard(study: Study[UnseenSpec], find: egemaps.Find, extract: egemaps.Extract) -> dict:
    """Return the functionals of every corpus, computed once and kept."""
    folder, targets = study.out / FUNCTIONALS, [source(study, name) for name in study.spec.corpora]
    return {one.corpus.name: egemaps.read_functionals(one.corpus, one.digest, folder, find, extract) for one in targets}
