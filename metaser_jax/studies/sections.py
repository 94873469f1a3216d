"""Sections that the reports of studies share: comparisons, scores, what the numbers do not say, how methods learned."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaser_jax.adaptation import classifiers
from metaser_jax.adaptation.classifiers import EGEMAPS, JOINT, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.report.confusion import confusion_figure
from metaser_jax.report.content import Section, Table, bullets_section
from metaser_jax.report.page import cite_section, corpora_of, picture
from metaser_jax.report.tables import split_table
from metaser_jax.results.rows import METHOD_NAMES, series_label
from metaser_jax.results.summary import Comparison
from metaser_jax.specs import MetaTrainSpec, NetworkSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.meta_training import NO_STEPS
from metaser_jax.specs.studies import StudySpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies import tables
from metaser_jax.studies.driver import Found
from metaser_jax.studies.study import METASER, PRETRAINED, Study, finetune_spec, settings

Budgets = Mapping[str, Found]
"""What follows a place's name, "" or ", equal time" -> what was found; the first is the one whose splits are shown."""

_OF_ORDER = ("order", "anneal_episodes", "multi_step_episodes")
_OF_STEPS = ("inner_lr", *NO_STEPS)
ALL = "all that is meta-trained"
# The layers that are adapted are in each table; the seeds are the study's own; where checkpoints are changes nothing.
_LEFT_OUT = {"adapt", "checkpoint_every", "log_every", "seed", "split_seed", "sources", "method"}


def comparison_section(
    budgets: Budgets, confidence: float, heading: str = "MetaSER against each other method"
) -> tuple[Section, ...]:
    """Return one method against each other, or no section."""
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for place, compared in _by_place(budgets).items():
        for one in compared:
            key = one.reference.series
            label = f"{series_label(key)}, from {tables.sources_name(key.sources)}, minus"
            groups[f"{place}: {label}"].append(one)
    if not groups:
        return ()
    explained = (
        "Its macro F1 minus another method's on the same draws: positive is better than the other. In brackets the "
        f"{confidence:.0%} interval of the mean over draws (Student's t): what other draws of clips would give on the "
        f"same test part. *: p of the paired t-test is below {1 - confidence:.2g} also when it is corrected (Holm) for "
        "all comparisons of this table. What other speakers would give is below, under every comparison."
    )
    return (Section(heading, (explained, *(tables.differences(of, name) for name, of in groups.items()))),)


def _by_place(budgets: Budgets) -> dict[str, list[Comparison]]:
    found = defaultdict(list)
    for suffix, of in budgets.items():
        for one in of.comparisons:
            found[tables.place_name(one.reference) + suffix].append(one)
    return dict(found)


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
    first = next(iter(budgets.values()))
    summaries = {
        place + suffix: of
        for suffix, found in budgets.items()
        for place, of in tables.by_place(found.summaries).items()
    }
    comparisons = _by_place(budgets)
    explained = (
        "As above, and: Wilcoxon's signed-rank test, which needs no normal distribution; and an interval over the test "
        "part, a bootstrap of the difference: what other speakers would give, or, where speakers do not allow it, "
        "other utterances of the same speakers, which is narrower than it should be."
    )
    every = (Section("Every comparison", (explained, *tables.comparisons(comparisons))),) if comparisons else ()
    return (
        Section("All scores", (_about_scores(study.spec), *tables.all_scores(summaries), _CSV)),
        *every,
        *left_section(study),
        *split_sections(study.spec, first),
        Section("How the methods were trained", (_settings_table(study, methods, first.trained),)),
        cite_section(corpora_of(first.rows)),
    )


def split_sections(spec: StudySpec, found: Found) -> tuple[Section, ...]:
    """Return what the scores were measured on, and what they do not say: no table goes without."""
    splits = Section("Splits", (split_table(found.rows),))
    return splits, *bullets_section("What these numbers do not say", unknown(spec, found.rows))


_CSV = (
    "Starts from: how many numbers an adaptation starts from, parameters and learned rates, or, of what is fitted on "
    "the sources' recordings, their features. Seconds: of one adaptation and its scoring. The CSV and JSON beside this "
    "page have all of it, and tables.tex every table for a paper."
)


def _about_scores(spec: StudySpec) -> str:
    return (
        f"Mean ± sample standard deviation over {spec.seeds} draws"
        + (" (a draw's score is its mean over the folds)" if spec.folds else "")
        + f"; intervals of {spec.confidence:.0%}, on the logit scale. Over draws: Student's t, what other draws of "
        "clips would give on the same test part. Over the test part: bootstrap over its speakers, what other speakers "
        "would give; over utterances where too few speakers say each emotion, which says so, and is too narrow for "
        "other speakers. The speaker oracle guesses each speaker's most frequent training emotion and hears nothing: "
        "on a random split a score that does not exceed it is no evidence that emotion was recognised. Bold is the "
        "highest mean of one amount of data, whether or not the difference can be told from chance."
    )


