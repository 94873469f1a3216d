"""MetaSER in JAX: model-agnostic meta-learning for low-resource speech emotion recognition."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from metaser_jax.sampling.tasks import task_sampler
    from metaser_jax.types import Batch, Episode

__version__ = "0.2.0"

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

# Imported on first use: preparing recordings, and each of its worker processes, needs no jax.
_MODULE_OF = {
    "Batch": "types",
    "EmotionLSTM": "models.classifier",
    "Episode": "types",
    "Execution": "meta.execution",
    "Info": "meta.learner",
    "InnerOptions": "meta.bilevel",
    "InputError": "errors",
    "LastLayer": "models.classifier",
    "Learner": "meta.learner",
    "Linear": "models.classifier",
    "Perceptron": "models.classifier",
    "Predictor": "recogniser.predictor",
    "anil": "meta.anil",
    "cautious_proto_maml": "meta.cautious",
    "cross_entropy": "models.losses",
    "frame_mask": "models.frames",
    "last_layer": "models.classifier",
    "layer_rates": "meta.learned_rates",
    "load_torch_checkpoint": "recogniser.torch_checkpoint",
    "maml": "meta.maml",
    "mean_loss": "models.losses",
    "meta_sgd": "meta.learned_rates",
    "proto_maml": "meta.proto_maml",
    "r2d2": "meta.r2d2",
    "reptile": "meta.reptile",
    "supervised": "meta.supervised",
    "task_sampler": "sampling.tasks",
}


def __getattr__(name: str) -> Any:
    if name == "parallel":
        return importlib.import_module(f"{__name__}.parallel")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
