"""What a sweep says: a line per setting, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.report.citation import cite_section, corpora_of
from metaser_jax.report.content import Block, Bullets, Content, Section, Table, run_section, score_tables, split_table
from metaser_jax.report.page import write_page
from metaser_jax.report.tables import markdown_table
from metaser_jax.results.rows import completed
from metaser_jax.results.summaries import Summary, summarise
from metaser_jax.scores.significance import Seeds, seed_interval
from metaser_jax.training.grid import Trained

# Settings that differ in one of these are validated on other episodes.
_OTHER_EPISODES = ("shots", "queries", "split_seed", "pool_sources", "normalise", "trim_db", "deltas")
_SCORES = ("macro_f1", "uar", "accuracy", "weighted_f1", "speaker_oracle_macro_f1")
NONE = "-"


class Setting(NamedTuple):
    """A combination of the grid.

    Attributes:
      values: of the swept fields.
      trained: its runs, one per seed.
      rows: of its adaptations, which have its values as `swept`.
    """

    values: dict[str, Any]
    trained: tuple[Trained, ...]
    rows: list[dict[str, Any]]

    @property
    def whole(self) -> bool:
        """Whether all of its runs have finished."""
        return all(one.stopped is None for one in self.trained)

    def valid_query_loss(self) -> Seeds:
        """Return the validation query loss over the training seeds of the runs that have finished."""
        return seed_interval([one.valid_query_loss for one in self.trained if one.stopped is None])


def lines_of(settings: Sequence[Setting], chosen: Setting | None) -> list[dict[str, Any]]:
    """Return JSON-able: each setting and amount of target data, or each setting where there is no target."""
    lines = []
    for one in settings:
        finished = [run.member.spec.seed for run in one.trained if run.stopped is None]
        loss, deviation = one.valid_query_loss()[:2] if finished else (None, None)
        line = {
            "setting": one.values,
            "chosen": one is chosen,
            "train_seeds": finished,
            "stopped_seeds": [run.member.spec.seed for run in one.trained if run.stopped is not None],
            "valid_query_loss": loss,
            "valid_query_loss_deviation": deviation,
        }
        lines += [line | _of_target(summary) for summary in summarise(one.rows)] if one.rows else [line]
    return lines


def _of_target(summary: Summary) -> dict[str, Any]:
    place = {"target": summary.target, "split": summary.split, "folds": summary.folds, "shots": summary.shots}
    spreads = {score: getattr(summary, score) for score in _SCORES}
    found = place | {"n_draws": len(summary.seeds)}
    for score, spread in spreads.items():
        found |= {score: spread and spread.mean, f"{score}_deviation": spread and spread.deviation}
    return found


def run_line(one: Trained) -> dict[str, Any]:
    """Return JSON-able: one run."""
    known = {"episodes": one.episodes, "best_episode": one.best, "valid_query_loss": one.valid_query_loss}
    return (
        {"run": one.member.name, "setting": one.member.setting, "seed": one.member.spec.seed}
        | known
        | {"stopped": one.stopped}
    )


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of lines_of for a CSV: each swept field in a column of its own."""
    return {f"swept_{name}": value for name, value in line["setting"].items()} | {
        name: value for name, value in line.items() if name != "setting"
    }


def settings_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row per line of lines_of; the chosen setting is marked."""
    names = list(dict.fromkeys(name for line in lines for name in line["setting"]))
    with_target = any("target" in line for line in lines)
    several_amounts = len({line.get("shots") for line in lines if "target" in line}) > 1
    header = [*names, "training seeds", "validation loss on the sources"]
    header += (["shots"] if several_amounts else []) + (["macro F1 on the target", "draws"] if with_target else [])
    body = []
    for line in lines:
        seeds, stopped = len(line["train_seeds"]), len(line["stopped_seeds"])
        cells = [*(str(line["setting"][name]) for name in names), _seeds(seeds, stopped)]
        cells.append(_spread(line, "valid_query_loss", seeds) + (" (chosen)" if line["chosen"] else ""))
        cells += [str(line.get("shots", NONE))] if several_amounts else []
        if with_target:
            draws = line.get("n_draws", 0)
            cells += [_spread(line, "macro_f1", draws), str(draws)]
        body.append(cells)
    return Table(header, body)


def _seeds(finished: int, stopped: int) -> str:
    return f"{finished} of {finished + stopped}: the others stopped" if stopped else str(finished)


def _spread(line: Mapping[str, Any], name: str, n: int) -> str:
    if line.get(name) is None:
        return NONE
    return f"{line[name]:.3f} (one)" if n == 1 else f"{line[name]:.3f} ± {line[f'{name}_deviation']:.3f}"


def text_of(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the table for a terminal."""
    table = settings_table(lines)
    return markdown_table(table.header, table.body)


