"""Fine-tuning: early stopping against plain Python, frozen layers, padding, and the same seed twice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fakes import fake_corpus

from metaser_jax import Batch, EmotionLSTM, InputError, cross_entropy
from metaser_jax.finetuning import finetune, restrict

MODEL = EmotionLSTM(hidden_dim=6, pooling="mean")
LOSS = cross_entropy(MODEL.apply)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def data():
    corpus = fake_corpus(noise=3.0)
    batch = Batch(jnp.asarray(corpus.mfcc), jnp.asarray(corpus.label))
    train, valid = (jax.tree.map(lambda a, s=s: a[s::2], batch) for s in (0, 1))
    return MODEL.init(KEY, train.x), train, valid


@functools.partial(jax.jit, static_argnames=("adapt", "max_epochs", "patience"))
def tune(train, valid, adapt="all", **schedule):
    optimizer = restrict(optax.adam(0.05), adapt)
    return finetune(LOSS, MODEL.init(KEY, train.x), KEY, train, valid, optimizer=optimizer, **schedule)


def in_plain_python(params, train, valid, optimizer, batch_size, max_epochs, patience):
    """The same schedule as a loop: shuffled minibatches, the best epoch by validation loss."""
    n = len(train.y)
    steps = -(-n // batch_size)
    batch = -(-n // steps)
    state, best, best_loss, best_epoch = optimizer.init(params), params, float(LOSS(params, valid)), 0
    grad, loss = jax.jit(jax.grad(LOSS)), jax.jit(LOSS)
    for epoch in range(1, max_epochs + 1):
        order = jax.random.permutation(jax.random.fold_in(KEY, epoch - 1), n)
        for start in range(0, n, batch):
            rows = order[start : start + batch]
            updates, state = optimizer.update(grad(params, Batch(train.x[rows], train.y[rows])), state, params)
            params = optax.apply_updates(params, updates)
        if (current := float(loss(params, valid))) < best_loss:
            best, best_loss, best_epoch = params, current, epoch
        if epoch - best_epoch >= patience:
            break
    return best, best_loss, best_epoch, epoch


@pytest.mark.parametrize(("batch_size", "lr"), [(64, 0.05), (7, 0.05), (24, 0.3)])
def test_early_stopping_equals_plain_python(data, batch_size, lr):
    params, train, valid = data
    settings = {"optimizer": optax.adam(lr), "batch_size": batch_size, "max_epochs": 25, "patience": 3}
    tuned, info = jax.jit(lambda: finetune(LOSS, params, KEY, train, valid, **settings))()
    best, best_loss, best_epoch, epochs = in_plain_python(params, train, valid, **settings)
    assert (int(info.best_epoch), int(info.epochs)) == (best_epoch, epochs)
    np.testing.assert_allclose(info.best_valid_loss, best_loss, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), tuned, best)


def test_it_learns(data):
    params, train, valid = data
    tuned, info = tune(train, valid, max_epochs=40)
    assert info.best_valid_loss < LOSS(params, valid)
    np.testing.assert_allclose(LOSS(tuned, valid), info.best_valid_loss, rtol=1e-5)


def test_without_validation_it_trains_to_the_last_epoch(data):
    params, train, _ = data
    tuned, info = tune(train, None, max_epochs=7, patience=2)
    assert (int(info.epochs), int(info.best_epoch)) == (7, 7)
    assert LOSS(tuned, train) < LOSS(params, train)


def test_head_leaves_the_lstm_alone_bit_for_bit(data):
    params, train, valid = data
    tuned, _ = tune(train, valid, adapt="head", max_epochs=5)
    for layer in ("lstm_1", "lstm_2"):
        jax.tree.map(np.testing.assert_array_equal, tuned["params"][layer], params["params"][layer])
    for layer in ("hidden", "output"):
        assert not jnp.array_equal(tuned["params"][layer]["kernel"], params["params"][layer]["kernel"])
    tuned, _ = tune(train, valid, max_epochs=5)
    assert not jnp.array_equal(tuned["params"]["lstm_1"]["bias"], params["params"]["lstm_1"]["bias"])
    with pytest.raises(InputError, match="adapt: got 'dense', expected one of: all, head"):
        restrict(optax.adam(0.05), "dense")


def test_padding_by_weight_zero_changes_nothing(data):
    params, _train, valid = data
    padded = Batch(
        jnp.concatenate([valid.x, 9 * jnp.ones_like(valid.x[:3])]),
        jnp.concatenate([valid.y, valid.y[:3]]),
        jnp.concatenate([jnp.ones(len(valid.y)), jnp.zeros(3)]),
    )
    np.testing.assert_allclose(LOSS(params, valid), LOSS(params, padded), rtol=1e-5)
    assert LOSS(params, padded._replace(weight=jnp.zeros(len(padded.y)))) == 0


def test_same_key_same_bits(data):
    params, train, valid = data
    run = jax.jit(lambda key: finetune(LOSS, params, key, train, valid, optimizer=optax.adam(0.05), batch_size=7)[0])
    jax.tree.map(np.testing.assert_array_equal, run(KEY), run(KEY))
