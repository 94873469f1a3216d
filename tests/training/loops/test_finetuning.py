"""Fine-tuning: early stopping against plain Python, amounts that share a program, chunks, frozen layers, noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fakes import fake_corpus

from metaser_jax import Batch, EmotionLSTM, cross_entropy
from metaser_jax.models.classifier import in_head, take_head, with_head
from metaser_jax.training.loops.finetuning import Rows, apply_to_rows, finetune, mean_over_rows
from metaser_jax.training.trainer import cyclical

KEY = jax.random.key(0)
TRAIN, VALID = np.arange(0, 48, 2), np.arange(1, 48, 2)


@pytest.fixture(scope="module")
def data():
    corpus = fake_corpus(noise=3.0)
    return Batch(jnp.asarray(corpus.mfcc), jnp.asarray(corpus.label))


@pytest.fixture(scope="module")
def params():
    random = np.random.default_rng(0)
    shapes = {"hidden": (20, 6), "output": (6, 4)}
    return {name: jnp.asarray(random.normal(size=shape, scale=0.3), jnp.float32) for name, shape in shapes.items()}


def apply(params, x):
    """A network that is compiled quickly."""
    return jnp.tanh(jnp.mean(x, axis=1) @ params["hidden"]) @ params["output"]


LOSS = cross_entropy(apply)


def rows(index, n_max=None, junk=7) -> Rows:
    """Padded with an utterance that is none of the run's."""
    padded = np.full(n_max or len(index), junk, np.int32)
    padded[: len(index)] = index
    return Rows(jnp.asarray(padded), jnp.int32(len(index)))


@functools.partial(jax.jit, static_argnames=("lr", "batch_size", "max_epochs", "patience", "chunk", "augment"))
def tune(params, data, train, valid, key=KEY, *, lr=0.05, **settings):
    return finetune(LOSS, params, key, data, train, valid, optimizer=optax.adam(lr), **settings)


def close(got, want, rtol=1e-3, atol=1e-4):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), got, want)


