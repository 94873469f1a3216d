"""MetaSER in JAX: model-agnostic meta-learning for low-resource speech emotion recognition."""

from metaser_jax.errors import InputError
from metaser_jax.losses import cross_entropy
from metaser_jax.meta.learner import Info, Learner
from metaser_jax.meta.maml import maml
from metaser_jax.models import EmotionLSTM
from metaser_jax.types import Batch, Episode, frame_mask

__all__ = [
    "Batch",
    "EmotionLSTM",
    "Episode",
    "Info",
    "InputError",
    "Learner",
    "cross_entropy",
    "frame_mask",
    "maml",
]
