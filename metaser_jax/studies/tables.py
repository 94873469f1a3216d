"""Lines, tables and sections of studies: JSON and CSV lines, tables of scores and comparisons, settings of methods.

Lines are flat and JSON-able. Scores are from 0 to 1, intervals [low, high], None what one draw cannot say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from metaser_jax.adaptation import classifiers
from metaser_jax.adaptation.classifiers import EGEMAPS, JOINT, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.report.content import (
    ABSENT,
    Section,
    Table,
    best_in_rows,
    best_of,
    bullets_section,
    narrowed,
    table_of,
)
from metaser_jax.report.page import cite_section, corpora_of, picture
from metaser_jax.report.plots import confusion_figure
from metaser_jax.report.tables import ORACLE, SCORE_NAMES, costs, split_table
from metaser_jax.results.bootstrap import Bootstrap
from metaser_jax.results.rows import METHOD_NAMES, Series, series_label, series_names, series_order
from metaser_jax.results.significance import Interval, Seeds
from metaser_jax.results.summary import Comparison, Setting, Summary
from metaser_jax.specs import MetaTrainSpec, NetworkSpec, presets
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.meta_training import NO_STEPS
from metaser_jax.specs.studies import StudySpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies import TEXTS
from metaser_jax.studies.study import METASER, PRETRAINED, Study, settings

if TYPE_CHECKING:
    from metaser_jax.studies.driver import Found

T = TypeVar("T", Summary, Comparison)
Line = dict[str, Any]
Budgets = Mapping[str, "Found"]
"""suffix of a place's name, "" or ", equal time" -> results; the splits of the first are shown."""
NONE = "-"
ALONE = "target alone"
HEARS_NOTHING = "speaker oracle (hears nothing)"
OTHERS = ("uar", "accuracy", "weighted_f1")
# A longer table is shown on demand.
FOLDED = 30
ALL = "all that is meta-trained"
_OF_ORDER = ("order", "anneal_episodes", "multi_step_episodes")
_OF_STEPS = ("inner_lr", *NO_STEPS)
# The layers that are adapted are in each table; the seeds are the study's own; where checkpoints are changes nothing.
_LEFT_OUT = {"adapt", "checkpoint_every", "log_every", "seed", "split_seed", "sources", "method"}
_TEXTS = TEXTS["tables"]


def line_of(one: Summary, confidence: float) -> Line:
    """Return a summary as a line, which has the name that the study's rows give a method."""
    macro, rows = one.macro_f1, one.rows
    line = _place(one) | _method(one) | {"normalise": one.series.normalise, "validation": rows[0].get("validation")}
    line |= {"macro_f1": macro.mean, "macro_f1_deviation": macro.deviation, "draws": ends(macro)}
    line |= _of_test("test", one.test["macro_f1"])
    for score in OTHERS:
        over = getattr(one, score)
        line |= {score: over.mean, f"{score}_deviation": over.deviation}
    return line | {
        "speaker_oracle_macro_f1": one.mean("speaker_oracle_macro_f1"),
        "n_train": one.mean("n_train"),
        "n_valid": one.mean("n_valid"),
        "n_test": sum(len(run.file) for run in next(iter(one.draws.values()))),
        "seeds": sorted(set(one.seeds)),
        "split_digests": list(dict.fromkeys(str(row["split_digest"]) for row in rows)),
        "init_seeds": sorted({row["init_seed"] for row in rows if row.get("init_seed") is not None}),
        "seconds": one.seconds,
        "start_size": one.start_size,
        "device": one.device,
        "confidence": confidence,
        "emotions": rows[0]["emotions"],
        "confusion": one.confusion.tolist(),
    }


