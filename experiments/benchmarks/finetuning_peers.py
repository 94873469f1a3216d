"""Other ways to fine-tune for several amounts and seeds: what finetuning.py compares with."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaser_jax import Batch, EmotionLSTM, cross_entropy
from metaser_jax.models.classifier import in_head


class Problem(NamedTuple):
    """What is adapted, and to what.

    Attributes:
      params: where every run starts.
      x, y: the target's utterances. test: the scored ones.
      draws: of each amount, [seed] pairs of rows to train on and to validate on.
    """

    model: EmotionLSTM
    params: dict
    x: jax.Array
    y: jax.Array
    test: np.ndarray
    draws: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]


class Schedule(NamedTuple):
    optimizer: optax.GradientTransformation
    batch_size: int
    epochs: int


def restrict(optimizer: optax.GradientTransformation, adapt: str) -> optax.GradientTransformation:
    def part_of(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: "head" if in_head(path) else "frozen", params)

    if adapt == "all":
        return optimizer
    return optax.partition({"head": optimizer, "frozen": optax.set_to_zero()}, part_of)


def minibatches(key: jax.Array, n: int, batch_size: int) -> jax.Array:
    """[steps, batch] rows in random order; n where there is none."""
    steps = math.ceil(n / batch_size)
    batch = math.ceil(n / steps)
    order = jax.random.permutation(key, n)
    return jnp.concatenate([order, jnp.full(steps * batch - n, n, order.dtype)]).reshape(steps, batch)


def make_epoch(loss_fn, schedule: Schedule) -> Callable:
    """(params, opt_state, key, train) -> (params, opt_state): a pass over train in minibatches."""

    def epoch(params, opt_state, key, train: Batch):
        n = train.y.shape[0]

        def step(carry, rows):
            params, opt_state = carry
            weight = (rows < n).astype(train.x.dtype)
            rows = jnp.minimum(rows, n - 1)
            grads = jax.grad(loss_fn)(params, Batch(train.x[rows], train.y[rows], weight))
            updates, opt_state = schedule.optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        rows = minibatches(key, n, schedule.batch_size)
        return jax.lax.scan(step, (params, opt_state), rows)[0]

    return epoch


def better(params, loss, best, best_loss):
    return jax.tree.map(lambda a, b: jnp.where(loss < best_loss, a, b), params, best), jnp.minimum(loss, best_loss)


def program_per_amount(problem: Problem, schedule: Schedule) -> Callable[[], np.ndarray]:
    """A program for each amount, in which its seeds follow one another: what stood here before. Test logits."""
    loss_fn = cross_entropy(problem.model.apply)
    run_epoch = make_epoch(loss_fn, schedule)

    def one_seed(seed, train_rows, valid_rows):
        train, valid = (Batch(problem.x[rows], problem.y[rows]) for rows in (train_rows, valid_rows))

        def body(number, state):
            params, opt_state, best, best_loss = state
            params, opt_state = run_epoch(params, opt_state, jax.random.fold_in(jax.random.key(seed), number), train)
            return params, opt_state, *better(params, loss_fn(params, valid), best, best_loss)

        params = problem.params
        start = (params, schedule.optimizer.init(params), params, loss_fn(params, valid))
        best = jax.lax.fori_loop(0, schedule.epochs, body, start)[2]
        return problem.model.apply(best, problem.x[problem.test])

    all_seeds = jax.jit(lambda *seeds: jax.lax.map(lambda seed: one_seed(*seed), seeds))

    def call() -> np.ndarray:
        logits = []
        for draws in problem.draws:
            train, valid = map(np.stack, zip(*draws, strict=True))
            logits += list(np.asarray(all_seeds(np.arange(len(draws)), train, valid)))
        return np.stack(logits)

    return call


def python_loop(problem: Problem, schedule: Schedule) -> Callable[[], np.ndarray]:
    """A Python loop over amounts, seeds and epochs, each epoch and each validation jitted. Test logits."""
    loss_fn = cross_entropy(problem.model.apply)
    epoch, loss, apply = jax.jit(make_epoch(loss_fn, schedule)), jax.jit(loss_fn), jax.jit(problem.model.apply)
    init, better_jit = jax.jit(schedule.optimizer.init), jax.jit(better)

    def one_run(seed: int, train_rows: np.ndarray, valid_rows: np.ndarray) -> np.ndarray:
        train, valid = (Batch(problem.x[rows], problem.y[rows]) for rows in (train_rows, valid_rows))
        params, best, opt_state = problem.params, problem.params, init(problem.params)
        best_loss, best_epoch = loss(params, valid), 0
        for number in range(schedule.epochs):
            params, opt_state = epoch(params, opt_state, jax.random.fold_in(jax.random.key(seed), number), train)
            current = loss(params, valid)
            if float(current) < float(best_loss):  # as early stopping looks at it
                best_epoch = number
            best, best_loss = better_jit(params, current, best, best_loss)
        del best_epoch
        return np.asarray(apply(best, problem.x[problem.test]))

    def call() -> np.ndarray:
        return np.stack([one_run(s, *rows) for draws in problem.draws for s, rows in enumerate(draws)])

    return call
