"""MetaSER in JAX: model-agnostic meta-learning for low-resource speech emotion recognition."""

import importlib
from typing import Any

__version__ = "0.2.0"

# Imported on first use: preparing recordings, and each of its worker processes, needs no jax. __init__.pyi says the
# same to editors and type checkers.
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
__all__ = sorted([*_MODULE_OF, "parallel"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "parallel":
        return importlib.import_module(f"{__name__}.parallel")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
