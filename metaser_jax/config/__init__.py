"""Configurations of the programs as frozen dataclasses: field name = flag name, help text beside the default."""

from metaser_jax.config.base import HOW, Config, option, require
from metaser_jax.config.cluster import ClusterConfig
from metaser_jax.config.corpora import CorporaConfig, PrepareConfig
from metaser_jax.config.demo import DemoConfig
from metaser_jax.config.finetune import INNER, FinetuneConfig
from metaser_jax.config.meta_train import MetaLearningConfig, MetaTrainConfig
from metaser_jax.config.model import ModelConfig
from metaser_jax.config.pretrain import PretrainConfig
from metaser_jax.config.studies import Figure2Config, OrderConfig, StudyConfig, Table2Config
from metaser_jax.config.sweep import SweepConfig
from metaser_jax.config.training import JobConfig, TrainingConfig

__all__ = [
    "HOW",
    "INNER",
    "ClusterConfig",
    "Config",
    "CorporaConfig",
    "DemoConfig",
    "Figure2Config",
    "FinetuneConfig",
    "JobConfig",
    "MetaLearningConfig",
    "MetaTrainConfig",
    "ModelConfig",
    "OrderConfig",
    "PrepareConfig",
    "PretrainConfig",
    "StudyConfig",
    "SweepConfig",
    "Table2Config",
    "TrainingConfig",
    "option",
    "require",
]
