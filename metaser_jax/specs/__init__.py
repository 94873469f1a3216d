"""What is trained and how, apart from any program: frozen dataclasses that flags, files and library calls share.

A field is declared once, with the help text and the valid values of its flag. config/ adds where things are.
"""

from metaser_jax.specs.base import Spec, how_fields, option, require, require_folds
from metaser_jax.specs.finetuning import INNER, LEARNER, FinetuneSpec
from metaser_jax.specs.job import ClusterSpec, JobSpec
from metaser_jax.specs.meta_training import MetaLearningSpec, MetaTrainSpec
from metaser_jax.specs.network import FrontEnd, ModelSpec, NetworkSpec, TrainSpec
from metaser_jax.specs.optimizer import OptimizerSpec
from metaser_jax.specs.pretraining import PretrainSpec

__all__ = [
    "INNER",
    "LEARNER",
    "ClusterSpec",
    "FinetuneSpec",
    "FrontEnd",
    "JobSpec",
    "MetaLearningSpec",
    "MetaTrainSpec",
    "ModelSpec",
    "NetworkSpec",
    "OptimizerSpec",
    "PretrainSpec",
    "Spec",
    "TrainSpec",
    "how_fields",
    "option",
    "require",
    "require_folds",
]
