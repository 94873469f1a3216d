"""Properties of splits and draws."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError, splits


@pytest.fixture(scope="module")
def corpus():
    return fake_corpus(per_emotion=50, speakers=10)


def per_class(corpus, index):
    return np.bincount(corpus.label[index], minlength=4)


@pytest.mark.parametrize("kind", ["random", "speaker"])
def test_parts_are_disjoint_and_whole(corpus, kind):
    split = splits.split(corpus, kind, seed=3)
    together = np.concatenate([split.train, split.valid, split.test])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(corpus)))
    for part in (split.train, split.valid, split.test):
        assert per_class(corpus, part).min() > 0
        assert (np.diff(part) > 0).all()


def test_random_split_is_stratified_70_30_and_a_fifth_of_train(corpus):
    split = splits.split(corpus, "random")
    assert per_class(corpus, split.test).tolist() == [15] * 4
    assert per_class(corpus, split.valid).tolist() == [7] * 4
    assert per_class(corpus, split.train).tolist() == [28] * 4


def test_speaker_split_is_by_speaker_and_near_the_same_shares(corpus):
    split = splits.split(corpus, "speaker")
    of_part = [set(corpus.speaker[part]) for part in (split.train, split.valid, split.test)]
    assert not (of_part[0] & of_part[1])
    assert not (of_part[0] & of_part[2])
    assert not (of_part[1] & of_part[2])
    assert abs(len(split.test) / len(corpus) - 0.3) < 0.05


@pytest.mark.parametrize("kind", ["random", "speaker"])
def test_same_seed_same_digest(corpus, kind):
    first, again, other = (splits.split(corpus, kind, seed).digest for seed in (5, 5, 6))
    assert first == again != other
    assert len(first) == 16


def test_digest_depends_on_the_files(corpus):
    renamed = dataclasses.replace(corpus, file=np.char.add(corpus.file, "x"))
    assert splits.split(corpus, "random").digest != splits.split(renamed, "random").digest


def test_speakers_that_cannot_cover_every_emotion_are_an_error(corpus):
    confounded = dataclasses.replace(corpus, speaker=np.array([f"only_{e}" for e in corpus.label]))
    with pytest.raises(InputError, match=r"fake cannot be split by speaker.*4 speakers.*1 angry.*--split=random"):
        splits.split(confounded, "speaker")
    with pytest.raises(InputError, match="1 speakers are left"):
        splits.split(dataclasses.replace(corpus, speaker=np.array(["one"] * len(corpus))), "speaker")


def test_too_small_and_unknown(corpus):
    with pytest.raises(InputError, match="too few utterances to split: 1 angry, 12 happy"):
        splits.split(fake_corpus().take(np.arange(11, 48)), "random")
    with pytest.raises(InputError, match="split: got 'speakers', expected one of: random, speaker"):
        splits.split(corpus, "speakers")


def test_shots(corpus):
    pool = splits.split(corpus, "random").train
    drawn = splits.draw_shots(corpus, pool, 5, seed=1)
    assert per_class(corpus, drawn).tolist() == [5] * 4
    assert set(drawn) <= set(pool)
    np.testing.assert_array_equal(drawn, splits.draw_shots(corpus, pool, 5, seed=1))
    assert set(drawn) != set(splits.draw_shots(corpus, pool, 5, seed=2))
    with pytest.raises(InputError, match=r"--shots=29: the training part of fake has 28 angry.*Lower --shots to 28"):
        splits.draw_shots(corpus, pool, 29, seed=1)


def test_fraction(corpus):
    pool = splits.split(corpus, "random").train
    drawn = splits.draw_fraction(corpus, pool, 0.25, seed=1)
    assert per_class(corpus, drawn).tolist() == [7] * 4
    assert set(drawn) <= set(pool)
    np.testing.assert_array_equal(splits.draw_fraction(corpus, pool, 1.0, seed=1), pool)
    for fraction in (0.0, -0.1, 1.5):
        with pytest.raises(InputError, match="expected a number above 0 and at most 1"):
            splits.draw_fraction(corpus, pool, fraction, seed=1)
    with pytest.raises(InputError, match=r"--fraction=0.01: 112 utterances .* into 1 and 111"):
        splits.draw_fraction(corpus, pool, 0.01, seed=1)


@pytest.mark.parametrize("per_emotion", range(1, 9))
def test_small_corpora_have_every_emotion_in_every_part_or_are_an_error(per_emotion):
    small = fake_corpus(per_emotion=per_emotion)
    if per_emotion < 3:
        with pytest.raises(InputError, match="fake"):
            splits.split(small, "random")
    else:
        split = splits.split(small, "random")
        assert all(per_class(small, part).min() >= 1 for part in (split.train, split.valid, split.test))


def test_an_emotion_is_never_silently_lost(corpus):
    unbalanced = corpus.take(np.concatenate([np.arange(150), [150, 151, 152]]))  # 50, 50, 50 and 3
    with pytest.raises(InputError, match=r"--fraction=0.04.*3 sad"):
        splits.draw_fraction(unbalanced, np.arange(153), 0.04, seed=0)
    with pytest.raises(InputError, match=r"--validation=draw.*2 sad"):
        splits.hold_out(unbalanced, np.arange(152), seed=0)
    assert per_class(unbalanced, splits.draw_fraction(unbalanced, np.arange(153), 0.5, seed=0)).min() >= 1


def test_hold_out(corpus):
    drawn = splits.draw_shots(corpus, np.arange(len(corpus)), 5, seed=0)
    train, valid = splits.hold_out(corpus, drawn, seed=0)
    assert per_class(corpus, valid).tolist() == [1] * 4
    np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), drawn)
    with pytest.raises(InputError, match=r"--validation=draw: 4 utterances"):
        splits.hold_out(corpus, splits.draw_shots(corpus, np.arange(len(corpus)), 1, seed=0), seed=0)


def test_real_urdu_can_be_split_by_speaker_only_barely(real_corpora):
    """26 of its 29 speakers say one emotion: the oracle knows most answers of a random split, and none by speaker."""
    from metaser_jax import metrics

    stems = sorted(path.stem for path in (real_corpora / "urdu").rglob("*.flac"))
    label = np.array(["AHNS".index(stem.split("_")[2][0]) for stem in stems], np.int32)
    n = len(stems)
    base = fake_corpus(per_emotion=100)
    corpus = dataclasses.replace(
        base, label=label, speaker=np.array([stem.split("_")[0] for stem in stems]), file=np.array(stems)
    )
    assert n == 400
    split = splits.split(corpus, "random")
    oracle = metrics.speaker_oracle(
        label[split.train], corpus.speaker[split.train], corpus.speaker[split.test], classes=4
    )
    assert metrics.scores(label[split.test], oracle, 4)["macro_f1"] > 0.9
    by_speaker = splits.split(corpus, "speaker")
    assert not set(corpus.speaker[by_speaker.train]) & set(corpus.speaker[by_speaker.test])
