"""A sweep: meta-training for every seed and setting, the adaptation of each, and a table of the settings.

The setting is chosen by the sources: the lowest query loss after adaptation on their validation parts, mean over seeds.
What the target says of it is shown beside, and chooses nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metaser_jax.adaptation.engine import adapt, draw
from metaser_jax.adaptation.starts import resolve
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import PREDICTIONS, Amount, Outcome, write_predictions
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.results.series import split_name
from metaser_jax.specs import FinetuneSpec, JobSpec, MetaTrainSpec, how_fields, presets
from metaser_jax.specs.sweep import SweepConfig
from metaser_jax.studies import sweep_report, writing
from metaser_jax.studies.sweep_report import Described, Setting
from metaser_jax.training.grid import Group, Member, Trained, load_groups, train_groups
from metaser_jax.training.intervals import ADVICE
from metaser_jax.training.pretrain import MULTISER, trained_first

NAME = "sweep"
# What a sweep that is there may be gone on with in another way.
FREE = ("data_dir", "out", "runs", *how_fields(SweepConfig))


def run_sweep(
    config: SweepConfig, command: str, log: Callable[[str], None] = print, *, load: Load = load_corpus
) -> Path:
    """Train and adapt what is missing, and write sweep.json, sweep.csv, the report, and with a target its results.

    results.jsonl has a line per setting, amount, fold and draw, as metaser finetune's with two fields more: swept, the
    setting, and init_valid_query_loss, of the run that the draw starts from.

    Args:
      command: what the user ran, for the report.
      log: prints a line.

    Returns:
      Path of report.html.

    Raises:
      InputError: sources or a target that do not allow it, before anything is computed; what the runs raise; at the
        end, runs that could not go on.
      cluster.Preempted: as train_groups.
    """
    members = [Member(*one[:2], MetaTrainSpec.of(one.config), one.config.run_dir) for one in config.grid_members]
    groups = load_groups(members, config.data_dir, load)
    preset = presets.FINETUNE[config.adapt_preset]
    spec = FinetuneSpec(**preset | {"emotions": config.emotions, "devices": config.devices})
    amounts = [Amount("shots", shots) for shots in config.adapt_shots]
    of_split = {"split_kind": config.split, "split_seed": config.target_split_seed, "folds": config.folds}
    folds: tuple[Target, ...] = ()
    if config.target is not None:
        folds = load_targets(config.target, config.data_dir, emotions=config.emotions, **of_split, load=load)
    for target in folds:
        for amount in amounts:
            for seed in range(config.draws):
                draw(target, amount, spec.validation, seed)
    out = Path(config.out)
    claim(out, dataclasses.asdict(config) | _digests(groups, folds), free=FREE)
    job, start = JobSpec.of(config), str(out / MULTISER)
    init = trained_first(config.init, members[0].spec, config.data_dir, start, job, log, load)
    by_name = train_groups(groups, job, config.data_dir, log, init=init)
    trained = [by_name[member.name] for member in members]
    settings = []
    outcomes: list[Outcome] = []
    for values in config.settings:
        of_setting = tuple(one for one in trained if one.member.setting == values)
        adapted = _adapt(spec, of_setting, folds, amounts, config.draws, log)
        settings.append(Setting(values, of_setting, [one.row for one in adapted]))
        outcomes += adapted
    if outcomes:
        write_predictions(out / PREDICTIONS, folds[0].corpus, outcomes)
        write_text(out / RESULTS, to_lines(one.row for one in outcomes))
    chosen = choose(settings)
    lines = sweep_report.lines_of(settings, chosen)
    content = {"command": command, "config": dataclasses.asdict(config), "settings": lines}
    writing.write_json(out / f"{NAME}.json", content | {"runs": [sweep_report.run_line(one) for one in trained]})
    writing.write_csv(out / f"{NAME}.csv", map(sweep_report.flat, lines))
    place = f"{config.target}, {split_name(config.split, config.folds or None)} split" if config.target else None
    sweep = Described(out, command, config.sources, config.seeds, tuple(config.swept), place)
    report = sweep_report.write(sweep, settings, chosen, lines)
    stopped = [one for one in trained if one.stopped]
    if stopped:
        each = "\n".join(f"  {one.member.name}, kept up to episode {one.episodes}: {one.stopped}" for one in stopped)
        raise InputError(
            f"{len(stopped)} of {len(trained)} runs could not go on; the others are finished, and {report} says so.\n"
            f"{each}\n{ADVICE.replace('--run_dir;', '--out.')}"
        )
    return report


def choose(settings: Sequence[Setting]) -> Setting | None:
    """Return the setting with the lowest mean validation loss on the sources, of those whose runs have all finished."""
    whole = [one for one in settings if one.whole]
    return min(whole, key=lambda one: one.valid_query_loss().mean) if whole else None


def _digests(groups: Sequence[Group], folds: Sequence[Target]) -> dict[str, Any]:
    sources = {
        name: ready.digest
        for group in groups
        for name, ready in zip(group.members[0].spec.sources, group.ready, strict=True)
    }
    return {"corpus_digests": sources, "target_digest": folds[0].digest if folds else None}


def _adapt(
    spec: FinetuneSpec,
    trained: Sequence[Trained],
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    draws: int,
    log: Callable[[str], None],
) -> list[Outcome]:
    """Return the adaptations of a setting.

    Draw i from the i-th of its finished runs, and from the first after the last.
    """
    finished = [one for one in trained if one.stopped is None]
    if not (folds and finished):
        return []
    resolved = [resolve(one.member.run_dir, spec, folds[0].corpus.name) for one in finished]
    outcomes = adapt(resolved[0][0], [init for _, init in resolved], folds, amounts, draws, log)

    def with_setting(one: Outcome) -> Outcome:
        start = finished[one.row["seed"] % len(finished)]
        more = {"swept": start.member.setting, "init_valid_query_loss": start.valid_query_loss}
        return one._replace(row=one.row | more)

    return [with_setting(one) for one in outcomes]
