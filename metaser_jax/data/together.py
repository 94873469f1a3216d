"""Clips labelled together: those of one voice help each other, without a label of them.

What a network says of each clip by itself is where it starts. Then, of arrays of NumPy:

space   The input is whitened by what varies within one voice and one emotion in the sources (Shape). There clips of
        one emotion and voice form a ball, also along what means something else in another language.
EM      Means of each emotion, of all clips at hand weighted by posteriors and of labelled ones by labels; each
        voice's means are those, as if KAPPA of its clips had said them, moved by its own clips:

          m_ve = (sum q_ie x_i + kappa m_e) / (sum q_ie + kappa),
          log q_ie = LOGITS log p_ie - GEOMETRY / 2 |x_i - m_ve|^2 / (total variance) + constant

        No term says how often an emotion occurs: neither evenness nor an estimate of it does well where voices are
        uneven.
voice   A voice's mean and deviation depend on which emotions it was heard in. By the mix that the posteriors say, and
        by what the sources say of each emotion's mean and variance, they are moved to those of an even set, ROUNDS
        times.

NOTE: ours, after transductive few-shot learning, such as Boudiaf et al., "Information maximization for few-shot
learning", NeurIPS 2020; experiments/README.md has what each part is worth.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from metaser_jax import npz
from metaser_jax.data.inputs import CLIP

# Added to the variances within voice and emotion before they are inverted.
RIDGE = 0.3
# Clips that say what all voices say.
KAPPA = 8.0
# Weights of the network's log-probabilities and of squared distances.
LOGITS, GEOMETRY = 0.7, 16.0
ITERATIONS, ROUNDS = 10, 2
# Clips of each emotion that a voice's mix is smoothed with.
SMOOTHING = 8.0
# Added to both variances whose ratio corrects a deviation: units of an encoder may be dead.
DEAD = 1e-3
# Of the average voice: with fewer clips `auto` labels them one by one. Of a voice: what people are warned of.
FEWEST_CLIPS = 6
FEW_CLIPS, MOST_SHARE = 8, 0.6

Answer = Callable[[np.ndarray], np.ndarray]
"""What is heard [n, feature], as a network is given it -> log-probabilities [n, class], calibrated."""


class Shape(NamedTuple):
    """What sources say of a network's input, each source weighing the same.

    Attributes:
      mean: [class, feature] float32, of each emotion, less the mean over emotions.
      variance: [class, feature] float32.
      whitener: [feature, feature] float32, symmetric: (covariance within voice and emotion + RIDGE) ** -1/2.
    """

    mean: np.ndarray
    variance: np.ndarray
    whitener: np.ndarray


class Labelled(NamedTuple):
    """Labelled clips, as far as they count for the means. Attributes: count [class]; total [class, feature], sums."""

    count: np.ndarray
    total: np.ndarray


class Together(NamedTuple):
    """What was found of n clips of several voices.

    Attributes:
      posteriors: [n, class] float64.
      voices: [v] names, sorted.
      mix: [v, class], the share of each emotion in a voice's clips, as it came out.
      clips: [v] int.
    """

    posteriors: np.ndarray
    voices: np.ndarray
    mix: np.ndarray
    clips: np.ndarray


class Voice(NamedTuple):
    """How a voice came out. Attributes: name; clips; mix: emotion -> share; doubts: why it is to be doubted."""

    name: str
    clips: int
    mix: dict[str, float]
    doubts: tuple[str, ...]

    def __str__(self) -> str:
        shares = ", ".join(f"{emotion} {100 * self.mix[emotion]:.0f} %" for emotion in self._in_order())
        doubts = f" (to be doubted: {'; '.join(self.doubts)})" if self.doubts else ""
        return f"voice {self.name}, {self.clips} recordings: {shares}{doubts}"

    def _in_order(self) -> list[str]:
        return sorted(self.mix, key=self.mix.__getitem__, reverse=True)


def shape_of(sources: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], classes: int) -> Shape:
    """Return the Shape of sources, each (x [n, feature] as a network is given it, label [n] int, voice [n])."""
    means, variances, within = [], [], 0.0
    for x, label, voice in sources:
        x = np.asarray(x, np.float64)
        means.append(np.stack([x[label == e].mean(0) for e in range(classes)]))
        variances.append(np.stack([x[label == e].var(0) for e in range(classes)]))
        cell = np.unique(np.unique(voice, return_inverse=True)[1] * classes + label, return_inverse=True)[1]
        n = np.bincount(cell)
        total = np.zeros((len(n), x.shape[1]))
        np.add.at(total, cell, x)
        # A single clip of a voice and emotion says nothing of what varies within them.
        rest = (x - (total / n[:, None])[cell]) * np.sqrt(n / np.maximum(n - 1, 1))[cell, None]
        within = within + rest.T @ rest / (len(x) * len(sources))
    mean = np.mean(means, 0)
    values, vectors = np.linalg.eigh(within)
    whitener = (vectors / np.sqrt(np.maximum(values, 0) + RIDGE)) @ vectors.T
    found = Shape(mean - mean.mean(0), np.mean(variances, 0), whitener)
    return unpack(pack(found))  # as it is read again


def pack(shape: Shape) -> dict[str, np.ndarray]:
    """Return arrays to store: mean and variance float32 [class, feature]; the whitener's upper triangle float16."""
    upper = shape.whitener[np.triu_indices(len(shape.whitener))]
    return {
        "mean": shape.mean.astype(np.float32),
        "variance": shape.variance.astype(np.float32),
        "whitener": upper.astype(np.float16),
    }


