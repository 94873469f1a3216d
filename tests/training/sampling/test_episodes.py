"""Properties of episodes: disjoint, balanced, one corpus per task, a function of (key, task) alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.training.sampling import bank
from metaser_jax.training.sampling.episodes import assign_corpora, sample
from metaser_jax.training.sampling.minibatches import epoch_steps, round_robin, sequential, whole

pytestmark = pytest.mark.usefixtures("strict_promotion")
SIZES = {"a": 12, "b": 9, "c": 30}


@pytest.fixture(scope="module")
def corpora():
    return [fake_corpus(name, per_emotion=size, seed=i) for i, (name, size) in enumerate(SIZES.items())]


def rows_of(bank_, x):
    """Which row of the bank each utterance of x [..., time, coef] is; -1 for none."""
    rows = {row.tobytes(): i for i, row in enumerate(np.asarray(bank_.x))}
    flat = np.asarray(x).reshape(-1, *x.shape[-2:])
    return np.array([rows.get(u.tobytes(), -1) for u in flat]).reshape(x.shape[:-2])


def test_episode_properties(corpora):
    source = bank.build(corpora)
    label = np.concatenate([c.label for c in corpora])
    corpus = np.repeat(np.arange(3), [len(c) for c in corpora])
    draw = jax.jit(lambda key: sample(key, source, tasks=7, shots=3, queries=4))
    for seed in range(5):
        episode = draw(jax.random.key(seed))
        assert episode.support.x.shape == (7, 12, 10, 20)
        assert episode.query.x.shape == (7, 16, 10, 20)
        support, query = rows_of(source, episode.support.x), rows_of(source, episode.query.x)
        assert (support >= 0).all()
        for task in range(7):
            together = np.concatenate([support[task], query[task]])
            assert len(np.unique(together)) == 28, "support and query are disjoint, and nothing is drawn twice"
            assert len(np.unique(corpus[together])) == 1, "a task is of one corpus"
        np.testing.assert_array_equal(label[support], episode.support.y)
        np.testing.assert_array_equal(label[query], episode.query.y)
        np.testing.assert_array_equal(episode.support.y, np.tile(np.repeat(np.arange(4), 3), (7, 1)))
        np.testing.assert_array_equal(np.sort(np.bincount(corpus[support[:, 0]], minlength=3)), [2, 2, 3])


def test_corpora_take_turns():
    corpora = jax.vmap(lambda key: assign_corpora(key, 3, jnp.arange(8)))(jax.random.split(jax.random.key(0), 300))
    counts = np.stack([np.bincount(c, minlength=3) for c in np.asarray(corpora)])
    assert counts.min() == 2
    assert counts.max() == 3
    assert np.abs(counts.mean(0) - 8 / 3).max() < 0.15


def test_pooled_sources_are_one_distribution(corpora):
    source = bank.build(corpora, pool=True)
    assert source.count.tolist() == [[51, 51, 51, 51]]
    episode = sample(jax.random.key(0), source, tasks=2, shots=8, queries=8)
    corpus = np.repeat(np.arange(3), [len(c) for c in corpora])
    assert len(np.unique(corpus[rows_of(source, episode.support.x)[0]])) > 1


def test_too_few_utterances_name_corpus_and_emotion(corpora):
    bank.check_enough(corpora, 4, 5, part="training part")
    with pytest.raises(InputError, match=r"b has 9 angry, b has 9 happy.*training part.*at least 10 of each.*--shots"):
        bank.check_enough(corpora, 5, 5, part="training part")
    bank.check_enough(corpora, 5, 5, pool=True, part="training part")
    with pytest.raises(InputError, match="all sources pooled has 51 angry"):
        bank.check_enough(corpora, 50, 5, pool=True, part="training part")


def test_a_bank_needs_corpora_of_the_same_emotions(corpora):
    with pytest.raises(InputError, match="at least one corpus"):
        bank.build([])
    with pytest.raises(InputError, match="b has emotions"):
        bank.build([corpora[0], corpora[1].select(("sad", "angry"))])


KEY = jax.random.key(3)
COUNTS = (20, 12, 60)


@pytest.fixture(scope="module")
def sources():
    """Three unbalanced sources of 19, 11 and 59 utterances, whose x tells source and utterance: 100 * source + i."""
    corpora = [fake_corpus(per_emotion=n // 4, frames=2).take(np.arange(1, n)) for n in COUNTS]
    built = bank.build(corpora)
    number = np.concatenate([100 * source + np.arange(n - 1) for source, n in enumerate(COUNTS)])
    x = jnp.asarray(np.broadcast_to(number[:, None, None], (len(number), 2, 3)), jnp.float32)
    label = dict(zip(number.tolist(), np.concatenate([corpus.label for corpus in corpora]).tolist(), strict=True))
    return built._replace(x=x), label


def drawn(episode):
    """Numbers and classes in the order of the stream."""
    x, y = (np.concatenate([getattr(part, name) for part in episode], axis=1) for name in "xy")
    return x[..., 0, 0].reshape(-1).astype(int).tolist(), y.reshape(-1).tolist()


@pytest.mark.parametrize("batch_size", [4, 8, 32])
@pytest.mark.parametrize("source", [0, 1, 2])
def test_each_utterance_once_per_pass(sources, source, batch_size):
    built, label = sources
    n, passes = COUNTS[source] - 1, 6
    draw = jax.jit(lambda step: sequential(KEY, built, source, step, batch_size=batch_size))
    stream, classes = [], []
    for step in range(-(-n * passes // batch_size)):
        batch, y = drawn(draw(step))
        assert len(batch) == batch_size
        stream, classes = stream + batch, classes + y
    every = [stream[start : start + n] for start in range(0, n * passes, n)]
    for one in every:
        assert sorted(one) == [100 * source + i for i in range(n)]
    assert len({tuple(one) for one in every}) == passes, "each pass has an order of its own"
    assert classes == [label[number] for number in stream]


def test_which_source_at_which_step(sources):
    built, _ = sources
    order, number = jnp.asarray([2, 0, 0]), 2  # the third is padding
    draw = jax.jit(lambda step: round_robin(KEY, built, order, number, step, batch_size=8))
    alone = jax.jit(lambda source, step: sequential(KEY, built, source, step, batch_size=8))
    for step in range(9):
        source = (2, 0)[step % 2]
        batch, _ = drawn(draw(step))
        assert {one // 100 for one in batch} == {source}
        assert batch == drawn(alone(source, step // 2))[0], "each source's own stream"


def test_the_same_utterances_for_any_number_of_tasks(sources):
    built, _ = sources
    one, two = (
        jax.jit(lambda tasks=tasks: sequential(KEY, built, 2, 5, batch_size=8, tasks=tasks))() for tasks in (1, 2)
    )
    assert one.support.y.shape == (1, 4)
    assert two.support.x.shape == two.query.x.shape == (2, 2, 2, 3)
    assert drawn(one) == drawn(two)


def test_keys_and_sources_have_orders_of_their_own(sources):
    built, _ = sources
    twice = built._replace(table=built.table[jnp.array([2, 2])], count=built.count[jnp.array([2, 2])])
    streams = [
        drawn(sequential(key, twice, source, 0, batch_size=32))[0]
        for key in (KEY, jax.random.key(4))
        for source in (0, 1)
    ]
    assert len({tuple(stream) for stream in streams}) == 4


def test_steps_of_an_epoch(sources):
    built, _ = sources
    assert [epoch_steps(built, [source], 8) for source in range(3)] == [3, 2, 8]
    assert epoch_steps(built, [0, 1, 2], 8) == 24, "as many rounds as the largest source has minibatches"
    assert epoch_steps(built, [0, 1], 64) == 2


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_whole_has_every_utterance_once(sources, parts):
    built, label = sources
    data, got = whole(built, parts)
    np.testing.assert_allclose(got.share.sum(axis=0), 1, rtol=1e-6)
    for source, n in enumerate(COUNTS):
        numbers = []
        for part in range(parts):
            rows = got.index[part, source, : got.number[part, source]]
            found = np.asarray(data.x)[rows][:, 0, 0].astype(int)
            assert data.y[rows].tolist() == [label[one] for one in found.tolist()]
            assert abs(len(found) - (n - 1) / parts) < 1, "equal parts"
            numbers += found.tolist()
        assert sorted(numbers) == [100 * source + i for i in range(n - 1)]