def comparison_line(one: Comparison, confidence: float) -> Line:
    """Return a comparison as a line; the fields of the other method are called other_*."""
    over = one.draws.difference
    line = _place(one.reference) | _method(one.reference) | {"normalise": one.reference.series.normalise}
    line |= {f"other_{name}": value for name, value in _method(one.other).items()}
    line |= {"difference": over.mean, "difference_deviation": over.deviation, "difference_draws": ends(over)}
    line |= _of_test("difference_test", one.speakers) | {"n": over.n, "p_t": one.draws.p_t}
    return line | {"p_wilcoxon": one.draws.p_wilcoxon, "p_holm": one.p_holm, "confidence": confidence}


def _place(one: Setting) -> Line:
    return {name: getattr(one, name) for name in ("target", "split", "folds", "shots", "fraction")}


def _method(one: Summary) -> Line:
    key = one.series
    known = {"method": one.rows[0]["method"], "algorithm": key.algorithm, "order": key.order, "adapt": key.adapt}
    return known | {"sources": list(key.sources), "together": key.together}


def _of_test(name: str, of: Bootstrap) -> Line:
    return {name: ends(of), "resampled": of.by, "resampled_units": of.units}


def ends(found: Seeds | Bootstrap) -> list[float] | None:
    """Return the ends of an interval, if there is one."""
    return None if found.interval is None else [found.interval.low, found.interval.high]


def interval_text(ends: Interval | Sequence[float] | None, sign: str = "") -> str:
    """Return an interval: "0.610 to 0.716"; sign "+" shows the sign of both."""
    return NONE if ends is None else f"{ends[0]:{sign}.3f} to {ends[1]:{sign}.3f}"


def p_value(p: float | None) -> str:
    """Return a p value as text, "< 0.001" below that."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def place_name(one: Setting) -> str:
    """Return target and split: "urdu, random split"."""
    target, split = one.place
    return f"{target}, {split or ABSENT} split"


def data_cell(one: Setting) -> str:
    """Return the amount of data, short: "5 shots", "fraction 0.5", "all"."""
    kind, value = one.amount
    return one.data if kind == "shots" else "all" if value == 1 else f"fraction {value:g}"


def oracle_cell(one: Summary) -> str:
    """Return the score of the speaker oracle."""
    value = one.mean("speaker_oracle_macro_f1")
    return ABSENT if value is None else f"{value:.3f}"


def other_label(other: Series) -> str:
    """Return the other method of a comparison, whose sources are the first one's or none."""
    of_svm = f", {'with the sources' if other.sources else ALONE}"
    return series_label(other) + (of_svm if other.method == SVM else "")


def sources_name(sources: Iterable[str]) -> str:
    """Return a source set: "ravdess + emodb", or that there is none."""
    return " + ".join(sources) or ALONE


def by_place(found: Iterable[T]) -> dict[str, list[T]]:
    """Return the summaries or comparisons of each target and split, by its name."""
    groups: dict[str, list[T]] = defaultdict(list)
    for one in found:
        groups[place_name(one.reference if isinstance(one, Comparison) else one)].append(one)
    return dict(groups)


def by_sources(
    summaries: Sequence[Summary], sets: Sequence[tuple[str, ...]], left: Mapping[tuple[str, ...], str]
) -> Table:
    """Return table 2 of one target, split and amount: a row for each method, a column for each source set.

    Args:
      summaries: of that target, split and amount.
      sets: source sets, a column each; one for the target alone follows where a method has no sources.
      left: why a set is left out.
    """
    of = {(one.series._replace(sources=()), one.series.sources): str(one.macro_f1) for one in summaries}
    columns = [*sets, *([()] if any(not sources for _, sources in of) else [])]
    body = [
        [series_label(key), *(left.get(sources) or of.get((key, sources), NONE) for sources in columns)]
        for key in sorted({key for key, _ in of}, key=series_order)
    ]
    header = ["method", *map(sources_name, columns)]
    best = best_of(header, body, header[1:])
    oracle = oracle_cell(summaries[0]) if summaries else ABSENT
    body.append([HEARS_NOTHING, *(left.get(sources, oracle) for sources in columns)])
    return Table(header, body, best=best)