def in_plain_python(params, data, train, valid, optimizer, batch_size, max_epochs, patience, loss_fn=LOSS):
    """The same as a loop: shuffled minibatches, the best epoch by validation loss."""
    n = len(train)
    steps = -(-n // batch_size)
    batch = -(-n // steps)
    shuffle = jax.random.split(KEY)[0]
    grad, loss = jax.jit(jax.grad(loss_fn)), jax.jit(loss_fn)

    def of(index):
        return Batch(data.x[index], data.y[index])

    state, best, best_loss, best_epoch = optimizer.init(params), params, float(loss(params, of(valid))), 0
    for epoch in range(1, max_epochs + 1):
        of_epoch = jax.random.fold_in(shuffle, epoch - 1)
        numbers = [int(jax.random.bits(jax.random.fold_in(of_epoch, i))) >> 1 for i in range(n)]
        order = train[np.argsort(numbers)]
        for start in range(0, n, batch):
            updates, state = optimizer.update(grad(params, of(order[start : start + batch])), state, params)
            params = optax.apply_updates(params, updates)
        if (current := float(loss(params, of(valid)))) < best_loss:
            best, best_loss, best_epoch = params, current, epoch
        if epoch - best_epoch >= patience:
            break
    return best, best_loss, best_epoch, epoch


def agrees(result, reference):
    (tuned, info), (best, best_loss, best_epoch, epochs) = result, reference
    assert (int(info.best_epoch), int(info.epochs)) == (best_epoch, epochs)
    np.testing.assert_allclose(info.best_valid_loss, best_loss, rtol=1e-4)
    close(tuned, best)


@pytest.mark.parametrize(("batch_size", "lr", "chunk"), [(64, 0.05, None), (7, 0.05, 3), (24, 0.3, 0)])
def test_early_stopping_equals_plain_python(data, params, batch_size, lr, chunk):
    settings = {"batch_size": batch_size, "max_epochs": 25, "patience": 3}
    train = TRAIN[:23]  # the last minibatch is smaller
    result = tune(params, data, rows(train, 30), rows(VALID, 29), lr=lr, chunk=chunk, **settings)
    agrees(result, in_plain_python(params, data, train, VALID, optax.adam(lr), **settings))


def test_the_head_alone_on_features_equals_the_slow_way(data):
    """The slow way: gradients of the whole network, the optimizer for the dense layers alone."""
    model = EmotionLSTM(hidden_dim=6, pooling="mean", activation="relu")
    params = model.init(KEY, data.x)
    optimizer = optax.adam(cyclical(0.01, 0.1, 3))
    settings = {"batch_size": 12, "max_epochs": 8, "patience": 4}

    def part_of(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: "head" if in_head(path) else "frozen", params)

    partitioned = optax.partition({"head": optimizer, "frozen": optax.set_to_zero()}, part_of)
    slow = in_plain_python(params, data, TRAIN, VALID, partitioned, **settings, loss_fn=cross_entropy(model.apply))

    features = data._replace(x=model.apply(params, data.x, method="features"))
    loss_fn = cross_entropy(functools.partial(model.apply, method="head"))
    train, valid = rows(TRAIN), rows(VALID)
    head, info = jax.jit(
        lambda: finetune(loss_fn, take_head(params), KEY, features, train, valid, optimizer=optimizer, **settings)
    )()
    tuned = with_head(params, head)
    agrees((tuned, info), slow)
    for layer in ("lstm_1", "lstm_2"):
        jax.tree.map(np.testing.assert_array_equal, tuned["params"][layer], params["params"][layer])
    for layer in ("hidden", "output"):
        assert not jnp.array_equal(tuned["params"][layer]["kernel"], params["params"][layer]["kernel"])
    np.testing.assert_allclose(model.apply(tuned, data.x), model.apply(slow[0], data.x), rtol=1e-3, atol=1e-3)


SETTINGS = {"batch_size": 10, "max_epochs": 8, "patience": 3}
SIZES = (24, 4, 11)


@pytest.fixture(scope="module")
def alone(data, params):
    """Runs of several sizes, each in a program of its own."""
    return [tune(params, data, rows(TRAIN[:n]), rows(VALID[: n + 2]), jax.random.key(n), **SETTINGS) for n in SIZES]


def test_padding_changes_nothing(data, params, alone):
    traces = tune._cache_size()
    for n, expected in zip(SIZES, alone, strict=True):
        key = jax.random.key(n)
        close(tune(params, data, rows(TRAIN[:n], 40), rows(VALID[: n + 2], 33), key, **SETTINGS), expected, 1e-5, 1e-6)
    assert tune._cache_size() == traces + 1, "all sizes share a program"
    more = tune(params, data, rows(TRAIN[:4], 40, junk=0), rows(VALID[:6], 33, junk=0), jax.random.key(4), **SETTINGS)
    close(more, alone[1], 1e-5, 1e-6)


@pytest.mark.parametrize("over", [jax.vmap, lambda f: lambda *xs: jax.lax.map(lambda x: f(*x), xs)])
def test_among_others_as_alone(data, params, alone, over):
    train, valid = (
        jax.tree.map(lambda *a: jnp.stack(a), *(rows(part[: n + more], 40) for n in SIZES))
        for part, more in ((TRAIN, 0), (VALID, 2))
    )
    keys = jax.vmap(jax.random.key)(jnp.array(SIZES))
    runs = jax.jit(over(lambda train, valid, key: tune(params, data, train, valid, key, **SETTINGS)))
    tuned, info = runs(train, valid, keys)
    for i, expected in enumerate(alone):
        close(jax.tree.map(lambda a, i=i: a[i], (tuned, info)), expected)


def test_nothing_to_train_on_is_the_start(data, params):
    tuned, info = tune(params, data, rows([], 5), rows([], 5), **SETTINGS)
    jax.tree.map(np.testing.assert_array_equal, tuned, params)
    assert (int(info.epochs), int(info.best_epoch)) == (0, 0)


def test_without_validation_it_trains_to_the_last_epoch(data, params):
    tuned, info = tune(params, data, rows(TRAIN), None, max_epochs=7, patience=2)
    assert (int(info.epochs), int(info.best_epoch)) == (7, 7)
    train = Batch(data.x[TRAIN], data.y[TRAIN])
    assert LOSS(tuned, train) < LOSS(params, train)


def test_rates_multiply_what_the_optimizer_says(data, params):
    rates = jax.tree.map(lambda p: jnp.linspace(0, 2, p.size).reshape(p.shape), params)
    train, settings = rows(TRAIN), {"batch_size": 24, "max_epochs": 2, "patience": 2}

    def scaled(optimizer):
        def update(grads, state, params):
            updates, state = optimizer.update(grads, state, params)
            return jax.tree.map(jnp.multiply, rates, updates), state

        return optax.GradientTransformation(optimizer.init, update)

    for optimizer in (optax.sgd(1.0), optax.adam(0.05)):
        tuned, info = finetune(
            LOSS, params, KEY, data, train, rows(VALID), optimizer=optimizer, rates=rates, **settings
        )
        agrees((tuned, info), in_plain_python(params, data, TRAIN, VALID, scaled(optimizer), **settings))
        assert info.best_epoch > 0
        assert tuned["hidden"][0, 0] == params["hidden"][0, 0], "a rate of 0"


def noisy(key, x):
    assert x.shape == (1, 10, 20)
    return x + jax.random.normal(key, x.shape)


def test_augmentation(data, params):
    train, valid = rows(TRAIN), rows(VALID)
    plain, _ = tune(params, data, train, valid, **SETTINGS)
    changed, _ = tune(params, data, train, valid, augment=noisy, **SETTINGS)
    assert not np.allclose(jax.tree.leaves(plain)[0], jax.tree.leaves(changed)[0], rtol=1e-3)
    # Neither the padding nor the chunks change what an utterance becomes.
    close(tune(params, data, rows(TRAIN, 50), valid, augment=noisy, chunk=3, **SETTINGS)[0], changed, 1e-4, 1e-5)
    close(tune(params, data, train, valid, augment=lambda key, x: x, **SETTINGS)[0], plain, 1e-5, 1e-6)
    # What is validated on is left as it is.
    _, info = tune(params, data, rows(TRAIN[:1]), valid, lr=1e-9, max_epochs=1, augment=lambda key, x: x + 100)
    np.testing.assert_allclose(info.best_valid_loss, LOSS(params, Batch(data.x[VALID], data.y[VALID])), rtol=1e-5)


def test_every_step_augments_anew(data, params):
    """Steps too small to matter see other noise of the one utterance: their gradients, which SGD adds up, differ."""
    sums = []
    for epochs in (1, 2):
        tuned, _ = finetune(
            LOSS, params, KEY, data, rows(TRAIN[:1]), None, optimizer=optax.sgd(1e-3), max_epochs=epochs, augment=noisy
        )
        sums.append(np.asarray(tuned["output"] - params["output"]))
    assert not np.allclose(sums[1] - sums[0], sums[0], rtol=1e-2)


RNG = np.random.default_rng(0)
X, Y, INDEX = RNG.normal(size=(9, 3)).astype(np.float32), np.arange(9, dtype=np.int32), np.array([8, 3, 3, 0, 5, 1, 2])


def mean(batch: Batch, position: jax.Array):
    weight = batch.weight / jnp.maximum(jnp.sum(batch.weight), 1e-9)
    return {"x": weight @ batch.x, "y": weight @ batch.y.astype(jnp.float32), "position": weight @ position}


@pytest.mark.parametrize("chunk", [0, 1, 3, 4, 100])
@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 5), (6, 7), (3, 3)])
@pytest.mark.usefixtures("strict_promotion")
def test_mean_over_rows(chunk, start, stop):
    weights = (None, RNG.uniform(size=9).astype(np.float32))
    for weight in weights:

        @jax.jit
        def of(start, stop, weight=weight):
            def function(batch, position):
                return mean(batch, position.astype(jnp.float32))

            data = Batch(jnp.asarray(X), jnp.asarray(Y), None if weight is None else jnp.asarray(weight))
            return mean_over_rows(function, data, jnp.asarray(INDEX), start, stop, at_most=7, chunk=chunk)

        got, rows = of(start, stop), INDEX[start:stop]
        by = None if weight is None else weight[rows]
        for name, values in (("x", X[rows]), ("y", Y[rows]), ("position", np.arange(start, stop))):
            expected = np.average(values, axis=0, weights=by) if len(rows) else np.zeros_like(got[name])
            np.testing.assert_allclose(got[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [0, 1, 3, 100])
def test_apply_to_rows(chunk):
    matrix = RNG.normal(size=(3, 2)).astype(np.float32)
    of = jax.jit(
        lambda n: apply_to_rows(lambda p, x: x @ p, matrix, jnp.asarray(X), Rows(jnp.asarray(INDEX), n), chunk)
    )
    for n in (7, 3, 0):
        got = of(n)
        assert got.shape == (7, 2)
        np.testing.assert_allclose(got[:n], X[INDEX[:n]] @ matrix, rtol=1e-5)
