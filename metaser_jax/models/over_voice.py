"""Networks over what is heard of a voice: statistics of its tracks, alone or beside an LSTM over the tracks.

Both have EmotionLSTM's methods `features`, `head` and `embed`, and a last layer of its name, which is their head.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from metaser_jax.models.frames import frame_mask
from metaser_jax.models.lstm import Recurrence
from metaser_jax.models.lstm_layer import LSTM, POOLINGS


class Perceptron(nn.Module):
    """One hidden layer of rectified units, several times over: x [n, 1, statistic] -> logits [n, class].

    The members are networks of their own, which learn from their own losses (`each`); their mean logits are what the
    network says.

    Attributes:
      hidden_dim: units of a member.
      num_classes: number of emotions.
      members: number of them.
    """

    hidden_dim: int = 64
    num_classes: int = 4
    members: int = 1
    input_statistics: ClassVar[bool] = False

    def setup(self):
        """Make the layers."""
        self.voice = MembersDense(self.hidden_dim, self.members)
        self.output = MembersDense(self.num_classes, self.members)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return logits [n, class] of x [n, 1, statistic]."""
        return self.head(self.features(x))

    def each(self, x: jax.Array) -> jax.Array:
        """Return each member's logits, [n, member, class]."""
        return self.each_head(self.features(x))

    def features(self, x: jax.Array) -> jax.Array:
        """Return the hidden units, [n, member, hidden_dim]."""
        return jax.nn.relu(self.voice(jnp.broadcast_to(x, (x.shape[0], self.members, x.shape[-1]))))

    def head(self, features: jax.Array) -> jax.Array:
        """Return what the last layers make of the features, on average."""
        return jnp.mean(self.each_head(features), axis=1)

    def each_head(self, features: jax.Array) -> jax.Array:
        """Return what the last layers make of the features, [n, member, class]."""
        return self.output(features)

    def embed(self, x: jax.Array) -> jax.Array:
        """Return what the last layers see of x, [n, member, hidden_dim]."""
        return self.features(x)


class MembersDense(nn.Module):
    """A dense layer for each member: [n, member, d] -> [n, member, size]; initialised as Flax's Dense."""

    size: int
    members: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return x @ kernel + bias, member by member."""
        init = nn.initializers.lecun_normal(batch_axis=(0,))
        kernel = self.param("kernel", init, (self.members, x.shape[-1], self.size))
        bias = self.param("bias", nn.initializers.zeros, (self.members, self.size))
        return jnp.einsum("nmd,mdh->nmh", x, kernel) + bias


class PerceptronAndLSTM(nn.Module):
    """The perceptron's hidden units beside pooled states of one LSTM layer, for one last layer.

    Attributes:
      hidden_dim: units of the perceptron, and of the LSTM.
      num_classes: number of emotions.
      pooling: of the states, as EmotionLSTM's.
      statistics_rows: first rows of x that hold the statistics, zero-padded; the others are frames of the tracks.
      recurrence: as EmotionLSTM's.
    """

    hidden_dim: int = 64
    num_classes: int = 4
    pooling: str = "mean_std"
    statistics_rows: int = 9
    recurrence: Recurrence = "scan"
    input_statistics: ClassVar[bool] = False

    def setup(self):
        """Make the layers."""
        self.voice = nn.Dense(self.hidden_dim)
        self.lstm_1 = LSTM(self.hidden_dim, self.recurrence)
        self.output = nn.Dense(self.num_classes)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return logits [n, class] of x [n, rows, coef]."""
        return self.head(self.features(x))

    def features(self, x: jax.Array) -> jax.Array:
        """Return hidden units and pooled states, [n, 2 * hidden_dim], or 3 * with their deviation."""
        statistics, frames = x[:, : self.statistics_rows], x[:, self.statistics_rows :]
        of_statistics = jax.nn.relu(self.voice(statistics.reshape(len(x), -1)))
        states = self.lstm_1(jnp.swapaxes(frames, 0, 1))
        return jnp.concatenate([of_statistics, POOLINGS[self.pooling](states, frame_mask(frames))], axis=-1)

    def head(self, features: jax.Array) -> jax.Array:
        """Return what the last layer makes of the features."""
        return self.output(features)

    def embed(self, x: jax.Array) -> jax.Array:
        """Return what the last layer sees of x."""
        return self.features(x)