def by_amount(summaries: Sequence[Summary], name: str = "") -> Table:
    """Return the points of one picture's panel: a row for each amount, a column for each method."""
    of = {(one.series, one.data): one for one in summaries}
    names = series_names([key for key, _ in of])
    firsts: dict[str, Summary] = {}
    for one in summaries:
        firsts.setdefault(one.data, one)
    body = [
        [data_cell(at), *(str(of[key, data].macro_f1) if (key, data) in of else NONE for key in names), oracle_cell(at)]
        for data, at in firsts.items()
    ]
    best = best_in_rows(body, range(1, len(names) + 1))
    return narrowed(Table(["data", *names.values(), ORACLE], body, best=best), name)


def all_scores(summaries: Mapping[str, Sequence[Summary]]) -> list[Table]:
    """Return, for each place, every setting with its intervals, and folded its other scores and what it took."""
    found = []
    best = ["macro F1", *(SCORE_NAMES[score] for score in OTHERS)]
    for name, group in summaries.items():
        first: dict[str, Callable[[Summary], str]] = {"data": data_cell, **_method_cells(group)}
        main = first | {
            "macro F1": lambda one: str(one.macro_f1),
            "interval over draws": lambda one: interval_text(one.macro_f1.interval),
            "interval over the test part": lambda one: interval_text(one.test["macro_f1"].interval),
            "resampled": lambda one: one.test["macro_f1"].by,
            ORACLE: oracle_cell,
            "draws": lambda one: str(len(set(one.seeds))),
        }
        others = first | {SCORE_NAMES[score]: lambda one, score=score: str(getattr(one, score)) for score in OTHERS}
        same = [data_cell(one) for one in group]
        main, others = (table_of(columns, group, "", best, same) for columns in (main, others | costs()))
        found.append(narrowed(main, name)._replace(folded=len(group) > FOLDED))
        title = f"{name}: other scores, and what an adaptation takes"
        found.append(narrowed(others, title)._replace(folded=True))
    return found


def _differences(comparisons: Sequence[Comparison], name: str) -> Table:
    """Return a row for each amount of data, a column for each other method.

    The comparisons are of one method at one target and split. A cell: the difference, its interval over draws, and *
    where Holm's p is below what the interval leaves out.
    """

    def cell(one: Comparison) -> str:
        over = one.draws.difference
        star = " *" if one.p_holm is not None and one.p_holm < 1 - one.speakers.interval.confidence else ""
        return f"{over.mean:+.3f} ({interval_text(over.interval, '+')}){star}"

    of = {(data_cell(one.reference), other_label(one.other.series)): cell(one) for one in comparisons}
    amounts, others = (list(dict.fromkeys(key[at] for key in of)) for at in (0, 1))
    body = [[data, *(of.get((data, other), NONE) for other in others)] for data in amounts]
    return Table(["data", *others], body, name)


def comparisons(name: str, group: Sequence[Comparison]) -> Table:
    """Return MetaSER minus each other method at a place, on the same draws, with all tests."""

    def difference(one: Comparison) -> str:
        over = one.draws.difference
        return f"{over.mean:+.3f} (one draw)" if over.deviation is None else f"{over.mean:+.3f} ± {over.deviation:.3f}"

    of_reference = {"data": data_cell, **_method_cells([one.reference for one in group])}
    columns: dict[str, Callable[[Comparison], str]] = {
        **{name: lambda one, cell=cell: cell(one.reference) for name, cell in of_reference.items()},
        "minus": lambda one: other_label(one.other.series),
        "difference": difference,
        "interval over draws": lambda one: interval_text(one.draws.difference.interval, "+"),
        "p, paired t": lambda one: p_value(one.draws.p_t),
        "p, Holm": lambda one: p_value(one.p_holm),
        "p, Wilcoxon": lambda one: p_value(one.draws.p_wilcoxon),
        "interval over the test part": lambda one: interval_text(one.speakers.interval, "+"),
        "resampled": lambda one: one.speakers.by,
    }
    return narrowed(table_of(columns, group), name)._replace(folded=True)