def unpack(arrays: dict[str, np.ndarray]) -> Shape:
    """Return `pack` undone."""
    features = arrays["mean"].shape[1]
    upper = np.zeros((features, features), np.float32)
    upper[np.triu_indices(features)] = arrays["whitener"]
    return Shape(arrays["mean"], arrays["variance"], upper + np.triu(upper, 1).T)


def specs(classes: int, features: int) -> dict[str, npz.Spec]:
    """Return names, types and shapes of `pack`."""
    each, upper = (classes, features), (features * (features + 1) // 2,)
    of_classes = dict.fromkeys(("mean", "variance"), npz.Spec(np.dtype("<f4"), each))
    return of_classes | {"whitener": npz.Spec(np.dtype("<f2"), upper)}


def rules() -> dict[str, float]:
    """Return the constants by which clips are labelled together: what a result that was kept depends on."""
    of = {"ridge": RIDGE, "kappa": KAPPA, "logits": LOGITS, "geometry": GEOMETRY, "iterations": ITERATIONS}
    return of | {"rounds": ROUNDS, "smoothing": SMOOTHING, "dead": DEAD}


def check(shape: Shape | None, labelled: Labelled | None) -> None:
    """Raise ValueError for numbers that no input has, which is bounded (inputs.bounded): they may be a stranger's."""
    ranges = {}
    if shape is not None:
        most = 1.01 * RIDGE**-0.5
        ranges |= {"shape/mean": (shape.mean, -2 * CLIP, 2 * CLIP), "shape/variance": (shape.variance, 0, CLIP**2)}
        ranges["shape/whitener"] = (shape.whitener, -most, most)
    if labelled is not None:
        count = labelled.count[:, None]
        ranges |= {"labelled/count": (count, 0, 1e9), "labelled/total": (labelled.total / (count + 1e-6), -CLIP, CLIP)}
    for name, (numbers, low, high) in ranges.items():
        if not (low <= numbers.min() and numbers.max() <= high):
            raise ValueError(f"{name} has numbers outside {low:.3g} to {high:.3g}, which no input has")


def count_labelled(x: np.ndarray, label: np.ndarray, classes: int) -> Labelled:
    """Return what labelled clips count for. Args: x: [n, feature] as a network is given it; label: [n] int."""
    hot = np.eye(classes)[label]
    return Labelled(hot.sum(0), hot.T @ x)


def label_together(
    x: np.ndarray,
    voice: np.ndarray,
    answer: Answer,
    shape: Shape,
    labelled: Labelled | None = None,
    *,
    rounds: int = ROUNDS,
    weight: np.ndarray | float = 1.0,
) -> Together:
    """Label all clips at hand.

    Args:
      x: [n, feature], as a network is given it, each voice normalised by its own clips.
      voice: [n], whose they are.
      answer: of the (adapted) network.
      shape: of the sources.
      labelled: clips that the network was adapted to, of these or other voices.
      rounds: times that the voices' normalisation is corrected.
      weight: of each feature, by which x is bounded: inputs.weights.
    """
    voices, group, clips = np.unique(voice, return_inverse=True, return_counts=True)
    groups = [np.flatnonzero(group == v) for v in range(len(voices))]
    known = None if labelled is None else Labelled(labelled.count, labelled.total @ shape.whitener)
    second = shape.variance + shape.mean**2
    heard, mix, limit = x, np.zeros(0), CLIP * np.asarray(weight)
    for number in range(rounds + 1):
        if number:
            smooth = (clips[:, None] * mix + SMOOTHING) / (clips[:, None] + SMOOTHING * len(shape.mean))
            moved = smooth @ shape.mean
            ratio = np.sqrt((smooth @ second - moved**2 + DEAD) / (second.mean(0) + DEAD))
            heard = np.clip(ratio[group] * x + moved[group], -limit, limit)
        posterior = _em(heard @ shape.whitener, groups, answer(heard), known)
        mix = np.stack([posterior[of].mean(0) for of in groups])
    return Together(posterior, voices, mix, clips)


def reason_off(found: Together) -> str | None:
    """Return why clips are rather labelled one by one, for people; None: together. By what a program can see."""
    if found.clips.mean() < FEWEST_CLIPS:
        each = f"{found.clips.mean():.1f} recordings of each voice"
        return f"{each} are too few to label them together (at least {FEWEST_CLIPS})"
    return None


def voices_of(found: Together, emotions: Sequence[str]) -> dict[str, Voice]:
    """Return each voice by its name."""
    voices = {}
    for name, mix, clips in zip(found.voices.tolist(), found.mix.tolist(), found.clips.tolist(), strict=True):
        doubts = [f"few, under {FEW_CLIPS}"] if clips < FEW_CLIPS else []
        doubts += [f"one emotion has over {MOST_SHARE:.0%}"] if max(mix) > MOST_SHARE else []
        voices[name] = Voice(name, clips, dict(zip(emotions, mix, strict=True)), tuple(doubts))
    return voices


def _em(space: np.ndarray, groups: list[np.ndarray], logits: np.ndarray, labelled: Labelled | None) -> np.ndarray:
    """Return posteriors [n, class] of whitened clips [n, feature]; groups: of each voice its clips."""
    total, square = space.var(0).sum() + 1e-9, (space**2).sum(1, keepdims=True)
    posterior, each = _softmax(logits), [space[of] for of in groups]
    for _ in range(ITERATIONS):
        count, summed = posterior.sum(0), posterior.T @ space
        if labelled is not None:
            count, summed = count + labelled.count, summed + labelled.total
        common, distances = summed / (count[:, None] + 1e-6), np.empty_like(posterior)
        for of, own in zip(groups, each, strict=True):
            q = posterior[of]
            means = (q.T @ own + KAPPA * common) / (q.sum(0)[:, None] + KAPPA)
            distances[of] = square[of] - own @ (2 * means.T) + (means**2).sum(1)
        posterior = _softmax(LOGITS * logits - GEOMETRY / 2 * distances / total)
    return posterior


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
