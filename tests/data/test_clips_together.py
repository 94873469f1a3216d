"""Clips labelled together: what the means, the voices' normalisation and labelled clips do, on made clips."""

import numpy as np
import pytest

from metaser_jax.data import together
from metaser_jax.data.together import count_labelled, label_together, shape_of

CLASSES, FEATURES = 4, 12
RNG = np.random.default_rng(0)
CENTRES = 1.2 * RNG.normal(size=(CLASSES, FEATURES))


def voices(per_emotion, voices=3, seed=0, noise=1.0, moved=0.7):
    """Clips of voices: (x, normalised by a voice's own clips; label; voice). per_emotion: of each, how many."""
    rng, found = np.random.default_rng(seed), []
    for voice in range(voices):
        label = np.repeat(np.arange(CLASSES), per_emotion)
        # What an emotion is like differs from voice to voice.
        own = CENTRES + moved * rng.normal(size=CENTRES.shape)
        x = own[label] + noise * rng.normal(size=(len(label), FEATURES))
        found.append(((x - x.mean(0)) / x.std(0), label, np.full(len(label), f"v{voice}")))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


SOURCE = voices([30] * CLASSES, voices=6, seed=1)
SHAPE = shape_of([SOURCE], CLASSES)


def unsure(weight=0.35, moved=0.0):
    """A network that has learned from the sources, and is not sure."""
    means = SHAPE.mean + moved

    def answer(x):
        logits = -weight * ((x[:, None] - means) ** 2).sum(-1) / 2
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    return answer


# Another language: what it is given means something else than in the sources.
FOREIGN = unsure(0.3, moved=0.45 * np.random.default_rng(4).normal(size=CENTRES.shape))


def right(posteriors, label):
    return float((posteriors.argmax(1) == label).mean())


def test_the_shape_of_one_source_by_hand():
    x, label, voice = SOURCE
    shape = shape_of([SOURCE, SOURCE], CLASSES)
    mean = np.stack([x[label == e].mean(0) for e in range(CLASSES)])
    np.testing.assert_allclose(shape.mean, mean - mean.mean(0), atol=1e-6)
    np.testing.assert_allclose(shape.variance[2], x[label == 2].var(0), rtol=1e-5)
    rest, n = np.zeros_like(x), 30
    for e in range(CLASSES):
        for one in np.unique(voice):
            at = (label == e) & (voice == one)
            rest[at] = (x[at] - x[at].mean(0)) * np.sqrt(n / (n - 1))
    covariance = rest.T @ rest / len(x) + together.RIDGE * np.eye(FEATURES)
    np.testing.assert_allclose(shape.whitener @ covariance @ shape.whitener, np.eye(FEATURES), atol=5e-3)


def test_it_is_packed_and_read_again_to_the_bit():
    packed = together.pack(SHAPE)
    assert {name: (a.dtype, a.shape) for name, a in packed.items()} == {
        name: tuple(spec) for name, spec in together.specs(CLASSES, FEATURES).items()
    }
    for a, b in zip(together.unpack(packed), SHAPE, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("per_emotion", [[20] * 4, [24, 8, 4, 4], [20, 20, 20, 0]], ids=["even", "uneven", "missing"])
def test_clips_of_a_voice_help_each_other(per_emotion):
    x, label, voice = voices(per_emotion, seed=5, moved=0.3)
    found = label_together(x, voice, FOREIGN, SHAPE)
    assert right(found.posteriors, label) > right(FOREIGN(x), label) + 0.02
    np.testing.assert_allclose(found.posteriors.sum(1), 1, atol=1e-6)
    assert (found.voices == ["v0", "v1", "v2"]).all()
    assert (found.clips == sum(per_emotion)).all()
    assert np.abs(found.mix - np.array(per_emotion) / sum(per_emotion)).mean() < 0.1


def test_normalisation_by_an_uneven_set_is_corrected():
    x, label, voice = voices([40, 8, 4, 4], seed=7, moved=0.3, noise=1.3)
    without, with_ = (label_together(x, voice, FOREIGN, SHAPE, rounds=n).posteriors for n in (0, 2))
    assert right(with_, label) > right(without, label)


def test_labelled_clips_count_for_the_means():
    """Where the network mixes two emotions up, labelled clips of other voices tell them apart."""
    swapped = unsure(0.02, moved=0.0)
    x, label, voice = voices([12] * 4, seed=9, noise=1.5, moved=0.2)
    more = voices([20] * 4, voices=2, seed=11, moved=0.2)
    labelled = count_labelled(more[0], more[1], CLASSES)
    np.testing.assert_allclose(labelled.count, 40)
    np.testing.assert_allclose(labelled.total[1], more[0][more[1] == 1].sum(0))
    few, many = (label_together(x, voice, swapped, SHAPE, known).posteriors for known in (None, labelled))
    log_loss = [-np.log(p[np.arange(len(label)), label] + 1e-9).mean() for p in (few, many)]
    assert log_loss[1] < log_loss[0]


def test_a_voice_does_not_depend_on_the_order_of_clips():
    x, _, voice = voices([5, 3, 4, 6], seed=3)
    order = np.random.default_rng(0).permutation(len(x))
    a, b = label_together(x, voice, unsure(), SHAPE), label_together(x[order], voice[order], unsure(), SHAPE)
    np.testing.assert_allclose(a.posteriors[order], b.posteriors, atol=1e-9)
    np.testing.assert_allclose(a.mix, b.mix, atol=1e-9)


def test_dead_units_and_a_single_clip_give_finite_answers():
    shape = SHAPE._replace(mean=SHAPE.mean.copy(), variance=SHAPE.variance.copy())
    shape.mean[:, 3], shape.variance[:, 3] = 0, 0
    x, _, voice = voices([2, 1, 1, 0], seed=2)
    x[:, 3] = 0
    for at in (slice(None), slice(1)):
        assert np.isfinite(label_together(x[at], voice[at], unsure(), shape).posteriors).all()
