"""Tasks that ask for adaptation: of one voice, of other voices in the query set, with classes moved, of mixed shots."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fakes import fake_corpus
from test_episodes import rows_of

from metaser_jax import InputError
from metaser_jax.models.frames import frame_mask
from metaser_jax.sampling import bank
from metaser_jax.sampling.episodes import TaskRule, sample

pytestmark = pytest.mark.usefixtures("strict_promotion")
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


def drawn(source, rule, tasks=6, shots=3, queries=8, **options):
    draw = jax.jit(lambda key: sample(key, source, tasks=tasks, shots=shots, queries=queries, rule=rule, **options))
    return draw(jax.random.key(2))


def speakers(source, batch):
    """Of the utterances that count, [task] arrays of different ones."""
    of = np.asarray(source.speaker)[rows_of(source, batch.x)]
    weight = np.ones(of.shape) if batch.weight is None else np.asarray(batch.weight)
    return [np.unique(one[w > 0]) for one, w in zip(of, weight, strict=True)]


def test_numbers_of_speakers(source, corpora):
    assert source.speakers.tolist() == [[True] * 3 + [False] * 5, [False] * 3 + [True] * 5]
    names = np.concatenate([[f"{c.name}{s}" for s in c.speaker] for c in corpora])
    assert len(set(zip(names.tolist(), source.speaker.tolist(), strict=True))) == 8


def test_a_task_of_one_speaker(source):
    """Of 6 to 10 clips per emotion and speaker, 3 are shots; the others are queries, and what is missing weighs 0."""
    episode = drawn(source, TaskRule(one_speaker=True))
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
    seen = np.concatenate(speakers(source, drawn(source, rule, tasks=60).support))
    assert np.sum(seen < 3) == 30
    assert len(np.unique(seen)) == 8
    few = source._replace(speakers=source.speakers.at[1, 4:].set(False))
    assert set(np.concatenate(speakers(few, drawn(few, rule, tasks=60).support)).tolist()) == {0, 1, 2, 3}


def test_queries_of_other_speakers(source, corpora, voices):
    rule = TaskRule(other_speakers=True)
    parts = [
        [c.take(np.arange(len(c)) % 3 != 0) for c in corpora],
        [c.take(np.arange(len(c)) % 3 == 0) for c in corpora],
    ]
    train, valid = (bank.with_speakers(bank.build(part), part, voices) for part in parts)
    for support_bank, query_bank in ((source, source), (train, valid)):
        options = {} if query_bank is source else {"query_bank": query_bank}
        episode = drawn(support_bank, rule, **options)
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
    weights = drawn(source, TaskRule(other_speakers=True), tasks=20).support.weight.reshape(20, 4, 3)
    assert set(weights[:, 2].sum(axis=1).tolist()) == {0.0, 3.0}
    assert np.all(weights[:, [0, 1, 3]] == 1)


def test_a_mix_of_shots_draws_the_same_clips(source):
    plain, mixed = drawn(source, TaskRule(), tasks=30), drawn(source, TaskRule(shots_mix=(1, 3)), tasks=30)
    jax.tree.map(np.testing.assert_array_equal, plain, mixed._replace(support=mixed.support._replace(weight=None)))
    weight = np.asarray(mixed.support.weight).reshape(30, 4, 3)
    assert np.all(weight == weight[:, :1]), "all classes have as many"
    assert {tuple(one) for one in weight[:, 0].tolist()} == {(1, 0, 0), (1, 1, 1)}


@pytest.mark.parametrize("along", [False, True])
def test_classes_are_moved_alike_in_both_sets(along, source):
    tasks, size = 40, 2.0
    plain = drawn(source, TaskRule(), tasks=tasks)
    moved = drawn(source, TaskRule(corpus_shift=size) if along else TaskRule(class_shift=size), tasks=tasks)
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
    plain = drawn(source, TaskRule())
    dropped = drawn(source, TaskRule(dropout=0.25))
    for before, after in zip(plain, dropped, strict=True):
        kept = np.asarray(after.x) != 0
        np.testing.assert_allclose(np.asarray(after.x)[kept], np.asarray(before.x)[kept] / 0.75, rtol=1e-6)
        real = np.asarray(before.x) != 0
        assert kept[real].mean() == pytest.approx(0.75, abs=0.02)
        lost = ~kept & real
        assert np.all(lost == (lost[:, :, :1] & real)), "a coefficient, in all frames"
    noisy = drawn(source, TaskRule(noise=0.5))
    for before, after in zip(plain, noisy, strict=True):
        mask = np.asarray(frame_mask(before.x))
        np.testing.assert_array_equal(after.x[~mask], 0)
        assert np.std((after.x - before.x)[mask]) == pytest.approx(0.5, rel=0.02)


def test_a_task_depends_on_its_number_alone(source):
    rule = TaskRule(other_speakers=True, shots_mix=(1, 3), class_shift=1.0, dropout=0.2, noise=0.1)
    whole, last = drawn(source, rule), drawn(source, rule, tasks=2, first=4)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[4:], b), whole, last)


def test_who_is_heard(corpora, voices):
    assert [of.tolist() for of in bank.heard(corpora, voices, 10)] == [[True] * 3, [False] * 5]
    assert bank.heard([corpora[0].take(corpora[0].speaker == "s1")], voices[:1])[0].tolist() == [False, True, False]
    with pytest.raises(InputError, match="b has 0, expected at least 1 with 10"):
        bank.check_speakers(["a", "b"], [3, 0], 1, "with 10")
