"""How the methods of a study were trained, for people: what the runs behind its rows are."""

from collections.abc import Sequence
from typing import Any

from metaser_jax.adaptation import svm
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.adaptation.svm import SVM
from metaser_jax.meta.algorithms import ALGORITHMS
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.specs.sources import SourcesSpec
from metaser_jax.studies.methods import METASER, PRETRAINED, finetune_spec, settings
from metaser_jax.studies.study import Study

# The layers that are adapted are in each table; the seeds are the study's own; where checkpoints are changes nothing.
_LEFT_OUT = {"adapt", "checkpoint_every", "log_every", "seed", "split_seed", "sources", "method"}
NAMES = {"transser": "TransSER", "multiser": "MultiSER", "scratch": "from scratch"}


def described(study: Study, methods: Sequence[str], trained: Sequence[SourcesSpec]) -> list[list[str]]:
    """Return rows of what it is and its settings: network, learning from sources, adaptation, support vector machine.

    Args:
      study: the study.
      methods: of it.
      trained: what the runs are that the methods started from; those that differ in seed and sources are one row.
    """
    network = _fields(finetune_spec(study, METASER).network) | _fields(finetune_spec(study, METASER).front_end)
    rows = [["network, and input of every method", _listed(network)]]
    rows += _of_runs(trained, network)
    names = [trained_name(one) for one in trained if isinstance(one, MetaTrainSpec)]
    for method in (*PRETRAINED, SCRATCH):
        if method in methods:
            name = NAMES.get(method) or " and ".join(dict.fromkeys(names)) or "MetaSER"
            rows.append([f"{name}: adaptation", _listed(_without(settings(finetune_spec(study, method)), network))])
    if SVM in methods:
        of_svm = {"kernel": svm.KERNEL, "C": svm.C, "gamma": f"{svm.GAMMA:g} / features"}
        weight = f"sources together weigh {svm.SOURCES_WEIGHT} of the drawn clips"
        rows.append(["SVM", f"{_listed(of_svm)}, {weight}"])
    return rows


def trained_name(spec: SourcesSpec) -> str:
    """Return what people call the method of a run: "Meta-SGD", "MultiSER"."""
    if isinstance(spec, MetaTrainSpec):
        return ALGORITHMS[spec.algorithm].label(spec.order)
    return NAMES[getattr(spec, "method", "")]


def _of_runs(trained: Sequence[SourcesSpec], network: dict[str, Any]) -> list[list[str]]:
    """A row of what all meta-training runs share, then one of each method with what is its own."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for spec in trained:
        values = _without(settings(spec), network)
        found.setdefault((trained_name(spec), _listed(values)), values)
    meta = [values for (name, _), values in found.items() if name not in NAMES.values()]
    first = meta[0] if len(meta) > 1 else {}
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in meta)}
    rows = [["learning from sources, all that is meta-trained", _listed(shared)]] if shared else []
    for (name, _), values in found.items():
        own = values if name in NAMES.values() else {k: v for k, v in values.items() if k not in shared}
        rows.append([f"{name}: learning from sources", _listed(own)])
    return rows


def _fields(spec: Any) -> dict[str, Any]:
    return dict(vars(spec))


def _without(values: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _LEFT_OUT and name not in network}


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
