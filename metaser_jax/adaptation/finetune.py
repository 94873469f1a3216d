"""Fine-tuning on a target language for several seeds, and its scores on the whole test part.

With folds over the target's speakers, each fold is the test part once.
"""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from metaser_jax.adaptation.draw import draw
from metaser_jax.adaptation.engine import adapt
from metaser_jax.adaptation.starts import resolve
from metaser_jax.adaptation.svm import SVM, adapt_svm, check_applies, load_sources
from metaser_jax.config import HOW, FinetuneConfig
from metaser_jax.datasets.ready import Ready, load_splits
from metaser_jax.devices import parallel
from metaser_jax.results.outcomes import PREDICTIONS, amount_of, write_predictions
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text


def load_target(config: FinetuneConfig) -> tuple[Ready, ...]:
    """The target, not normalised yet, with its one split or each of its folds; raises InputError as load_splits."""
    return load_splits(
        config.target,
        config.data_dir,
        emotions=config.emotions,
        split_kind=config.split,
        split_seed=config.split_seed,
        folds=config.folds,
    )


def run_finetune(
    config: FinetuneConfig, given: Collection[str] = (), log: Callable[[str], None] | None = None
) -> list[dict[str, Any]]:
    """Fine-tunes config.seeds times, writes results.jsonl, a line per seed, and predictions.npz, and returns the rows.

    With config.folds that is done for each fold: a line per fold and seed. Where jax has not been used yet and there is
    no accelerator, it runs on one device per core of the CPU.

    Args:
      given: as in `resolve`.
      log: as in `adapt`.

    Raises:
      InputError: from loading the checkpoint or the corpus, or from drawing; config.out holds something else; the
        training diverged.
    """
    parallel.one_device_per_core()
    if config.init == SVM:
        check_applies(given)
        config = dataclasses.replace(config, validation="none")  # it needs none
    else:
        config, init = resolve(config, given)
    folds, sources = load_target(config), load_sources(config)
    amount = amount_of(config)
    # Drawn before anything is written: what a later fold does not allow is an error at once.
    for ready in folds:
        for seed in range(config.seeds):
            draw(config, ready, seed)
    out = Path(config.out)
    digests = {"corpus_digest": folds[0].raw_digest, "source_digests": [source.raw_digest for source in sources]}
    claim(out, dataclasses.asdict(config) | digests, free=("data_dir", "out", *HOW))
    if config.init == SVM:
        outcomes = adapt_svm(config, folds, [amount], sources)
    else:
        outcomes = adapt(config, [init], folds, [amount], log)
    rows = [outcome.row for outcome in outcomes]
    write_predictions(out / PREDICTIONS, folds[0].corpus, outcomes)
    write_text(out / RESULTS, to_lines(rows))
    return rows
