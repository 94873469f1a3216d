"""MetaSER in JAX: model-agnostic meta-learning for low-resource speech emotion recognition."""

import importlib
from typing import Any

__version__ = "0.2.0"

# Imported on first use: preparing recordings, and each of its worker processes, needs no jax. __init__.pyi says the
# same to editors and type checkers.
_NAMES = {
    "errors": ("InputError",),
    "meta.anil": ("anil",),
    "meta.bilevel": ("InnerOptions",),
    "meta.cautious": ("cautious_proto_maml",),
    "meta.execution": ("Execution",),
    "meta.learned_rates": ("layer_rates", "meta_sgd"),
    "meta.learner": ("Info", "Learner"),
    "meta.maml": ("maml",),
    "meta.proto_maml": ("proto_maml",),
    "meta.r2d2": ("r2d2",),
    "meta.reptile": ("reptile",),
    "meta.supervised": ("supervised",),
    "models.classifier": ("EmotionLSTM", "LastLayer", "Linear", "Perceptron", "last_layer"),
    "models.frames": ("frame_mask",),
    "models.losses": ("cross_entropy", "mean_loss"),
    "recogniser.predictor": ("Predictor",),
    "recogniser.torch_checkpoint": ("load_torch_checkpoint",),
    "training.sampling.tasks": ("task_sampler",),
    "types": ("Batch", "Episode"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted([*_MODULE_OF, "parallel"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "parallel":
        return importlib.import_module(f"{__name__}.parallel")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
