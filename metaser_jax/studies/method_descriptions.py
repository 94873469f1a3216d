"""How a study trains each method, for people: what its preset and its flags come to."""

import dataclasses
from typing import Any

from metaser_jax.adaptation import svm
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.adaptation.svm import SVM
from metaser_jax.config import StudyConfig
from metaser_jax.specs import TrainSpec
from metaser_jax.studies.methods import BASELINES, METASER, PRETRAINED, finetune_values, meta_values, pretrain_values

_OF_NETWORK = {field.name for field in dataclasses.fields(TrainSpec)}
# The layers that are adapted are in each table; the seeds are the study's own.
_LEFT_OUT = {*_OF_NETWORK, "adapt", "checkpoint_every", "seed"}


def described(study: StudyConfig) -> list[list[str]]:
    """Rows of what it is and its settings: network, learning from sources, adaptation, support vector machine."""
    methods = getattr(study, "methods", (METASER,))
    of_network = {name: value for name, value in finetune_values(study, METASER).items() if name in _OF_NETWORK}
    rows = [["network, and input of every method", _listed(of_network)]]
    if METASER in methods:
        rows.append(["MetaSER learns from sources", _without(meta_values(study))])
    for method in BASELINES:
        if method in methods:
            rows.append([f"{method} learns from sources", _without(pretrain_values(study))])
    for method in (*PRETRAINED, SCRATCH):
        if method in methods:
            rows.append([f"{method} is adapted", _without(finetune_values(study, method))])
    if SVM in methods:
        of_svm = {"kernel": svm.KERNEL, "C": svm.C, "gamma": f"{svm.GAMMA:g} / features"}
        weight = f"sources together weigh {svm.SOURCES_WEIGHT} of the drawn clips"
        rows.append(["svm", f"{_listed(of_svm)}, {weight}"])
    return rows


def _without(values: dict[str, Any]) -> str:
    return _listed({name: value for name, value in values.items() if name not in _LEFT_OUT})


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
