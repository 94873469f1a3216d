"""Properties of tasks from labelled arrays: k shots of each of n classes, whatever the arrays are."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fakes import fake_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from test_episodes import rows_of

from metaser_jax import InputError, task_sampler
from metaser_jax.models.frames import frame_mask
from metaser_jax.training import parallel
from metaser_jax.training.sampling import bank
from metaser_jax.training.sampling.episodes import TaskRule, sample

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
    assert sorted(np.unique(alphabet[task]).tolist() for task in examples) == 2 * [["greek"]] + 2 * [["latin"]]
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


SPEAKERS = {"a": 3, "b": 5}
PER_EMOTION = 30


@pytest.fixture(scope="module")
def corpora():
    return [fake_corpus(name, PER_EMOTION, n, seed=i) for i, (name, n) in enumerate(SPEAKERS.items())]


@pytest.fixture(scope="module")
def voices(corpora):
    return [np.unique(corpus.speaker) for corpus in corpora]


@pytest.fixture(scope="module")
def source(corpora, voices):
    built = bank.with_speakers(bank.build(corpora), corpora, voices)
    return built._replace(directions=jnp.asarray(bank.directions(corpora)))


def drawn_by(source, rule, tasks=6, shots=3, queries=8, **options):
    draw = jax.jit(lambda key: sample(key, source, tasks=tasks, shots=shots, queries=queries, rule=rule, **options))
    return draw(jax.random.key(2))


def speakers(source, batch):
    """Of the utterances that count, [task] arrays of different ones."""
    of = np.asarray(source.speaker)[rows_of(source, batch.x)]
    weight = np.ones(of.shape) if batch.weight is None else np.asarray(batch.weight)
    return [np.unique(one[w > 0]) for one, w in zip(of, weight, strict=True)]


def test_a_task_of_one_speaker(source):
    """Of 6 to 10 clips per emotion and speaker, 3 are shots; the others are queries, and what is missing weighs 0."""
    episode = drawn_by(source, TaskRule(one_speaker=True))
    support, query = (speakers(source, part) for part in episode)
    assert [len(one) for one in support] == [1] * 6
    assert [one.tolist() for one in support] == [one.tolist() for one in query]
    assert np.all(episode.support.weight == 1)
    rows = [rows_of(source, part.x) for part in episode]
    count = list(SPEAKERS.values())
    for task in range(6):
        real = rows[1][task][np.asarray(episode.query.weight[task]) > 0]
        assert len(np.unique(np.concatenate([rows[0][task], real]))) == len(rows[0][task]) + len(real)
        own = PER_EMOTION // count[int(support[task][0] >= 3)]
        assert len(real) == 4 * min(own - 3, 8)


def test_corpora_take_turns_and_all_their_speakers_come(source):
    rule = TaskRule(one_speaker=True)
    seen = np.concatenate(speakers(source, drawn_by(source, rule, tasks=60).support))
    assert np.sum(seen < 3) == 30
    assert len(np.unique(seen)) == 8
    few = source._replace(speakers=source.speakers.at[1, 4:].set(False))
    assert set(np.concatenate(speakers(few, drawn_by(few, rule, tasks=60).support)).tolist()) == {0, 1, 2, 3}


def test_queries_of_other_speakers(source, corpora, voices):
    rule = TaskRule(other_speakers=True)
    parts = [
        [c.take(np.arange(len(c)) % 3 != 0) for c in corpora],
        [c.take(np.arange(len(c)) % 3 == 0) for c in corpora],
    ]
    train, valid = (bank.with_speakers(bank.build(part), part, voices) for part in parts)
    for support_bank, query_bank in ((source, source), (train, valid)):
        options = {} if query_bank is source else {"query_bank": query_bank}
        episode = drawn_by(support_bank, rule, **options)
        support, query = speakers(support_bank, episode.support), speakers(query_bank, episode.query)
        halves = set()
        for mine, theirs in zip(support, query, strict=True):
            assert not set(mine) & set(theirs)
            assert min(len(mine), len(theirs)) > 0
            assert len({speaker >= 3 for speaker in (*mine, *theirs)}) == 1, "of one corpus"
            halves.add(tuple(mine))
        assert len(halves) > 2, "each task is divided anew"
        np.testing.assert_array_equal(episode.query.y[0], np.repeat(np.arange(4), 8))


def test_what_a_half_lacks_weighs_nothing(corpora, voices):
    pair = [c.take(np.isin(c.speaker, ["s0", "s1"]) & ((c.speaker == "s0") | (c.label != 2))) for c in corpora]
    source = bank.with_speakers(bank.build(pair), pair, voices)
    weights = drawn_by(source, TaskRule(other_speakers=True), tasks=20).support.weight.reshape(20, 4, 3)
    assert set(weights[:, 2].sum(axis=1).tolist()) == {0.0, 3.0}
    assert np.all(weights[:, [0, 1, 3]] == 1)


def test_a_mix_of_shots_draws_the_same_clips(source):
    plain, mixed = drawn_by(source, TaskRule(), tasks=30), drawn_by(source, TaskRule(shots_mix=(1, 3)), tasks=30)
    jax.tree.map(np.testing.assert_array_equal, plain, mixed._replace(support=mixed.support._replace(weight=None)))
    weight = np.asarray(mixed.support.weight).reshape(30, 4, 3)
    assert np.all(weight == weight[:, :1]), "all classes have as many"
    assert {tuple(one) for one in weight[:, 0].tolist()} == {(1, 0, 0), (1, 1, 1)}


@pytest.mark.parametrize("along", [False, True])
def test_classes_are_moved_alike_in_both_sets(along, source):
    tasks, size = 40, 2.0
    plain = drawn_by(source, TaskRule(), tasks=tasks)
    moved = drawn_by(source, TaskRule(corpus_shift=size) if along else TaskRule(class_shift=size), tasks=tasks)
    offsets = np.full((tasks, 4, 20), np.nan)
    for before, after in zip(plain, moved, strict=True):
        mask = np.asarray(frame_mask(before.x))
        np.testing.assert_array_equal(after.x[~mask], 0)
        difference = np.asarray(after.x - before.x)
        for task in range(tasks):
            for label in range(4):
                mine = difference[task][np.asarray(before.y[task]) == label][
                    mask[task][np.asarray(before.y[task]) == label]
                ]
                np.testing.assert_allclose(mine, mine[:1].repeat(len(mine), 0), atol=1e-5)
                if np.isnan(offsets[task, label]).all():
                    offsets[task, label] = mine[0]
                np.testing.assert_allclose(offsets[task, label], mine[0], atol=1e-5)
    if not along:
        assert np.std(offsets) == pytest.approx(size, rel=0.1)
        return
    directions = np.asarray(source.directions).reshape(2, -1)
    fitted = np.linalg.lstsq(directions.T, offsets.reshape(tasks, -1).T, rcond=None)[0]
    np.testing.assert_allclose(directions.T @ fitted, offsets.reshape(tasks, -1).T, atol=1e-4)
    # Of two corpora the second lies where the first does not: what is moved is the sum of two draws.
    expected = size * np.sqrt(2) * np.sqrt(np.mean(np.square(directions)))
    assert np.sqrt(np.mean(np.square(offsets))) == pytest.approx(expected, rel=0.3)


def test_directions_are_differences_of_means(corpora):
    found = bank.directions(corpora)
    means = np.stack([[mean_of(corpus, label) for label in range(4)] for corpus in corpora])
    means -= means.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found[0], np.sqrt(2) * (means[0] - means[1]) / 2, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=(0, 1)), 0, atol=1e-5)


def mean_of(corpus, label):
    of = corpus.take(corpus.label == label)
    return np.mean([x[:n].mean(axis=0) for x, n in zip(of.mfcc, of.n_frames, strict=True)], axis=0)


def test_dropout_and_noise(source):
    plain = drawn_by(source, TaskRule())
    dropped = drawn_by(source, TaskRule(dropout=0.25))
    for before, after in zip(plain, dropped, strict=True):
        kept = np.asarray(after.x) != 0
        np.testing.assert_allclose(np.asarray(after.x)[kept], np.asarray(before.x)[kept] / 0.75, rtol=1e-6)
        real = np.asarray(before.x) != 0
        assert kept[real].mean() == pytest.approx(0.75, abs=0.02)
        lost = ~kept & real
        assert np.all(lost == (lost[:, :, :1] & real)), "a coefficient, in all frames"
    noisy = drawn_by(source, TaskRule(noise=0.5))
    for before, after in zip(plain, noisy, strict=True):
        mask = np.asarray(frame_mask(before.x))
        np.testing.assert_array_equal(after.x[~mask], 0)
        assert np.std((after.x - before.x)[mask]) == pytest.approx(0.5, rel=0.02)


def test_a_task_depends_on_its_number_alone(source):
    rule = TaskRule(other_speakers=True, shots_mix=(1, 3), class_shift=1.0, dropout=0.2, noise=0.1)
    whole, last = drawn_by(source, rule), drawn_by(source, rule, tasks=2, first=4)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[4:], b), whole, last)


def test_who_is_heard(corpora, voices):
    assert [of.tolist() for of in bank.heard(corpora, voices, 10)] == [[True] * 3, [False] * 5]
    assert bank.heard([corpora[0].take(corpora[0].speaker == "s1")], voices[:1])[0].tolist() == [False, True, False]
    with pytest.raises(InputError, match="b has 0, expected at least 1 with 10"):
        bank.check_speakers(["a", "b"], [3, 0], 1, "with 10")
