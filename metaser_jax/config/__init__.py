"""Configurations of the programs as frozen dataclasses: what is done (specs/) and where things are, a field a flag."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaser_jax.config.corpora import CorporaConfig, PrepareConfig
    from metaser_jax.config.demo import DemoConfig
    from metaser_jax.config.finetune import FinetuneConfig
    from metaser_jax.config.studies import Figure2Config, OrderConfig, StudyConfig, Table2Config, UnseenConfig
    from metaser_jax.config.sweep import SweepConfig
    from metaser_jax.config.training import JobConfig, MetaTrainConfig, PretrainConfig, TrainingConfig

__all__ = [
    "CorporaConfig",
    "DemoConfig",
    "Figure2Config",
    "FinetuneConfig",
    "JobConfig",
    "MetaTrainConfig",
    "OrderConfig",
    "PrepareConfig",
    "PretrainConfig",
    "StudyConfig",
    "SweepConfig",
    "Table2Config",
    "TrainingConfig",
    "UnseenConfig",
]

# Imported on first use: a program needs one, and mistakes in what was typed are told before anything is done.
_MODULE_OF = {
    "CorporaConfig": "corpora",
    "DemoConfig": "demo",
    "Figure2Config": "studies",
    "FinetuneConfig": "finetune",
    "JobConfig": "training",
    "MetaTrainConfig": "training",
    "OrderConfig": "studies",
    "PrepareConfig": "corpora",
    "PretrainConfig": "training",
    "StudyConfig": "studies",
    "SweepConfig": "sweep",
    "Table2Config": "studies",
    "TrainingConfig": "training",
    "UnseenConfig": "studies",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