class Described(NamedTuple):
    """What a report says of its sweep.

    Attributes:
      out: its folder. command: what the user ran.
      sources: corpora; seeds: runs of each setting; swept: names of the fields.
      place: of the adaptations, "urdu, random split"; None without a target.
    """

    out: Path
    command: str
    sources: tuple[str, ...]
    seeds: int
    swept: tuple[str, ...]
    place: str | None


def write(
    sweep: Described, settings: Sequence[Setting], chosen: Setting | None, lines: Sequence[Mapping[str, Any]]
) -> Path:
    """Write report.html and report.md into the sweep's folder, and return the path of the first."""
    trained = [run for one in settings for run in one.trained]
    rows = completed(row for one in settings for row in one.rows)
    content = Content(
        f"Sweep: {', '.join(sweep.swept) or 'seeds'}",
        f"Meta-training on {' and '.join(sweep.sources)}, {sweep.seeds} seeds of each of {len(settings)} settings."
        + (f" Each was adapted to {sweep.place}." if rows else ""),
        (
            Section("Settings", (settings_table(lines), *_explained(sweep.swept, bool(rows)))),
            *_chosen_section(chosen),
            *_stopped_section(trained),
            Section("Runs", (_runs_table(trained),)),
            *((Section("Splits of the target", (split_table(rows),)),) if rows else ()),
            run_section(sweep.command),
            cite_section(dict.fromkeys([*sweep.sources, *corpora_of(rows)])),
        ),
    )
    return write_page(sweep.out, content)


def _explained(swept: Sequence[str], with_target: bool) -> tuple[Block, ...]:
    texts = [
        "Validation loss: the query loss after adaptation on the sources' validation parts, of each run's best "
        "checkpoint, mean ± sample standard deviation over training seeds. The setting with the lowest mean is chosen, "
        "of those whose runs have all finished; the target chooses nothing."
    ]
    if with_target:
        texts.append(
            "Macro F1: of the target's test part, mean ± sample standard deviation over draws of its clips (a draw's "
            "score is the mean over its folds, if there are); draw i starts from the run of training seed i modulo "
            "their number, so the deviation is of both. The best macro F1 of the table, were it chosen by, would be "
            "too high for other clips."
        )
    other = [name for name in swept if name in _OTHER_EPISODES]
    if other:
        texts.append(
            f"Settings that differ in {', '.join(other)} are validated on other episodes or other input: their "
            "validation losses are not of the same thing."
        )
    return tuple(texts)


def _chosen_section(chosen: Setting | None) -> tuple[Section, ...]:
    if chosen is None or not chosen.rows:
        return ()
    name = ", ".join(f"{key}={value}" for key, value in chosen.values.items()) or "the only one"
    return (Section(f"The chosen setting: {name}", score_tables(summarise(chosen.rows))),)


def _stopped_section(trained: Sequence[Trained]) -> tuple[Section, ...]:
    items = tuple(
        f"{one.member.name}, kept up to episode {one.episodes}: {one.stopped}" for one in trained if one.stopped
    )
    return (Section("Runs that could not go on", (Bullets(items),)),) if items else ()


def _runs_table(trained: Sequence[Trained]) -> Table:
    body = [
        [
            one.member.name,
            str(one.episodes),
            NONE if one.best is None else str(one.best),
            NONE if one.valid_query_loss is None else f"{one.valid_query_loss:.4f}",
        ]
        for one in trained
    ]
    return Table(["run", "episodes", "best checkpoint", "its validation loss"], body)
