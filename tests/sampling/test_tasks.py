"""Properties of tasks from labelled arrays: k shots of each of n classes, whatever the arrays are."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser_jax import InputError, task_sampler
from metaser_jax.devices import parallel

pytestmark = pytest.mark.usefixtures("strict_promotion")
# Classes with gaps, in any order; an example is its own number, so that what is drawn can be told.
LABEL = np.random.default_rng(0).permutation(np.repeat([3, 7, 11, 40, 41], [6, 5, 9, 5, 7]))
X = np.arange(len(LABEL), dtype=np.float32)[:, None]
SHAPE = {"n_way": 3, "shots": 2, "queries": 3, "tasks": 4}


def drawn(episode):
    """Numbers of the examples, support and query: [task, class, shots + queries]; their labels in the task, alike."""
    parts = [(b.x[..., 0], b.y) for b in episode]
    tasks, classes = parts[0][1].shape[0], int(parts[0][1].max()) + 1
    return tuple(
        np.concatenate([np.asarray(part[i]).reshape(tasks, classes, -1) for part in parts], axis=2).astype(int)
        for i in (0, 1)
    )


@settings(max_examples=10, deadline=None)
@given(
    sizes=st.lists(st.integers(3, 8), min_size=2, max_size=6),
    groups=st.integers(1, 3),
    n_way=st.integers(1, 6),
    shots=st.integers(1, 2),
    tasks=st.integers(1, 5),
    permute=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_tasks_are_balanced_disjoint_and_of_one_group(sizes, groups, n_way, shots, tasks, permute, seed):
    n_way = min(n_way, len(sizes))
    label, group = np.tile(np.repeat(np.arange(len(sizes)) * 10, sizes), groups), np.arange(groups).repeat(sum(sizes))
    order = np.random.default_rng(seed).permutation(len(label))
    label, group = label[order], group[order]
    x = np.arange(len(label), dtype=np.float32)[:, None]
    shape = {"n_way": n_way, "shots": shots, "queries": 3 - shots, "tasks": tasks}
    sampler = task_sampler(x, label, **shape, group=group, permute=permute)

    examples, y = drawn(jax.jit(sampler)(jax.random.key(seed)))
    assert examples.shape == (tasks, n_way, 3)
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(n_way)[:, None], y.shape))
    for task in examples:
        assert len(np.unique(task)) == task.size, "no example twice, so none in both sets"
        assert len(np.unique(group[task])) == 1
        assert (label[task] == label[task[:, :1]]).all(), "a label is one class"
        assert len(np.unique(label[task[:, 0]])) == n_way
        assert permute or (np.diff(label[task[:, 0]]) > 0).all()
    turns = np.bincount(group[examples[:, 0, 0]], minlength=groups)
    assert turns.max() - turns.min() <= 1


def test_every_choice_and_order_of_classes_is_equally_likely():
    for permute, expected in ((True, itertools.permutations), (False, itertools.combinations)):
        sampler = task_sampler(X, LABEL, **SHAPE | {"tasks": 3000}, permute=permute)
        examples, _ = drawn(sampler(jax.random.key(1)))
        orders = list(expected(np.unique(LABEL).tolist(), 3))
        seen, times = np.unique(LABEL[examples[:, :, 0]], axis=0, return_counts=True)
        np.testing.assert_array_equal(seen, orders)
        mean = 3000 / len(orders)
        assert np.abs(times - mean).max() < 4.5 * np.sqrt(mean)
        for part in (examples[..., :2], examples[..., 2:]):
            of_class = np.array([np.sum(c == LABEL) for c in LABEL])
            mean = part.size / 5 / of_class
            assert (np.abs(np.bincount(part.ravel(), minlength=len(LABEL)) - mean) < 5 * np.sqrt(mean)).all()


def test_the_same_tasks_for_any_division_and_under_any_transformation():
    sampler = task_sampler(X, LABEL, **SHAPE, group=LABEL > 100)
    key = jax.random.key(5)
    whole = jax.tree.leaves(sampler(key))  # op by op

    def same(episode):
        for a, b in zip(whole, jax.tree.leaves(episode), strict=True):
            np.testing.assert_array_equal(a, b)

    same(jax.jit(sampler)(key))
    same(jax.jit(lambda sampler, key: sampler(key))(sampler, key))  # the examples are an argument
    same(jax.tree.map(lambda a: a[1], jax.vmap(sampler)(jnp.stack([jax.random.key(0), key]))))
    parts = [jax.jit(functools.partial(sampler, first=first, tasks=n))(key) for first, n in ((0, 1), (1, 3))]
    same(jax.tree.map(lambda *a: jnp.concatenate(a), *parts))
    mesh = parallel.task_mesh(4, 2)
    of_devices = parallel.over_devices(lambda numbers, key: sampler(key, numbers[0], 2), mesh)
    same(jax.jit(of_devices)(jnp.arange(4), key))
    assert not np.array_equal(whole[0], sampler(jax.random.key(6)).support.x)


def test_examples_may_be_any_pytree_and_classes_have_names():
    x = {"image": np.zeros((len(LABEL), 4, 4), np.uint8), "number": X, "key": jax.random.split(jax.random.key(0), 32)}
    episode = task_sampler(x, [f"class {c}" for c in LABEL], **SHAPE)(jax.random.key(0))
    numbers = np.asarray(episode.query.x["number"][..., 0], int)
    assert episode.query.x["image"].shape == (4, 9, 4, 4)
    np.testing.assert_array_equal(
        jax.random.key_data(episode.query.x["key"]), np.asarray(jax.random.key_data(x["key"]))[numbers]
    )


def test_groups_may_have_classes_of_their_own():
    alphabet = np.where(LABEL < 20, "latin", "greek")  # three characters, and two
    sampler = task_sampler(X, LABEL, **SHAPE | {"n_way": 2}, group=alphabet)
    examples, _ = drawn(sampler(jax.random.key(0)))
    assert sorted(np.unique(alphabet[task]).tolist() for task in examples) == [
        ["greek"],
        ["greek"],
        ["latin"],
        ["latin"],
    ]
    with pytest.raises(InputError, match="n_way: got 3, expected at most the 2 classes that there are in group greek"):
        task_sampler(X, LABEL, **SHAPE, group=alphabet)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_way": 0}, "n_way: got 0, expected 1 or more"),
        ({"queries": 0}, "queries: got 0"),
        ({"n_way": 6}, "n_way: got 6, expected at most the 5 classes that there are\\."),
        ({"queries": 4}, r"class 7 has 5, class 40 has 5; expected at least 6 of each class \(2 shots \+ 4 queries\)"),
        ({"x": X[1:]}, r"x: got shape \(31, 1\), expected one for each of y's 32 examples"),
        ({"x": {"image": X[1:]}}, r"x\['image'\]: got shape \(31, 1\)"),
        ({"group": LABEL[1:]}, r"group: got shape \(31,\), expected one for each of y's 32"),
        ({"group": np.arange(len(LABEL))}, "class 3 in group .* has 1"),
        ({"y": X[:, 0]}, r"y: got float32 of shape \(32,\), expected an integer or a name"),
        ({"y": LABEL[:, None]}, r"y: got int64 of shape \(32, 1\), expected .* \[example\]"),
        ({"x": X[:0], "y": LABEL[:0]}, r"y: got int64 of shape \(0,\)"),
    ],
)
def test_bad_input_is_named_when_the_sampler_is_made(changed, message):
    with pytest.raises(InputError, match=message):
        task_sampler(**{"x": X, "y": LABEL, **SHAPE, **changed})
