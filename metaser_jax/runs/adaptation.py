"""Adaptation to a target for every amount, seed and fold, as calls of one compiled program."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaser_jax import parallel
from metaser_jax.config import FinetuneConfig
from metaser_jax.errors import InputError
from metaser_jax.finetuning import Augment, FinetuneInfo, finetune
from metaser_jax.losses import cross_entropy
from metaser_jax.models import EmotionLSTM, take_head, with_head
from metaser_jax.over_runs import Plan, deal, over_runs, plan
from metaser_jax.ready import Ready
from metaser_jax.rows import Rows, apply_to_rows
from metaser_jax.runs.draws import draw_amount
from metaser_jax.runs.init import Init
from metaser_jax.runs.optimizers import make_optimizer
from metaser_jax.runs.outcomes import Amount, Outcome, outcome
from metaser_jax.runs.trainer import init_params, make_model
from metaser_jax.types import Batch, Params

# Row indices are padded to a multiple, so that corpora's parts of about the same size share a program.
PAD = 64


class _Case(NamedTuple):
    """One adaptation. Attributes: drawn: utterances to train on and to validate on, indices into the fold's corpus."""

    fold: int
    amount: Amount
    seed: int
    drawn: tuple[np.ndarray, np.ndarray]


class _Run(NamedTuple):
    """A case as the program takes it, in numpy; all zero is a run that has nothing to do."""

    params: Params
    seed: np.ndarray
    train: Rows
    valid: Rows | None
    test: Rows


def adapt(
    config: FinetuneConfig,
    inits: Sequence[Init],
    folds: Sequence[Ready],
    amounts: Sequence[Amount],
    log: Callable[[str], None] | None = None,
) -> list[Outcome]:
    """Fine-tunes for every fold, amount and seed (0 .. config.seeds - 1), and predicts the fold's test part.

    Args:
      config: the settings; its shots and fraction are not looked at.
      inits: where to start; seed s starts from inits[s % len(inits)]. All of the network that config names.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw.
      log: prints a line of progress.

    Returns:
      Outcomes in the order fold, amount, seed. Their `seconds` are the whole's, divided by the number of runs.

    Raises:
      InputError: nothing to do; a draw that the training part does not allow, before anything is trained; a training
        that diverged.
    """
    for what, given in (("inits", inits), ("folds", folds), ("amounts", amounts)):
        if not given:
            raise InputError(f"{what}: got none, expected at least one.")
    cases = [
        _Case(fold, amount, seed, draw_amount(config, ready, amount, seed))
        for fold, ready in enumerate(folds)
        for amount in amounts
        for seed in range(config.seeds)
    ]
    start = time.perf_counter()
    results = _train_and_predict(config, inits, folds, cases, log)
    seconds = (time.perf_counter() - start) / len(cases)
    return [
        outcome(
            config,
            folds[case.fold],
            inits[case.seed % len(inits)].source,
            case.amount,
            case.seed,
            case.drawn,
            logits.argmax(-1),
            best_epoch=int(info.best_epoch),
            epochs=int(info.epochs),
            seconds=seconds,
        )
        for case, (logits, info) in zip(cases, results, strict=True)
    ]


def _train_and_predict(
    config: FinetuneConfig,
    inits: Sequence[Init],
    folds: Sequence[Ready],
    cases: Sequence[_Case],
    log: Callable[[str], None] | None = None,
    augment: Augment | None = None,
) -> list[tuple[np.ndarray, FinetuneInfo]]:
    """Of each case the test logits [n_test, class], and the info; raises an InputError where one diverges."""
    model = make_model(config)
    # Only the statistics of a training part depend on the fold.
    different = folds if config.input.of_split else folds[:1]
    mfcc = [ready.as_input(config.input).corpus.mfcc for ready in different]
    training = [mfcc[min(fold, len(mfcc) - 1)][ready.split.train] for fold, ready in enumerate(folds)]
    starts, start_of = _starts(model, inits, config.seeds, training)
    # What LSTM layers that stay as they are make of an utterance is computed once, and not in every epoch.
    of_features = config.adapt == "head" and augment is None
    if of_features:
        blocks = [_features(model)(params, x) for params in starts for x in mfcc]
        starts = [take_head(params) for params in starts]
    else:
        blocks = mfcc
    label = folds[0].corpus.label
    runs_plan = plan(len(cases), config.devices)
    data = (np.concatenate(blocks), np.tile(label, len(blocks)))
    data = parallel.replicate(data, parallel.task_mesh(runs_plan.devices, runs_plan.devices))

    parts = [(*case.drawn, folds[case.fold].split.test) for case in cases]
    sizes = [max(map(len, part)) for part in zip(*parts, strict=True)]

    def run(case: _Case, parts: tuple[np.ndarray, ...]) -> _Run:
        start = start_of[case.fold, case.seed]
        block = (start * len(mfcc) if of_features else 0) + min(case.fold, len(mfcc) - 1)
        train, valid, test = (_rows(part + block * len(label), size) for part, size in zip(parts, sizes, strict=True))
        return _Run(starts[start], np.uint32(case.seed), train, None if config.validation == "none" else valid, test)

    program = _program(
        model,
        make_optimizer(
            config.optimizer,
            config.lr,
            schedule=config.schedule,
            base_lr=config.base_lr,
            half_cycle=config.half_cycle,
            weight_decay=config.weight_decay,
        ),
        config.adapt,
        augment,
        config.batch_size,
        config.max_epochs,
        config.patience,
        runs_plan,
    )
    runs = [run(case, part) for case, part in zip(cases, parts, strict=True)]
    nothing = jax.tree.map(np.zeros_like, runs[0])
    # The gradient of an utterance takes about three times as long as its loss.
    calls = deal([3 * len(train) + len(valid) for train, valid, _ in parts], runs_plan)
    results: dict[int, tuple[np.ndarray, FinetuneInfo]] = {}
    for call in calls:
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(runs[i] if i >= 0 else nothing for i in call))
        logits, info = jax.tree.map(np.asarray, program(stacked, *data))
        for place in np.flatnonzero(call >= 0):
            i = int(call[place])
            of_test = logits[place, : len(parts[i][-1])]
            _check_finite(config, cases[i], of_test)
            results[i] = of_test, jax.tree.map(lambda a, place=place: a[place], info)
        if log is not None:
            log(f"Adapted to {config.target}: {len(results)} of {len(cases)} runs.")
    return [results[i] for i in range(len(cases))]


