"""Networks: an LSTM over frames, perceptrons over statistics of a voice; and the last layer of each.

EmotionLSTM is two LSTM layers, pooling over time, two dense layers. Both networks have the methods `features`, `head`
and `embed`, and a last layer called `output`.

NOTE: like the authors' code, the paper's network (the defaults) has no non-linearity between the dense layers and
pools by the last of the 120 states, padding included. `pooling`, `activation` and `input_statistics` are ours.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from metaser_jax.errors import check_choice
from metaser_jax.models.frames import POOLINGS, Standardise, frame_mask, input_statistics
from metaser_jax.models.lstm import RECURRENCES, Recurrence, lstm
from metaser_jax.models.lstm_cell import LSTMParams
from metaser_jax.specs import ModelSpec
from metaser_jax.types import N_MFCC, Params

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"none": lambda x: x, "relu": jax.nn.relu}

# Adapting the head changes these and leaves the LSTM layers alone.
HEAD_LAYERS = ("hidden", "output")
# Clips are padded to a multiple, so that several numbers of them share a program.
PAD = 64


def in_head(path: tuple[Any, ...]) -> bool:
    """Tell whether the parameter at this path (jax.tree_util's) is one of the dense layers'."""
    return any(getattr(key, "key", None) in HEAD_LAYERS for key in path)


def decays(meta_params: Params, network: Callable[[Params], Params] = lambda params: params) -> Params:
    """Return the mask of weight decay: the network's parameters, but for the constants that standardise its input.

    Args:
      meta_params: what is learned.
      network: meta_params -> the network's parameters among them, as Learner.params; what a learner learns beside them
        (rates, caution, how it starts the last layer) does not decay.
    """
    leaves, treedef = jax.tree.flatten(meta_params)
    numbers = jax.tree_util.tree_leaves_with_path(network(jax.tree.unflatten(treedef, range(len(leaves)))))
    constant = {"standardise"}
    of_network = {number for path, number in numbers if constant.isdisjoint(getattr(key, "key", None) for key in path)}
    return jax.tree.unflatten(treedef, [number in of_network for number in range(len(leaves))])


def take_head(params: Params) -> Params:
    """Return the parameters of the dense layers, which are all that the network's method `head` needs."""
    return {"params": {name: layer for name, layer in params["params"].items() if name in HEAD_LAYERS}}


def with_head(params: Params, head: Params) -> Params:
    """Replace a network's dense layers by those of `head`, which take_head returns."""
    return {"params": {**params["params"], **head["params"]}}


class LSTM(nn.Module):
    """LSTM layer: [time, n, F] -> [time, n, hidden_dim]."""

    hidden_dim: int
    recurrence: Recurrence = "scan"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the states: [time, n, F] -> [time, n, hidden_dim]."""
        gates = 4 * self.hidden_dim
        # As PyTorch initialises its LSTM, and so the authors: uniform within 1 / sqrt(hidden_dim).
        bound = self.hidden_dim**-0.5

        def uniform(key, shape, dtype=jnp.float32):
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return lstm(
            LSTMParams(
                self.param("kernel_input", uniform, (x.shape[-1], gates)),
                self.param("kernel_recurrent", uniform, (self.hidden_dim, gates)),
                self.param("bias", uniform, (gates,)),
            ),
            x,
            self.recurrence,
        )


class EmotionLSTM(nn.Module):
    """LSTM classifier: utterances to logits; `params = model.init(key, x)`, `logits = model.apply(params, x)`.

    Args of apply:
      x: [n, time, coef] MFCC, and their changes where the input has them (`inputs.py`), zero-padded at the end of the
        time axis.

    Returns of apply:
      [n, num_classes] logits. They are those of its two halves: `features = model.apply(params, x, method="features")`,
      [n, pooled], and `logits = model.apply(params, features, method="head")`.

    Attributes:
      hidden_dim: hidden units of each LSTM layer and of the first dense layer.
      num_classes: number of emotions.
      pooling: states of the second LSTM -> one vector: "last" state of all 120 frames, "mean" over the real frames,
        "mean_std" mean and standard deviation over the real frames.
      activation: between the dense layers: "none" | "relu".
      input_statistics: whether the last dense layer also sees statistics of the input (`frames.py`). They are
        standardised by those of the x that init is given, so give it utterances to learn from; and the logits begin
        at zero.
      recurrence: the implementation of the LSTM layers' loops over time, see `lstm`: "scan" or "kernel" (not measured
        yet; hidden_dim 16, 32, 64 or 128). The parameters are the same.

    Raises:
      InputError: unknown pooling, activation or recurrence; when called, what `lstm` raises.
    """

    hidden_dim: int = 128
    num_classes: int = 4
    pooling: str = "last"
    activation: str = "none"
    input_statistics: bool = False
    recurrence: Recurrence = "scan"

    def __post_init__(self):
        check_choice("pooling", self.pooling, POOLINGS)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("recurrence", self.recurrence, RECURRENCES)
        super().__post_init__()

    def setup(self):
        """Make the layers."""
        self.lstm_1 = LSTM(self.hidden_dim, self.recurrence)
        self.lstm_2 = LSTM(self.hidden_dim, self.recurrence)
        self.hidden = nn.Dense(self.hidden_dim)
        if self.input_statistics:
            self.standardise = Standardise()
            self.output = nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros)
        else:
            self.output = nn.Dense(self.num_classes)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return logits [n, class] of x [n, time, coef]."""
        return self.head(self.features(x))

    def features(self, x: jax.Array) -> jax.Array:
        """Return the pooled states of the second LSTM and the statistics, [n, pooled]."""
        mask = frame_mask(x)
        states = self.lstm_2(self.lstm_1(jnp.swapaxes(x, 0, 1)))
        pooled = POOLINGS[self.pooling](states, mask)
        if not self.input_statistics:
            return pooled
        return jnp.concatenate([pooled, self.standardise(input_statistics(x, mask, N_MFCC))], axis=-1)

    def head(self, features: jax.Array) -> jax.Array:
        """Return logits [n, class] of the features."""
        return self.output(self._seen_last(features))

    def embed(self, x: jax.Array) -> jax.Array:
        """Return the input of the last dense layer [n, d] for x [n, time, coef]."""
        return self._seen_last(self.features(x))

    def _seen_last(self, features: jax.Array) -> jax.Array:
        pooled, statistics = jnp.split(features, [self.hidden_dim * (2 if self.pooling == "mean_std" else 1)], axis=-1)
        hidden = ACTIVATIONS[self.activation](self.hidden(pooled))
        return jnp.concatenate([hidden, statistics], axis=-1)