def unknown(spec: StudySpec, rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what the numbers of a study do not say, by what its rows say of their input and validation."""
    points = [
        f"Other pre-training: each method that learns from sources was trained {spec.pretrain_seeds} times, and draw "
        f"i started from run i mod {spec.pretrain_seeds}; the intervals over draws mix the two.",
        f"Other splits: each target was split once (split seed {spec.split_seed}).",
        "The paper's own numbers: they are not known to us, and nothing here stands for them.",
    ]
    validations, inputs = ({row.get(name) for row in rows} for name in ("validation", "normalise"))
    if "split" in validations:
        points.append(
            "What the drawn clips alone are worth: early stopping used the labels of the target's whole validation "
            "part besides them, for every network (the table of splits has their number)."
        )
    if "speaker" in inputs:
        points.append(
            "What is possible without recordings of the test speakers: input was normalised per speaker, by their own "
            "unlabelled recordings, for every method."
        )
    if "corpus" in inputs:
        points.append(
            "What is possible with the drawn clips alone: input was normalised by the target's whole training part, "
            "unlabelled, for every method."
        )
    if "auto" in inputs:
        points.append(
            "What is possible with the drawn clips alone: where the speakers of a target's training part say half of "
            "the emotions or more, which its labels tell, input was normalised per speaker, by the test speakers' own "
            "unlabelled recordings; elsewhere by the whole training part, unlabelled. The same for every method."
        )
    return tuple(points)


def times_section(seconds: Mapping[str, float]) -> Section:
    """Return how long each method's adaptations took."""
    body = [[name, f"{value:.0f} s"] for name, value in seconds.items()]
    text = "Adaptation and scoring, all cells of a method together; what it takes to learn from sources is not in it."
    total = ["all", f"{sum(seconds.values()):.0f} s"]
    return Section("Run times", (text, Table(["adaptation of", "took"], [*body, total])))


def _settings_table(study: Study, methods: Sequence[str], trained: Sequence[SourcesSpec]) -> Table:
    """Return the table of settings: network, learning from sources, adaptation, support vector machine.

    Args:
      study: the study.
      methods: of it.
      trained: what the runs are that the methods started from; those that differ in seed and sources are one row.
    """
    adapted = finetune_spec(study, METASER)
    network = {**vars(NetworkSpec.of(adapted)), **vars(adapted.front_end)}
    rows = [["network, and input of every method", _listed(network)]]
    rows += _of_runs(trained, network)
    names = _meta_names(trained)
    for method in (*PRETRAINED, SCRATCH):
        if method in methods:
            name = METHOD_NAMES[method]
            if method == METASER and names:
                name = ALL if len(names) > 1 else names[0]
            rows.append([f"{name}: adaptation", _listed(_without(settings(finetune_spec(study, method)), network))])
    if SVM in methods:
        of_svm = {"kernel": classifiers.KERNEL, "C": classifiers.SVM_C, "gamma": f"{classifiers.GAMMA:g} / features"}
        weight = f"sources together weigh {classifiers.SOURCES_WEIGHT} of the drawn clips"
        rows.append(["SVM", f"{_listed(of_svm)}, {weight}"])
    if JOINT in methods or EGEMAPS in methods:
        c, weight = classifiers.JOINT_C, classifiers.SHOTS_WEIGHT
        regression = f"logistic regression, C {c:g}, the drawn clips weigh {weight:g} of everything"
        rows.append([METHOD_NAMES[JOINT], regression])
    for method, changes in study.settings.of_method.items():
        if method in methods and "adapt" in changes:
            rows.append([f"{method}: adaptation, besides", _listed(dict(changes["adapt"]))])
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


def _of_runs(trained: Sequence[SourcesSpec], network: dict[str, Any]) -> list[list[str]]:
    """Return a row of what all meta-training runs share, then one of each method with what is its own."""
    meta: dict[tuple[str, str], dict[str, Any]] = {}
    others: dict[tuple[str, str], dict[str, Any]] = {}
    for spec in trained:
        values, found = _without(settings(spec), network), others
        if isinstance(spec, MetaTrainSpec):
            found = meta
            algorithm = ALGORITHMS[spec.algorithm]
            unused = (*(() if algorithm.has_order else _OF_ORDER), *(() if algorithm.has_steps else _OF_STEPS))
            values = {name: value for name, value in values.items() if name not in unused}
        found.setdefault((trained_name(spec), _listed(values)), values)
    first = next(iter(meta.values())) if len(meta) > 1 else {}
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in meta.values())}
    rows = [[f"{ALL}: learning from sources", _listed(shared)]] if shared else []
    own = {key: {k: v for k, v in values.items() if k not in shared} for key, values in meta.items()}
    return rows + [[f"{name}: learning from sources", _listed(values)] for (name, _), values in (own | others).items()]


def _meta_names(trained: Sequence[SourcesSpec]) -> list[str]:
    return list(dict.fromkeys(trained_name(one) for one in trained if isinstance(one, MetaTrainSpec)))


def _without(values: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _LEFT_OUT and name not in network}


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