def _starts(
    model: EmotionLSTM, inits: Sequence[Init], seeds: int, training: Sequence[np.ndarray]
) -> tuple[list[Params], dict[tuple[int, int], int]]:
    """Different parameters to start from, and which of them each (fold, seed) has; random ones are the seed's.

    Args:
      training: [n, time, coef] of each fold, its training part, for what random ones have of their input's statistics.
    """
    starts: list[Params] = []
    numbers: dict[tuple[int, tuple[int, int] | None], int] = {}
    start_of = {}
    for fold, x in enumerate(training):
        for seed in range(seeds):
            which = seed % len(inits)
            params = inits[which].params
            key = (which, (fold if model.input_statistics else 0, seed) if params is None else None)
            if key not in numbers:
                numbers[key] = len(starts)
                starts.append(jax.tree.map(np.asarray, _random(model)(seed, x) if params is None else params))
            start_of[fold, seed] = numbers[key]
    return starts, start_of


def _keys(seed: jax.Array) -> jax.Array:
    """A seed's keys: of its initial parameters, and of its training."""
    return jax.random.split(jax.random.key(seed))


@functools.cache
def _random(model: EmotionLSTM):
    return jax.jit(lambda seed, x: init_params(model, _keys(seed)[0], x))


@functools.cache
def _features(model: EmotionLSTM):
    def features(params: Params, x: jax.Array) -> jax.Array:
        everything = Rows(jnp.arange(len(x), dtype=jnp.int32), jnp.int32(len(x)))
        return apply_to_rows(functools.partial(model.apply, method="features"), params, x, everything)

    return jax.jit(features, compiler_options=parallel.compiler_options())


def _rows(index: np.ndarray, longest: int) -> Rows:
    n_max = max(PAD, -(-longest // PAD) * PAD)
    return Rows(np.pad(index, (0, n_max - len(index))).astype(np.int32), np.int32(len(index)))


def _check_finite(config: FinetuneConfig, case: _Case, logits: np.ndarray) -> None:
    if not np.isfinite(logits).all():
        fold = f", fold {case.fold}" if config.folds else ""
        raise InputError(
            f"--lr={config.lr}: fine-tuning on {config.target} diverged, with {case.amount.kind}={case.amount.value}, "
            f"seed {case.seed}{fold}. Lower it, in another --out."
        )


@functools.cache
def _program(
    model: EmotionLSTM,
    optimizer: optax.GradientTransformation,
    adapted: str,
    augment: Augment | None,
    batch_size: int,
    max_epochs: int,
    patience: int,
    runs_plan: Plan,
) -> Callable[..., tuple[jax.Array, FinetuneInfo]]:
    """The jitted program of a setting: (runs [run], x [m, ...], y [m]) -> (test logits [run, n_max, class], info).

    Methods, amounts, folds and seeds share its compiled form. Where the dense layers alone are adapted, without
    augment, x are features and the runs' params those of the dense layers.
    """

    def one_run(run: _Run, x: jax.Array, y: jax.Array):
        apply, start = model.apply, run.params
        if adapted == "head" and augment is None:
            apply = functools.partial(model.apply, method="head")
        elif adapted == "head":
            start = take_head(run.params)

            def apply(head: Params, x: jax.Array) -> jax.Array:
                return model.apply(with_head(run.params, head), x)

        tuned, info = finetune(
            cross_entropy(apply),
            start,
            _keys(run.seed)[1],
            Batch(x, y),
            run.train,
            run.valid,
            optimizer=optimizer,
            batch_size=batch_size,
            max_epochs=max_epochs,
            patience=patience,
            augment=augment,
        )
        return apply_to_rows(apply, tuned, x, run.test), info

    return jax.jit(over_runs(one_run, runs_plan), compiler_options=parallel.compiler_options())
