"""How the methods of a study were trained, for people: what the runs behind its rows are."""

from collections.abc import Sequence
from typing import Any

from metaser_jax.adaptation import classifiers
from metaser_jax.adaptation.classifiers import EGEMAPS, JOINT, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.results.series import METHOD_NAMES
from metaser_jax.specs import MetaTrainSpec, NetworkSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.meta_training import NO_STEPS
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies.methods import METASER, PRETRAINED, finetune_spec, settings
from metaser_jax.studies.study import Study

_OF_ORDER = ("order", "anneal_episodes", "multi_step_episodes")
_OF_STEPS = ("inner_lr", *NO_STEPS)
ALL = "all that is meta-trained"
# The layers that are adapted are in each table; the seeds are the study's own; where checkpoints are changes nothing.
_LEFT_OUT = {"adapt", "checkpoint_every", "log_every", "seed", "split_seed", "sources", "method"}


def described(study: Study, methods: Sequence[str], trained: Sequence[SourcesSpec]) -> list[list[str]]:
    """Return rows of settings: network, learning from sources, adaptation, support vector machine.

    Args:
      study: the study.
      methods: of it.
      trained: what the runs are that the methods started from; those that differ in seed and sources are one row.
    """
    network = _fields(NetworkSpec.of(finetune_spec(study, METASER))) | _fields(finetune_spec(study, METASER).front_end)
    rows = [["network, and input of every method", _listed(network)]]
    rows += _of_runs(trained, network)
    names = dict.fromkeys(trained_name(one) for one in trained if isinstance(one, MetaTrainSpec))
    for method in (*PRETRAINED, SCRATCH):
        if method in methods:
            name = METHOD_NAMES[method]
            if method == METASER and names:
                name = ALL if len(names) > 1 else next(iter(names))
            rows.append([f"{name}: adaptation", _listed(_without(settings(finetune_spec(study, method)), network))])
    if SVM in methods:
        of_svm = {"kernel": classifiers.KERNEL, "C": classifiers.SVM_C, "gamma": f"{classifiers.GAMMA:g} / features"}
        weight = f"sources together weigh {classifiers.SOURCES_WEIGHT} of the drawn clips"
        rows.append(["SVM", f"{_listed(of_svm)}, {weight}"])
    if JOINT in methods or EGEMAPS in methods:
        c, weight = classifiers.JOINT_C, classifiers.SHOTS_WEIGHT
        regression = f"logistic regression, C {c:g}, the drawn clips weigh {weight:g} of everything"
        rows.append([METHOD_NAMES[JOINT], regression])
    for method, changes in study.settings.of_method.items():
        if method in methods and "adapt" in changes:
            rows.append([f"{method}: adaptation, besides", _listed(dict(changes["adapt"]))])
    return rows


def metaser_is(trained: Sequence[SourcesSpec]) -> str:
    """Return a sentence on what stands for MetaSER in a study's tables; "" where nothing does."""
    names = dict.fromkeys(trained_name(one) for one in trained if isinstance(one, MetaTrainSpec))
    return f" MetaSER stands under the name of its meta-learner, {' and '.join(names)}." if names else ""


def trained_name(spec: SourcesSpec) -> str:
    """Return what people call the method of a run: "Meta-SGD", "MultiSER"."""
    if isinstance(spec, MetaTrainSpec):
        return ALGORITHMS[spec.algorithm].label(spec.order)
    return METHOD_NAMES[getattr(spec, "method", "")]


def _of_runs(trained: Sequence[SourcesSpec], network: dict[str, Any]) -> list[list[str]]:
    """Return a row of what all meta-training runs share, then one of each method with what is its own."""
    meta: dict[tuple[str, str], dict[str, Any]] = {}
    others: dict[tuple[str, str], dict[str, Any]] = {}
    for spec in trained:
        values, found = _without(settings(spec), network), others
        if isinstance(spec, MetaTrainSpec):
            found = meta
            algorithm = ALGORITHMS[spec.algorithm]
            unused = (*(() if algorithm.has_order else _OF_ORDER), *(() if algorithm.has_steps else _OF_STEPS))
            values = {name: value for name, value in values.items() if name not in unused}
        found.setdefault((trained_name(spec), _listed(values)), values)
    first = next(iter(meta.values())) if len(meta) > 1 else {}
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in meta.values())}
    rows = [[f"{ALL}: learning from sources", _listed(shared)]] if shared else []
    own = {key: {k: v for k, v in values.items() if k not in shared} for key, values in meta.items()}
    return rows + [[f"{name}: learning from sources", _listed(values)] for (name, _), values in (own | others).items()]


def _fields(spec: Any) -> dict[str, Any]:
    return dict(vars(spec))


def _without(values: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _LEFT_OUT and name not in network}


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
