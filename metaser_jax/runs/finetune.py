"""Fine-tuning on a target language for several seeds at once, and its scores on the whole test part.

With folds over the target's speakers, one after another: each fold is the test part once.
"""

import dataclasses
import functools
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaser_jax.config import HOW, FinetuneConfig
from metaser_jax.errors import InputError
from metaser_jax.finetuning import finetune, restrict
from metaser_jax.losses import cross_entropy
from metaser_jax.ready import Ready, load_splits
from metaser_jax.runs.draws import draw
from metaser_jax.runs.init import Init, resolve
from metaser_jax.runs.outcomes import PREDICTIONS, Outcome, amount_of, outcome, write_predictions
from metaser_jax.runs.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.runs.svm import SVM, adapt_svm, check_applies, load_sources
from metaser_jax.runs.trainer import make_model
from metaser_jax.types import Batch, Params


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


def run_finetune(config: FinetuneConfig, given: Collection[str] = ()) -> list[dict[str, Any]]:
    """Fine-tunes config.seeds times, writes config.out/results.jsonl, a line per seed, and returns its rows.

    With config.folds that is done for each fold: a line per fold and seed.

    Args:
      given: as in `resolve`.

    Raises:
      InputError: from loading the checkpoint or the corpus, or from drawing; config.out holds something else; the
        training diverged.
    """
    if config.init == SVM:
        check_applies(given)
        config = dataclasses.replace(config, validation="none")  # it needs none
    else:
        config, init = resolve(config, given)
    folds, sources = load_target(config), load_sources(config)
    # All are drawn before the first is trained on: what a later fold does not allow is an error at once.
    drawn = [[draw(config, ready, seed) for seed in range(config.seeds)] for ready in folds]
    out = Path(config.out)
    digests = {"corpus_digest": folds[0].raw_digest, "source_digests": [source.raw_digest for source in sources]}
    claim(out, dataclasses.asdict(config) | digests, free=("data_dir", "out", *HOW))
    if config.init == SVM:
        outcomes = adapt_svm(config, folds, [amount_of(config)], sources)
    else:
        outcomes = []
        for ready, draws in zip(folds, drawn, strict=True):
            outcomes += _run_split(config, init, ready.normalised(config.normalise), draws)
    rows = [outcome.row for outcome in outcomes]
    write_predictions(out / PREDICTIONS, folds[0].corpus, outcomes)
    write_text(out / RESULTS, to_lines(rows))
    return rows


def _run_split(
    config: FinetuneConfig, init: Init, ready: Ready, draws: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Outcome]:
    """The outcomes of one split: draws are those of each seed; raises InputError where training diverges."""
    train_rows, valid_rows = map(np.stack, zip(*draws, strict=True))
    start = time.perf_counter()
    logits, info = _train_and_predict(config, init.params, ready, train_rows, valid_rows)
    seconds = time.perf_counter() - start
    if not np.isfinite(logits).all():
        raise InputError(f"--lr={config.lr}: fine-tuning on {config.target} diverged. Lower it, in another --out.")

    predicted = logits.argmax(-1)
    return [
        outcome(
            config,
            ready,
            init.source,
            amount_of(config),
            seed,
            draws[seed],
            predicted[seed],
            best_epoch=int(info.best_epoch[seed]),
            epochs=int(info.epochs[seed]),
            seconds=seconds / config.seeds,
        )
        for seed in range(config.seeds)
    ]


def _train_and_predict(config: FinetuneConfig, params: Params | None, ready: Ready, train_rows, valid_rows):
    """All seeds as one program: test logits [seed, n_test, class], and FinetuneInfo with arrays [seed]."""
    model = make_model(config)
    settings = (config.optimizer, config.lr, config.adapt, config.batch_size, config.max_epochs, config.patience)
    keys = jax.vmap(jax.random.split)(jax.vmap(jax.random.key)(jnp.arange(config.seeds)))  # [seed, 2]
    x, y = jnp.asarray(ready.corpus.mfcc), jnp.asarray(ready.corpus.label)
    if params is None:
        start = jax.vmap(lambda key: model.init(key, x[:1]))(keys[:, 0])
    else:
        start = jax.tree.map(lambda p: jnp.broadcast_to(p, (config.seeds, *p.shape)), params)
    program = _program(model, *settings)
    logits, info = program(start, keys[:, 1], train_rows, valid_rows, x, y, x[ready.split.test])
    return np.asarray(logits), jax.tree.map(np.asarray, info)


@functools.cache
def _program(model, optimizer, lr, adapt, batch_size, max_epochs, patience):
    """The jitted program of a setting; methods, targets and draws of the same sizes share its compiled form."""
    transformation = restrict({"adam": optax.adam, "sgd": optax.sgd}[optimizer](lr), adapt)
    loss_fn = cross_entropy(model.apply)

    def one_seed(params, key, train, valid, x, y, x_test):
        tuned, info = finetune(
            loss_fn,
            params,
            key,
            Batch(x[train], y[train]),
            Batch(x[valid], y[valid]) if valid.size else None,
            optimizer=transformation,
            batch_size=batch_size,
            max_epochs=max_epochs,
            patience=patience,
        )
        return model.apply(tuned, x_test), info

    def all_seeds(params, keys, train, valid, *data):
        # One after another, so that each stops at its own epoch.
        return jax.lax.map(lambda seed: one_seed(*seed, *data), (params, keys, train, valid))

    return jax.jit(all_seeds)
