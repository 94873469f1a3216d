"""Specifications: they need no program, are parts of its configuration, and say what is how and what is what."""

import dataclasses

import pytest

from metaser_jax import InputError, specs
from metaser_jax.specs import (
    FinetuneSpec,
    FrontEnd,
    JobSpec,
    MetaTrainSpec,
    ModelSpec,
    NetworkSpec,
    PretrainSpec,
    programs,
)

PLACES = {"data_dir", "run_dir", "out", "init", "target"}
CONFIGS = {
    MetaTrainSpec: programs.MetaTrainConfig(data_dir="d", run_dir="r", sources=("a",), hidden_dim=3, devices=2),
    PretrainSpec: programs.PretrainConfig(data_dir="d", run_dir="r", sources=("a",), method="multiser", hidden_dim=3),
    FinetuneSpec: programs.FinetuneConfig(data_dir="d", out="o", init="scratch", target="t", shots=1, hidden_dim=3),
}


@pytest.mark.parametrize("spec", CONFIGS, ids=lambda spec: spec.__name__)
def test_a_configuration_is_a_specification_and_places(spec):
    whole = CONFIGS[spec]
    part = spec.of(whole)
    assert type(part) is spec
    assert dataclasses.asdict(part).items() <= dataclasses.asdict(whole).items()
    assert not PLACES & dataclasses.asdict(part).keys()
    assert spec.of(whole, hidden_dim=5) == dataclasses.replace(part, hidden_dim=5)
    assert (NetworkSpec.of(part), part.front_end) == (NetworkSpec(hidden_dim=3), FrontEnd())


def test_how_a_run_is_computed_is_not_what_it_is():
    how = {"devices", "over_tasks", "chunk", "hvp", "residuals", "recurrence", "skip_nonfinite"}
    assert set(specs.how_fields(MetaTrainSpec)) == how
    assert set(specs.how_fields(PretrainSpec)) == {"devices", "chunk", "recurrence"}
    assert set(specs.how_fields(FinetuneSpec)) == {"devices", "recurrence"}
    assert set(specs.how_fields(JobSpec)) == {field.name for field in dataclasses.fields(JobSpec)}
    assert not specs.how_fields(ModelSpec)


def test_a_model_may_know_emotions_that_corpora_do_not():
    assert ModelSpec(emotions=("angry", "amused")).emotions == ("angry", "amused")
    with pytest.raises(InputError, match="--emotions: got 'amused'"):
        FinetuneSpec(emotions=("angry", "amused"))


def test_a_registry_that_grows_is_a_choice_that_grows(monkeypatch):
    from metaser_jax.specs.algorithms import ALGORITHMS

    with pytest.raises(InputError, match="--algorithm: got 'tenth'"):
        MetaTrainSpec(sources=("a",), algorithm="tenth")
    monkeypatch.setitem(ALGORITHMS, "tenth", ALGORITHMS["maml"])
    assert MetaTrainSpec(sources=("a",), algorithm="tenth").algorithm == "tenth"