def _method_cells(group: Sequence[Summary]) -> dict[str, Callable[[Summary], str]]:
    """Return the column that names a method, and one of its sources where there are several sets of them."""
    names = series_names([one.series for one in group])
    if len({key.sources for key in names if key.sources}) > 1:
        sources = {"sources": lambda one: sources_name(one.series.sources)}
        return {"method": lambda one: series_label(one.series), **sources}
    return {"method": lambda one: names[one.series]}


def comparison_section(
    budgets: Budgets, confidence: float, heading: str = "MetaSER against each other method"
) -> tuple[Section, ...]:
    """Return one method against each other, or no section."""
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for suffix, found in budgets.items():
        for one in found.comparisons:
            key = one.reference.series
            label = f"{series_label(key)}, from {sources_name(key.sources)}, minus"
            groups[f"{place_name(one.reference)}{suffix}: {label}"].append(one)
    if not groups:
        return ()
    explained = _TEXTS["compared"].format(confidence=confidence, p=1 - confidence)
    return (Section(heading, (explained, *(_differences(of, name) for name, of in groups.items()))),)


def left_section(study: Study) -> tuple[Section, ...]:
    """Return what was left out and why, or no section."""
    return bullets_section("Left out", (f"{one.what}: {one.why}" for one in study.left))


def closing_sections(study: Study, methods: Sequence[str], budgets: Budgets) -> tuple[Section, ...]:
    """Return confusion, and what detail_sections returns."""
    first = next(iter(budgets.values()))
    caption = "Confusion of the first method with the most target data, summed over draws."
    confusion = picture(study.out, "confusion_matrix.png", caption, confusion_figure(first.summaries))
    return Section("Confusion", (confusion,)), *detail_sections(study, methods, budgets)


def detail_sections(study: Study, methods: Sequence[str], budgets: Budgets) -> tuple[Section, ...]:
    """Return all scores, splits, what is left out, what the numbers do not say, and how methods were trained."""
    first, spec = next(iter(budgets.values())), study.spec
    summaries = {n + suffix: of for suffix, found in budgets.items() for n, of in by_place(found.summaries).items()}
    compared = {n + suffix: of for suffix, found in budgets.items() for n, of in by_place(found.comparisons).items()}
    folds = " (a draw's score is its mean over the folds)" if spec.folds else ""
    explained = _TEXTS["scores"].format(draws=spec.seeds, folds=folds, confidence=spec.confidence)
    return (
        Section("All scores", (explained, *all_scores(summaries), _TEXTS["csv"])),
        *(
            [
                Section(
                    "Every comparison",
                    (_TEXTS["every_comparison"], *(comparisons(name, of) for name, of in compared.items())),
                )
            ]
            if compared
            else []
        ),
        *left_section(study),
        *split_sections(spec, first),
        Section("How the methods were trained", (_settings_table(study, methods, first.trained),)),
        cite_section(corpora_of(first.rows)),
    )


def split_sections(spec: StudySpec, found: Found) -> tuple[Section, ...]:
    """Return what the scores were measured on, and what they do not say: no table goes without."""
    splits = Section("Splits", (split_table(found.rows),))
    return splits, *bullets_section("What these numbers do not say", unknown(spec, found.rows))


