"""MetaSER in JAX: model-agnostic meta-learning for low-resource speech emotion recognition."""

import importlib

# Imported on first use: preparing recordings, and each of its worker processes, needs no jax.
_MODULE_OF = {
    "Batch": "types",
    "EmotionLSTM": "models.classifier",
    "Episode": "types",
    "Execution": "meta.execution",
    "Info": "meta.learner",
    "InputError": "errors",
    "Learner": "meta.learner",
    "Predictor": "recogniser.predictor",
    "anil": "meta.anil",
    "cross_entropy": "models.losses",
    "frame_mask": "models.frames",
    "layer_rates": "meta.layer_rates",
    "load_torch_checkpoint": "interop.torch_checkpoint",
    "maml": "meta.maml",
    "meta_sgd": "meta.meta_sgd",
    "reptile": "meta.reptile",
    "supervised": "meta.supervised",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
