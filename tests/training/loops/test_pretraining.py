"""Pre-training: epochs, early stopping and stages against plain Python, any division into dispatches, augmentation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fakes import fake_corpus

from metaser_jax import Batch, cross_entropy, supervised
from metaser_jax.training.loops.finetuning import stopped
from metaser_jax.training.loops.pretraining import init_state, next_stage, run_epochs, validation_loss
from metaser_jax.training.sampling import bank
from metaser_jax.training.sampling.minibatches import epoch_steps, round_robin, whole

KEY = jax.random.key(11)
BATCH = 16
LOSS = cross_entropy(lambda params, x: jnp.mean(x, axis=1) @ params["w"] + params["b"])
LEARNER = supervised(LOSS)
PARAMS = {"w": jnp.zeros((20, 4)), "b": jnp.zeros(4)}
TRACES = []


class Data(NamedTuple):
    train: bank.Bank
    valid: bank.Bank
    held_out: list  # a Batch of each source's validation part


@pytest.fixture(scope="module")
def data():
    corpora = [fake_corpus(per_emotion=n, seed=n, noise=3.0) for n in (6, 12)]
    train, valid = ([corpus.take(np.arange(len(corpus)) % 3 != 1) for corpus in corpora], [])
    valid = [corpus.take(np.arange(len(corpus)) % 3 == 1) for corpus in corpora]
    held_out = [Batch(jnp.asarray(corpus.mfcc), jnp.asarray(corpus.label)) for corpus in valid]
    return Data(bank.build(train), bank.build(valid), held_out)


def noisy(key, x):
    return x + jax.random.normal(key, x.shape)


def part(tree, p):
    return jax.tree.map(lambda a: a[p], tree)


def make(data, sources, optimizer, max_epochs, patience, augment=None, parts=2):
    """(program(state, n), steps of an epoch) of a stage."""
    order, number = jnp.asarray(sources), len(sources)
    steps, (held_out, divided) = epoch_steps(data.train, sources, BATCH), whole(data.valid, parts)

    def minibatch(key, step):
        TRACES.append(None)
        return round_robin(key, data.train, order, number, step, batch_size=BATCH, tasks=2)

    def validate(params):
        return sum(validation_loss(LOSS, params, held_out, part(divided, p), order, number, 3) for p in range(parts))

    limits = {"steps": steps, "max_epochs": max_epochs, "patience": patience}
    return jax.jit(
        lambda state, n: run_epochs(LEARNER, optimizer, minibatch, validate, KEY, state, n, **limits, augment=augment)
    ), steps


def in_plain_python(data, params, sources, optimizer, max_epochs, patience, *, stage, augment):
    """The same stage as a loop: the best epoch by the mean over sources of the validation loss."""
    key_batches, key_augment = jax.random.split(jax.random.fold_in(KEY, stage))
    value_and_grad, loss = jax.jit(jax.value_and_grad(LOSS)), jax.jit(LOSS)
    state, best, best_loss, best_epoch, step = optimizer.init(params), params, np.inf, 0, 0
    draw = jax.jit(
        lambda t: round_robin(key_batches, data.train, jnp.asarray(sources), len(sources), t, batch_size=BATCH)
    )
    losses = []
    for epoch in range(1, max_epochs + 1):
        train_losses = []
        for _ in range(epoch_steps(data.train, sources, BATCH)):
            x, y = (np.concatenate([getattr(part, name)[0] for part in draw(step)]) for name in "xy")
            if augment is not None:
                x = augment(jax.random.fold_in(key_augment, step), x)
            train_loss, grads = value_and_grad(params, Batch(x, y))
            updates, state = optimizer.update(grads, state, params)
            params, step = optax.apply_updates(params, updates), step + 1
            train_losses.append(train_loss)
        current = float(np.mean([loss(params, data.held_out[source]) for source in sources]))
        losses.append((float(np.mean(train_losses)), current))
        if current < best_loss:
            best, best_loss, best_epoch = params, current, epoch
        if epoch - best_epoch >= patience:
            break
    return best, best_loss, best_epoch, epoch, losses


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


@pytest.mark.parametrize(("max_epochs", "patience", "augment"), [(40, 3, None), (4, 40, noisy)], ids=["stops", "limit"])
def test_stages_and_early_stopping_equal_plain_python(data, max_epochs, patience, augment):
    optimizer = optax.adam(optax.linear_schedule(0.02, 0.005, 20))
    limits = (max_epochs, patience)
    state, params, total, ended = init_state(LEARNER, PARAMS, optimizer), PARAMS, 0, []
    for stage, sources in enumerate([[0], [1, 0]]):
        program, _ = make(data, sources, optimizer, *limits, augment)
        state, info = program(state, 1000)
        want, best_loss, best_epoch, epochs, losses = in_plain_python(
            data, params, sources, optimizer, *limits, stage=stage, augment=augment
        )
        total += epochs
        at = tuple(int(getattr(state, name)) for name in ("best_epoch", "epoch", "stage", "total_epoch"))
        assert at == (best_epoch, epochs, stage, total)
        close((state.best_params, state.best_loss), (want, best_loss))
        close(tuple(info), losses[-1])
        assert stopped(int(state.epoch), int(state.best_epoch), *limits)
        ended.append((best_epoch, epochs))
        before, params = state, state.best_params
        state = next_stage(state, optimizer)
        jax.tree.map(np.testing.assert_array_equal, state.params, before.best_params)
        assert int(optax.tree.get(state.opt_state, "count", filtering=lambda p, _: "Adam" in str(p))) == 0
    assert any(1 < best_epoch < epochs < max_epochs for best_epoch, epochs in ended) == (patience < max_epochs)


def test_any_division_into_dispatches_gives_the_same_bits(data):
    optimizer = optax.adam(0.1)
    program, _ = make(data, [0, 1], optimizer, 7, 7)
    start = init_state(LEARNER, PARAMS, optimizer)
    once, info = program(start, 100)
    state, traces = start, len(TRACES)
    for n in (1, 3, 2, 5):
        state, last = program(state, n)
    assert len(TRACES) == traces, "one program for any number of epochs"
    assert int(once.epoch) == 7
    jax.tree.map(np.testing.assert_array_equal, (once, info), (state, last))


def test_a_loss_that_is_only_as_low_is_no_better(data):
    """Parameters that do not move: the first epoch counts, and `patience` more are run."""
    optimizer = optax.sgd(0.0)
    program, _ = make(data, [0], optimizer, 9, 3)
    state, _ = program(init_state(LEARNER, PARAMS, optimizer), 9)
    assert (int(state.best_epoch), int(state.epoch)) == (1, 4)


def test_it_stops_at_the_epoch_whose_loss_is_not_finite(data):
    optimizer = optax.sgd(lambda step: jnp.where(step < 2 * 1, 0.1, jnp.nan))
    program, steps = make(data, [0], optimizer, 50, 50)
    assert steps == 1
    state, info = program(init_state(LEARNER, PARAMS, optimizer), 40)
    assert int(state.epoch) == 3
    assert int(state.best_epoch) == 2
    assert not np.isfinite(info.valid_loss)
    assert np.isfinite(state.best_params["w"]).all()