def unknown(spec: StudySpec, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what the numbers of a study do not say, by what its rows say of their input and validation."""
    points = [text.format(runs=spec.pretrain_seeds, split_seed=spec.split_seed) for text in TEXTS["unknown"].values()]
    for field, texts in TEXTS["unknown_of"].items():
        points += [text for value, text in texts.items() if any(row.get(field) == value for row in rows)]
    return tuple(points)


def times_section(seconds: Mapping[str, float]) -> Section:
    """Return how long each method's adaptations took."""
    body = [[name, f"{value:.0f} s"] for name, value in {**seconds, "all": sum(seconds.values())}.items()]
    return Section("Run times", (_TEXTS["times"], Table(["adaptation of", "took"], body)))


def _settings_table(study: Study, methods: Sequence[str], trained: Sequence[SourcesSpec]) -> Table:
    """Return the table of settings: network, learning from sources, adaptation, support vector machine.

    Args:
      study: the study.
      methods: of it.
      trained: the runs that the methods started from; those that differ in seed and sources are one row.
    """
    adapted = study.finetune_spec(METASER)
    network = {**vars(NetworkSpec.of(adapted)), **vars(adapted.front_end)}
    rows = [["network, and input of every method", _listed(network)], *_of_runs(trained, network)]
    called, names = dict(METHOD_NAMES), _meta_names(trained)
    if names:
        called[METASER] = ALL if len(names) > 1 else names[0]
    for method in (name for name in (*PRETRAINED, SCRATCH) if name in methods):
        rows.append([f"{called[method]}: adaptation", _listed(_own(settings(study.finetune_spec(method)), network))])
    if SVM in methods:
        of_svm = {"kernel": classifiers.KERNEL, "C": classifiers.SVM_C, "gamma": f"{classifiers.GAMMA:g} / features"}
        weight = f"sources together weigh {classifiers.SOURCES_WEIGHT} of the drawn clips"
        rows.append(["SVM", f"{_listed(of_svm)}, {weight}"])
    if JOINT in methods or EGEMAPS in methods:
        of_joint = f"C {classifiers.JOINT_C:g}, the drawn clips weigh {classifiers.SHOTS_WEIGHT:g} of everything"
        rows.append([METHOD_NAMES[JOINT], f"logistic regression, {of_joint}"])
    for method, changes in presets.OF_METHOD.get(study.preset, {}).items():
        if method in methods and "adapt" in changes:
            rows.append([f"{method}: adaptation, besides", _listed(changes["adapt"])])
    return Table(["what", "settings"], rows)


def metaser_is(trained: Sequence[SourcesSpec]) -> str:
    """Return a sentence on what stands for MetaSER in a study's tables; "" where nothing does."""
    names = _meta_names(trained)
    return f" MetaSER stands under the name of its meta-learner, {' and '.join(names)}." if names else ""


def trained_name(spec: SourcesSpec) -> str:
    """Return what people call the method of a run: "Meta-SGD", "MultiSER"."""
    if isinstance(spec, MetaTrainSpec):
        return ALGORITHMS[spec.algorithm].label(spec.order)
    return METHOD_NAMES[getattr(spec, "method", "")]


def _of_runs(trained: Sequence[SourcesSpec], network: Mapping[str, Any]) -> list[list[str]]:
    """Return a row of what all meta-training runs share, then one of each method with what is its own."""
    meta: dict[tuple[str, str], dict[str, Any]] = {}
    others: dict[tuple[str, str], dict[str, Any]] = {}
    for spec in trained:
        values, unused = _own(settings(spec), network), ()
        if isinstance(spec, MetaTrainSpec):
            algorithm = ALGORITHMS[spec.algorithm]
            unused = (*(() if algorithm.has_order else _OF_ORDER), *(() if algorithm.has_steps else _OF_STEPS))
        values = {name: value for name, value in values.items() if name not in unused}
        found = meta if isinstance(spec, MetaTrainSpec) else others
        found.setdefault((trained_name(spec), _listed(values)), values)
    first = next(iter(meta.values())) if len(meta) > 1 else {}
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in meta.values())}
    rows = [[f"{ALL}: learning from sources", _listed(shared)]] if shared else []
    own = {key: {k: v for k, v in values.items() if k not in shared} for key, values in meta.items()}
    return rows + [[f"{name}: learning from sources", _listed(values)] for (name, _), values in (own | others).items()]


def _meta_names(trained: Sequence[SourcesSpec]) -> list[str]:
    return list(dict.fromkeys(trained_name(one) for one in trained if isinstance(one, MetaTrainSpec)))


def _own(values: Mapping[str, Any], network: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _LEFT_OUT and name not in network}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
