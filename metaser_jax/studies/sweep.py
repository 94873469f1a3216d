"""A sweep: meta-training for every seed and setting, the adaptation of each, and a table of the settings.

The setting is chosen by the sources: the lowest query loss after adaptation on their validation parts, mean over seeds.
The target's scores are shown beside, and choose nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.adaptation.engine import adapt, draw
from metaser_jax.adaptation.starts import resolve
from metaser_jax.data.embeddings import with_embeddings
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.report.content import Content, Section, Table, bullets_section, run_section, table_of
from metaser_jax.report.page import cite_section, corpora_of, write_page
from metaser_jax.report.tables import score_tables, split_table
from metaser_jax.report.text_page import markdown_table
from metaser_jax.results.outcomes import PREDICTIONS, Amount, Outcome, write_predictions
from metaser_jax.results.rows import SCORES, completed, split_name
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.results.significance import Seeds, seed_interval
from metaser_jax.results.summary import summarise
from metaser_jax.specs import FinetuneSpec, JobSpec, MetaTrainSpec, how_fields, presets
from metaser_jax.specs.programs import SweepConfig
from metaser_jax.studies import TEXTS
from metaser_jax.studies.driver import write_csv, write_json
from metaser_jax.training.meta_train import ADVICE, Member, Trained, load_groups, train_groups
from metaser_jax.training.pretrain import MULTISER, trained_first

NAME = "sweep"
# What a sweep that is there may be gone on with in another way.
FREE = ("data_dir", "out", "runs", *how_fields(SweepConfig))
# Settings that differ in one of these are validated on other episodes.
_OTHER_EPISODES = ("shots", "queries", "split_seed", "pool_sources", "normalise", "trim_db", "deltas")
NONE = "-"
_TEXTS = TEXTS[NAME]


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
    def finished(self) -> list[Trained]:
        """The runs that have finished."""
        return [one for one in self.trained if one.stopped is None]

    def valid_query_loss(self) -> Seeds:
        """Return the validation query loss over the training seeds of the runs that have finished."""
        losses: list[Any] = [one.valid_query_loss for one in self.finished]
        return seed_interval(losses)


def run_sweep(config: SweepConfig, command: str, *, load: Load = load_corpus) -> Path:
    """Train and adapt what is missing, and write sweep.json, sweep.csv, the report, and with a target its results.

    results.jsonl has a line per setting, amount, fold and draw, as metaser finetune's with two fields more: swept, the
    setting, and init_valid_query_loss, of the run that the draw starts from.

    Args:
      command: what the user ran, for the report.

    Returns:
      Path of report.html.

    Raises:
      InputError: sources or a target that do not allow it, before anything is computed; what the runs raise; at the
        end, runs that could not go on.
      cluster.Preempted: as train_groups.
    """
    members = [Member(*one[:2], MetaTrainSpec.of(one.config), one.config.run_dir) for one in config.grid_members]
    load = with_embeddings(load, config.embeddings, members[0].spec)
    groups = load_groups(members, config.data_dir, load)
    preset = presets.FINETUNE[config.adapt_preset]
    spec = FinetuneSpec(**preset | {"emotions": config.emotions, "devices": config.devices})
    amounts = [Amount("shots", shots) for shots in config.adapt_shots]
    of_split = {"split_kind": config.split, "split_seed": config.target_split_seed, "folds": config.folds}
    folds: tuple[Target, ...] = ()
    if config.target is not None:
        folds = load_targets(config.target, config.data_dir, emotions=config.emotions, **of_split, load=load)
    for target, amount, seed in itertools.product(folds, amounts, range(config.draws)):
        draw(target, amount, spec.validation, seed)
    out = Path(config.out)
    digests = {n: ready.digest for group in groups for n, ready in zip(config.sources, group.ready, strict=True)}
    of_corpora = {"corpus_digests": digests, "target_digest": folds[0].digest if folds else None}
    claim(out, dataclasses.asdict(config) | of_corpora, free=FREE)
    job, start = JobSpec.of(config), str(out / MULTISER)
    init = trained_first(config.init, members[0].spec, config.data_dir, start, job, load)
    by_name = train_groups(groups, job, config.data_dir, init=init)
    trained = [by_name[member.name] for member in members]
    settings = []
    outcomes: list[Outcome] = []
    for values in config.settings:
        setting = Setting(values, tuple(one for one in trained if one.member.setting == values), [])
        adapted = _adapt(spec, setting.finished, folds, amounts, config.draws)
        settings.append(setting._replace(rows=[one.row for one in adapted]))
        outcomes += adapted
    if outcomes:
        write_predictions(out / PREDICTIONS, folds[0].corpus, outcomes)
        write_text(out / RESULTS, to_lines(one.row for one in outcomes))
    chosen = choose(settings)
    lines = lines_of(settings, chosen)
    runs = []
    for one in trained:
        run = {"run": one.member.name, "setting": one.member.setting, "seed": one.member.spec.seed}
        run |= {"episodes": one.episodes, "best_episode": one.best, "valid_query_loss": one.valid_query_loss}
        runs.append(run | {"stopped": one.stopped})
    content = {"command": command, "config": dataclasses.asdict(config), "settings": lines, "runs": runs}
    write_json(out / f"{NAME}.json", content)
    # Each swept field is a column of its own.
    flat = [{f"swept_{n}": v for n, v in one.pop("setting").items()} | one for one in map(dict, lines)]
    write_csv(out / f"{NAME}.csv", flat)
    stopped = [f"{one.member.name}, kept up to episode {one.episodes}: {one.stopped}" for one in trained if one.stopped]
    report = write_page(out, _content(config, command, settings, chosen, lines, stopped))
    if stopped:
        each = "\n".join(f"  {line}" for line in stopped)
        raise InputError(
            f"{len(stopped)} of {len(trained)} runs could not go on; the others are finished, and {report} says so.\n"
            f"{each}\n{ADVICE.replace('--run_dir;', '--out.')}"
        )
    return report


def choose(settings: Sequence[Setting]) -> Setting | None:
    """Return the setting with the lowest mean validation loss on the sources, of those whose runs have all finished."""
    whole = [one for one in settings if len(one.finished) == len(one.trained)]
    return min(whole, key=lambda one: one.valid_query_loss().mean) if whole else None


def _adapt(
    spec: FinetuneSpec, finished: Sequence[Trained], folds: Sequence[Target], amounts: Sequence[Amount], draws: int
) -> list[Outcome]:
    """Return the adaptations of a setting: draw i from its i-th finished run, and from the first after the last."""
    if not (folds and finished):
        return []
    resolved = [resolve(one.member.run_dir, spec, folds[0].corpus.name) for one in finished]
    found = []
    for one in adapt(resolved[0][0], [init for _, init in resolved], folds, amounts, draws):
        start = finished[one.row["seed"] % len(finished)]
        more = {"swept": start.member.setting, "init_valid_query_loss": start.valid_query_loss}
        found.append(one._replace(row=one.row | more))
    return found


def lines_of(settings: Sequence[Setting], chosen: Setting | None) -> list[dict[str, Any]]:
    """Return JSON-able: each setting and amount of target data, or each setting where there is no target."""
    lines = []
    for one in settings:
        loss, deviation = one.valid_query_loss()[:2] if one.finished else (None, None)
        line = {
            "setting": one.values,
            "chosen": one is chosen,
            "train_seeds": [run.member.spec.seed for run in one.finished],
            "stopped_seeds": [run.member.spec.seed for run in one.trained if run.stopped is not None],
            "valid_query_loss": loss,
            "valid_query_loss_deviation": deviation,
        }
        of_target = []
        for summary in summarise(one.rows):
            scores = {name: getattr(summary, name) for name in ("target", "split", "folds", "shots")}
            scores["n_draws"] = len(summary.seeds)
            for score in SCORES:
                spread = getattr(summary, score)
                scores |= {score: spread and spread.mean, f"{score}_deviation": spread and spread.deviation}
            of_target.append(line | scores)
        lines += of_target or [line]
    return lines


def _settings_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row per line of lines_of; the chosen setting is marked."""

    def seeds(line: Mapping[str, Any]) -> str:
        finished, stopped = len(line["train_seeds"]), len(line["stopped_seeds"])
        return f"{finished} of {finished + stopped}: the others stopped" if stopped else str(finished)

    def validation(line: Mapping[str, Any]) -> str:
        loss = _spread(line, "valid_query_loss", len(line["train_seeds"]))
        return f"{loss} (chosen)" if line["chosen"] else loss

    columns = {name: lambda line, name=name: str(line["setting"][name]) for line in lines for name in line["setting"]}
    columns |= {"training seeds": seeds, "validation loss on the sources": validation}
    of_target = [line for line in lines if "target" in line]
    if len({line["shots"] for line in of_target}) > 1:
        columns["shots"] = lambda line: str(line.get("shots", NONE))
    if of_target:
        columns["macro F1 on the target"] = lambda line: _spread(line, "macro_f1", line.get("n_draws", 0))
        columns["draws"] = lambda line: str(line.get("n_draws", 0))
    return table_of(columns, lines)


