"""Configurations of the programs as frozen dataclasses: what is done (specs/) and where things are, a field a flag."""

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
