"""What a study leaves behind: its numbers as JSON, CSV and Markdown, and the sections that all its reports have."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metaser_jax.report.citation import cite_section, corpora_of
from metaser_jax.report.confusion import confusion_figure
from metaser_jax.report.content import Block, Bullets, Section, Table, split_table
from metaser_jax.report.page import picture
from metaser_jax.results.rows import Row
from metaser_jax.results.run_dir import write_text
from metaser_jax.results.series import series_label
from metaser_jax.specs.studies import StudySpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies import tables
from metaser_jax.studies.method_descriptions import described
from metaser_jax.studies.numbers import Line, flat, series_of
from metaser_jax.studies.plan import Left
from metaser_jax.studies.study import Study

# What a study that is there may be gone on with in another way.
FREE = ("data_dir", "out", "runs", "resamples", "confidence")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, as a whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_csv(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a line per setting, flat; where lines have different fields, those that are missing are empty."""
    rows = [flat(line) for line in lines]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, out.getvalue())


def comparison_section(
    comparisons: Sequence[Line], heading: str = "MetaSER against each other method"
) -> tuple[Section, ...]:
    """Return one method against each other, or no section."""
    if not comparisons:
        return ()
    groups: dict[str, list[Line]] = {}
    for line in comparisons:
        budget = f", equal {line['budget']}" if "budget" in line else ""
        name = f"{tables.place_name(line)}{budget}: {series_label(series_of(line))}, from "
        groups.setdefault(f"{name}{tables.sources_name(line['sources'])}, minus", []).append(line)
    confidence = comparisons[0]["confidence"]
    explained = (
        "Its macro F1 minus another method's on the same draws: positive is better than the other. In brackets the "
        f"{confidence:.0%} interval of the mean over draws (Student's t): what other draws of clips would give on the "
        f"same test part. *: p of the paired t-test is below {1 - confidence:.2g} also when it is corrected (Holm) for "
        "all comparisons of this table. What other speakers would give is below, under every comparison."
    )
    blocks: list[Block] = [explained]
    for name, lines in groups.items():
        blocks.append(tables.differences(lines, name))
    return (Section(heading, tuple(blocks)),)


def left_section(left: Sequence[Left]) -> tuple[Section, ...]:
    """Return what was left out and why, or no section."""
    return (Section("Left out", (Bullets(tables.left_out(left)),)),) if left else ()


def every_comparison(comparisons: Sequence[Line]) -> tuple[Section, ...]:
    """Return all that is known of each comparison, or no section."""
    if not comparisons:
        return ()
    explained = (
        "As above, and: Wilcoxon's signed-rank test, which needs no normal distribution; and an interval over the test "
        "part, a bootstrap of the difference: what other speakers would give, or, where speakers do not allow it, "
        "other utterances of the same speakers, which is narrower than it should be."
    )
    return (Section("Every comparison", (explained, *tables.comparisons(comparisons))),)


def closing_sections(
    study: Study,
    methods: Sequence[str],
    trained: Sequence[SourcesSpec],
    rows: Sequence[Row],
    lines: Sequence[Line],
    comparisons: Sequence[Line],
    left: Sequence[Left],
) -> tuple[Section, ...]:
    """Return confusion, all scores, splits, what is left out, and what the numbers do not say."""
    rows = list(rows)
    confusion = picture(
        study.out,
        "confusion_matrix.png",
        "Confusion of the first method with the most target data, summed over draws.",
        confusion_figure(rows),
    )
    return Section("Confusion", (confusion,)), *detail_sections(study, methods, trained, rows, lines, comparisons, left)


def detail_sections(
    study: Study,
    methods: Sequence[str],
    trained: Sequence[SourcesSpec],
    rows: Sequence[Row],
    lines: Sequence[Line],
    comparisons: Sequence[Line],
    left: Sequence[Left],
) -> tuple[Section, ...]:
    """Return all scores, splits, what is left out, what the numbers do not say, and how methods were trained."""
    return (
        Section("All scores", (_about_scores(study.spec), *tables.all_scores(lines), _CSV)),
        *every_comparison(comparisons),
        *left_section(left),
        *split_sections(study.spec, rows, lines),
        Section("How the methods were trained", (Table(["what", "settings"], described(study, methods, trained)),)),
        cite_section(corpora_of(rows)),
    )


def split_sections(spec: StudySpec, rows: Sequence[Row], lines: Sequence[Line]) -> tuple[Section, ...]:
    """Return what the scores were measured on, and what they do not say: no table goes without."""
    return (
        Section("Splits", (split_table(list(rows)),)),
        Section("What these numbers do not say", (Bullets(_unknown(spec, lines)),)),
    )


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


def _unknown(spec: StudySpec, lines: Sequence[Line]) -> tuple[str, ...]:
    points = [
        f"Other pre-training: each method that learns from sources was trained {spec.pretrain_seeds} times, and draw "
        f"i started from run i mod {spec.pretrain_seeds}; the intervals over draws mix the two.",
        f"Other splits: each target was split once (split seed {spec.split_seed}).",
        "The paper's own numbers: they are not known to us, and nothing here stands for them.",
    ]
    validations = {line["validation"] for line in lines}
    if "split" in validations:
        points.append(
            "What the drawn clips alone are worth: early stopping used the labels of the target's whole validation "
            "part besides them, for every network (the table of splits has their number)."
        )
    if any(line["normalise"] == "speaker" for line in lines):
        points.append(
            "What is possible without recordings of the test speakers: input was normalised per speaker, by their own "
            "unlabelled recordings, for every method."
        )
    if any(line["normalise"] == "corpus" for line in lines):
        points.append(
            "What is possible with the drawn clips alone: input was normalised by the target's whole training part, "
            "unlabelled, for every method."
        )
    if any(line["normalise"] == "auto" for line in lines):
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