class Perceptron(nn.Module):
    """Perceptrons of one hidden layer, several side by side: x [n, 1, statistic] -> logits [n, class].

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
        """Return logits [n, class] of the features, the mean over members."""
        return jnp.mean(self.each_head(features), axis=1)

    def each_head(self, features: jax.Array) -> jax.Array:
        """Return each member's logits of the features, [n, member, class]."""
        return self.output(features)

    def embed(self, x: jax.Array) -> jax.Array:
        """Return the input of the last layers, [n, member, hidden_dim]."""
        return self.features(x)


class MembersDense(nn.Module):
    """Dense layers, one for each member: [n, member, d] -> [n, member, size]; initialised as Flax's Dense."""

    size: int
    members: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return x @ kernel + bias, member by member."""
        init = nn.initializers.lecun_normal(batch_axis=(0,))
        kernel = self.param("kernel", init, (self.members, x.shape[-1], self.size))
        bias = self.param("bias", nn.initializers.zeros, (self.members, self.size))
        return jnp.einsum("nmd,mdh->nmh", x, kernel) + bias


Network = EmotionLSTM | Perceptron


class Linear(NamedTuple):
    """Weights of a linear layer: kernel [d, class]; bias [class]. Of several networks at once [member, ...]."""

    kernel: jax.Array
    bias: jax.Array


class LastLayer(NamedTuple):
    """Access to a network's last, linear layer and its input: logits = embed(params, x) @ kernel + bias.

    Attributes:
      embed: (params, x [n, ...]) -> [n, d], or [n, member, d].
      get: params -> Linear.
      put: (params, Linear) -> params with that last layer.
    """

    embed: Callable[[Params, jax.Array], jax.Array]
    get: Callable[[Params], Linear]
    put: Callable[[Params, Linear], Params]


def last_layer(model: Network) -> LastLayer:
    """Return the access to a network's last layer."""
    return LastLayer(
        embed=functools.partial(model.apply, method="embed"),  # pyright: ignore[reportArgumentType]
        get=lambda params: Linear(**params["params"]["output"]),
        put=lambda params, layer: {"params": {**params["params"], "output": layer._asdict()}},
    )


def trained_logits(model: Network, method: str = "__call__") -> Callable[[Params, jax.Array], jax.Array]:
    """Return the logits that the loss is of: (params, x) -> [n, class], or of each member [n, member, class].

    Args:
      model: the network.
      method: "__call__", where x is the network's input, or "head", where x is its features.
    """
    if isinstance(model, Perceptron):
        method = {"__call__": "each", "head": "each_head"}[method]
    return functools.partial(model.apply, method=method)  # pyright: ignore[reportReturnType]


def make_network(spec: ModelSpec, recurrence: str = "scan") -> Network:
    """Make the network of a specification.

    Args:
      spec: the network's settings and its input's.
      recurrence: the implementation of its loops over time, see EmotionLSTM.
    """
    classes, loops = len(spec.emotions), cast(Recurrence, recurrence)
    if spec.network == "perceptron":
        return Perceptron(spec.hidden_dim, classes, spec.members)
    return EmotionLSTM(spec.hidden_dim, classes, spec.pooling, spec.activation, spec.input_statistics, recurrence=loops)


def answer_of(network: Network, params: Params, x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return a network's log-probabilities [n, class] of x [n, feature], by programs for multiples of PAD clips."""
    padded = np.pad(x, ((0, -len(x) % PAD), (0, 0)))[:, None].astype(np.float32)
    return np.asarray(_log_probabilities(network, params, padded, np.float32(temperature)))[: len(x)]


@functools.partial(jax.jit, static_argnums=0)
def _log_probabilities(network: Network, params: Params, x: jax.Array, temperature: jax.Array) -> jax.Array:
    return jax.nn.log_softmax(network.apply(params, x) / temperature)  # pyright: ignore[reportOperatorIssue]
