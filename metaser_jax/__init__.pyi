# What editors and type checkers see of __init__.py, which imports on first use.
from metaser_jax import parallel
from metaser_jax.errors import InputError
from metaser_jax.meta.anil import anil
from metaser_jax.meta.bilevel import InnerOptions
from metaser_jax.meta.cautious import cautious_proto_maml
from metaser_jax.meta.execution import Execution
from metaser_jax.meta.learned_rates import layer_rates, meta_sgd
from metaser_jax.meta.learner import Info, Learner
from metaser_jax.meta.maml import maml
from metaser_jax.meta.proto_maml import proto_maml
from metaser_jax.meta.r2d2 import r2d2
from metaser_jax.meta.reptile import reptile
from metaser_jax.meta.supervised import supervised
from metaser_jax.models.classifier import EmotionLSTM, LastLayer, Linear, Perceptron, last_layer
from metaser_jax.models.frames import frame_mask
from metaser_jax.models.losses import cross_entropy, mean_loss
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.recogniser.torch_checkpoint import load_torch_checkpoint
from metaser_jax.training.sampling.tasks import task_sampler
from metaser_jax.types import Batch, Episode

__version__: str
__all__ = [
    "Batch",
    "EmotionLSTM",
    "Episode",
    "Execution",
    "Info",
    "InnerOptions",
    "InputError",
    "LastLayer",
    "Learner",
    "Linear",
    "Perceptron",
    "Predictor",
    "anil",
    "cautious_proto_maml",
    "cross_entropy",
    "frame_mask",
    "last_layer",
    "layer_rates",
    "load_torch_checkpoint",
    "maml",
    "mean_loss",
    "meta_sgd",
    "parallel",
    "proto_maml",
    "r2d2",
    "reptile",
    "supervised",
    "task_sampler",
]
