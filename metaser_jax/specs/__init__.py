"""Specifications: frozen dataclasses that flags, presets, files and library calls share; each field and check once.

What is trained and how is here (network, training, meta_training, job, studies); programs, commands and studies add
where things are, which makes the configuration of a program, a flag per field.
"""

from metaser_jax.specs.base import Spec, how_fields, option, require
from metaser_jax.specs.job import ClusterSpec, JobSpec
from metaser_jax.specs.meta_training import MetaLearningSpec, MetaTrainSpec
from metaser_jax.specs.network import FrontEnd, ModelSpec, NetworkSpec, TrainSpec
from metaser_jax.specs.training import INNER, LEARNER, FinetuneSpec, OptimizerSpec, PretrainSpec

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
]