def _spread(line: Mapping[str, Any], name: str, n: int) -> str:
    if line.get(name) is None:
        return NONE
    return f"{line[name]:.3f} (one)" if n == 1 else f"{line[name]:.3f} ± {line[f'{name}_deviation']:.3f}"


def text_of(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the table for a terminal."""
    table = _settings_table(lines)
    return markdown_table(table.header, table.body)


def _content(
    config: SweepConfig,
    command: str,
    settings: Sequence[Setting],
    chosen: Setting | None,
    lines: Sequence[Mapping[str, Any]],
    stopped: Sequence[str],
) -> Content:
    """Return the report."""
    trained = [run for one in settings for run in one.trained]
    rows, swept = completed(row for one in settings for row in one.rows), tuple(config.swept)
    sources = " and ".join(config.sources)
    intro = f"Meta-training on {sources}, {config.seeds} seeds of each of {len(settings)} settings."
    if rows:
        intro += f" Each was adapted to {config.target}, {split_name(config.split, config.folds or None)} split."
    explained = [_TEXTS["validation"], *([_TEXTS["target"]] if rows else [])]
    other = [name for name in swept if name in _OTHER_EPISODES]
    if other:
        explained.append(_TEXTS["other_episodes"].format(other=", ".join(other)))
    of_chosen = ()
    if chosen is not None and chosen.rows:
        name = ", ".join(f"{key}={value}" for key, value in chosen.values.items()) or "the only one"
        of_chosen = (Section(f"The chosen setting: {name}", score_tables(summarise(chosen.rows))),)
    runs = {
        "run": lambda one: one.member.name,
        "episodes": lambda one: str(one.episodes),
        "best checkpoint": lambda one: NONE if one.best is None else str(one.best),
        "its validation loss": lambda one: NONE if one.valid_query_loss is None else f"{one.valid_query_loss:.4f}",
    }
    sections = (
        Section("Settings", (_settings_table(lines), *explained)),
        *of_chosen,
        *bullets_section("Runs that could not go on", stopped),
        Section("Runs", (table_of(runs, trained),)),
        *((Section("Splits of the target", (split_table(rows),)),) if rows else ()),
        run_section(command),
        cite_section(dict.fromkeys([*config.sources, *corpora_of(rows)])),
    )
    return Content(f"Sweep: {', '.join(swept) or 'seeds'}", intro, sections)
