"""The sub-commands that prepare, train and study. The docstring of each is the head of its --help."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from metaser_jax import cli
from metaser_jax.messages import log, say

if TYPE_CHECKING:
    from metaser_jax.specs import programs as configs
    from metaser_jax.specs import studies


def prepare(config: configs.PrepareConfig, arguments: list[str]) -> None:
    """Extract the features of corpora, once; everything else reads what this program writes.

    metaser prepare --corpora=ravdess,emodb,urdu --manual_dir=RECORDINGS --data_dir=data
    """
    from metaser_jax import datasets

    options = {field.name: getattr(config, field.name) for field in dataclasses.fields(datasets.Options)}
    of_others = {name: value for name, value in options.items() if name not in datasets.OF_FOLDER}
    places, found = (config.manual_dir, config.data_dir), {}
    options_of = {
        datasets.known_name(name, "--corpora"): options if name.startswith("folder/") else of_others
        for name in config.corpora
    }
    # All that can be checked in a moment comes before any work.
    for name in options_of:
        datasets.put_back(name, config.data_dir)
    for name, options in options_of.items():
        if config.overwrite or not datasets.is_prepared(name, config.data_dir):
            found[name] = datasets.check(name, config.manual_dir, **options)
            for note in found[name].notes:
                say(f"note: {name}: {note}")
        else:  # with the same options?
            datasets.prepare(name, *places, **options)
    for name, options in options_of.items():
        if name in found and config.manual_dir is None:
            log(f"{name} is downloaded. Its licence: {datasets.builder_class(name).LICENSE}")
        start = time.perf_counter()
        statistics = datasets.prepare(name, *places, overwrite=config.overwrite, found=found.get(name), **options)
        print(statistics.report())
        took = f"prepared in {time.perf_counter() - start:.0f} s"
        print(f"  {took if name in found else 'was prepared already; --overwrite prepares it again'}\n")
    log(f"Next: {cli.program('meta-train')} --data_dir={config.data_dir} --sources=... --run_dir=...")


def corpora(config: configs.CorporaConfig, arguments: list[str]) -> None:
    """Print the paper's Table 1 from the corpora that are prepared, beside the published counts.

    metaser corpora --data_dir=data --format=markdown
    """
    from metaser_jax.studies import corpora_table

    table = corpora_table.rows(config.data_dir, config.corpora, config.split_seed)
    if config.format == "csv":
        print(corpora_table.comma_separated(table))
    else:
        print(corpora_table.markdown(table, config.data_dir, config.split_seed))


def meta_train(config: configs.MetaTrainConfig, arguments: list[str]) -> None:
    """Meta-train on source corpora: learn parameters from which a few gradient steps adapt to a new language.

    metaser meta-train --data_dir=data --sources=ravdess,emodb --run_dir=runs/meta --preset=recommended
    """
    from metaser_jax.training.meta_train import meta_train

    _log_next(config.data_dir, meta_train(config))


def pretrain(config: configs.PretrainConfig, arguments: list[str]) -> None:
    """Pre-train a baseline on source corpora: TransSER on one after another, MultiSER on all in turn.

    metaser pretrain --method=multiser --data_dir=data --sources=ravdess,emodb --run_dir=runs/multiser
    """
    from metaser_jax.training.pretrain import pretrain

    _log_next(config.data_dir, pretrain(config))


def _log_next(data_dir: str, run_dir: str | Path) -> None:
    from metaser_jax.training import cluster

    if cluster.is_primary():
        log(f"Next: {cli.program('finetune')} --data_dir={data_dir} --init={run_dir} --target=... --out=...")


def finetune(config: configs.FinetuneConfig, arguments: list[str]) -> None:
    """Fine-tune a meta-trained or pre-trained run, or random parameters, on a target corpus and score it there.

    metaser finetune --data_dir=data --init=runs/meta --target=urdu --shots=5 --out=runs/urdu_5

    Scores are of the whole test part. With --init=svm a support vector machine is fitted instead. With --split=speaker
    --folds=K, on each of K folds over the target's speakers.
    """
    from metaser_jax.adaptation.finetune import run_finetune
    from metaser_jax.report import summarise, table
    from metaser_jax.specs import flags

    rows = run_finetune(config, given=flags.given(type(config)))
    print(table(summarise(rows)))
    # A fold is a split of its own.
    digests = list(dict.fromkeys(row["split_digest"] for row in rows))
    split = f"split {digests[0]}" if config.folds == 0 else f"{config.folds} folds, splits {', '.join(digests)}"
    print(f"{len(rows)} lines in {config.out}/results.jsonl ({split}).")


def sweep(config: configs.SweepConfig, arguments: list[str]) -> None:
    """Sweep over seeds and settings of meta-training, as one compiled program for all that differ in numbers alone.

    metaser sweep --data_dir=data --sources=ravdess,emodb --grid=meta_lr=1e-3,2e-3 --out=runs/sweep

    Every run is one that metaser meta-train goes on with and metaser finetune starts from. Interrupted sweeps resume:
    repeat the command and it continues with what is missing.
    """
    from metaser_jax.studies.sweep import run_sweep, text_of

    report = run_sweep(config, command=cli.line())
    print(text_of(json.loads(Path(config.out, "sweep.json").read_text(encoding="utf-8"))["settings"]))
    print(f"Runs: {config.folder_of_runs}. Report: {report}")


def demo(config: configs.DemoConfig, arguments: list[str]) -> None:
    """Do the main job in minutes, on synthetic voices: learn from two languages, adapt to three others, write a report.

    metaser demo --out=runs/demo
    """
    from metaser_jax.studies.demo import run_demo

    run_demo(config, command=cli.line())


def unseen(config: studies.UnseenConfig, arguments: list[str]) -> None:
    """Run the benchmark: each corpus in turn is the unseen language, all others the sources; every method; a report.

    metaser unseen --data_dir=data --corpora=ravdess,emodb,tess --manual_dir=RECORDINGS --out=runs/unseen

    Interrupted studies resume: repeat the command and it continues with what is missing.
    """
    from metaser_jax.studies.unseen import run_unseen

    print(f"Report with pictures: {run_unseen(config, command=cli.line())}")


def table2(config: studies.Table2Config, arguments: list[str]) -> None:
    """Make the paper's Table 2: source sets x targets x methods -> macro F1, with intervals, comparisons and a report.

    metaser table2 --data_dir=data --source_sets=ravdess+emodb,ravdess,emodb --targets=urdu --out=runs/table2

    Interrupted studies resume: repeat the command and it continues with what is missing.
    """
    from metaser_jax.studies.paper import run_table2

    report = run_table2(config, command=cli.line())
    print((report.parent / "table2.md").read_text(encoding="utf-8"))
    print(f"Report: {report}")


def figure2(config: studies.Figure2Config, arguments: list[str]) -> None:
    """Make the paper's Figure 2: macro F1 by fraction, and by shots, of target data; crossover points; a report.

    metaser figure2 --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/figure2

    Interrupted studies resume: repeat the command and it continues with what is missing.
    """
    from metaser_jax.studies.paper import run_figure2

    print(f"Report with pictures: {run_figure2(config, command=cli.line())}")


def ablation_order(config: studies.OrderConfig, arguments: list[str]) -> None:
    """Compare second order with other meta-gradients, and with every other meta-learner; a report.

    metaser ablation-order --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/order

    Interrupted studies resume: repeat the command and it continues with what is missing.
    """
    from metaser_jax.studies.ablation_order import run_ablation_order

    print(f"Report with pictures: {run_ablation_order(config, command=cli.line())}")
