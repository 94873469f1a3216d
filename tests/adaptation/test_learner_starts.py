"""Adaptation as a meta-trained run does it, for every algorithm, and from what a model folder keeps of it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import adapt, load_target, meta_train

from metaser_jax import InputError
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.starts import Init, learner_facts, learner_of, resolve
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec, ModelSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training.trainer import make_learner
from metaser_jax.types import Batch

OF_VOICE = {"network": "perceptron", "features": "voice", "normalise": "speaker", "hidden_dim": 3, "members": 2}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_adapts_as_it_was_trained_to(tmp_path, train_config, finetune_config, algorithm):
    steps = {"inner_steps": 2, "inner_lr": 0.05} if ALGORITHMS[algorithm].has_steps else {}
    run = str(tmp_path / "run")
    meta_train(train_config(run_dir=run, algorithm=algorithm, **OF_VOICE, **steps))
    spec, init = resolve(run, FinetuneSpec(optimizer="learner", validation="none"), "c")
    config = finetune_config(split="speaker", folds=2, validation="none", optimizer="learner", **OF_VOICE)
    folds, amounts = load_target(config), [Amount("shots", 0), Amount("shots", 2)]
    outcomes = adapt(config, [init], folds, amounts)
    learner = make_learner(init.meta.spec, cross_entropy(trained_logits(make_network(spec))))
    x, y = folds[0].as_input(spec.front_end).corpus.mfcc, folds[0].corpus.label
    drawn, test = draw(folds[0], amounts[1], "none", 0)[0], folds[0].split.test
    for params, got in (
        (init.params, outcomes[0]),
        (learner.adapt(init.meta.params, Batch(jnp.asarray(x[drawn]), jnp.asarray(y[drawn]))), outcomes[2]),
    ):
        np.testing.assert_array_equal(got.predicted, make_network(spec).apply(params, x[test]).argmax(-1))
    # What a model folder keeps of it is the same again.
    facts = json.loads(json.dumps(learner_facts(init.meta)))
    again = learner_of(facts, ModelSpec.of(spec), init.params, init.rates)
    jax.tree.map(np.testing.assert_array_equal, again.params, init.meta.params)
    assert all(getattr(again.spec, name) == value for name, value in facts["settings"].items())


def test_starts_of_different_learners_share_no_program(tmp_path, train_config, finetune_config):
    inits = []
    for steps in (1, 2):
        run = str(tmp_path / str(steps))
        meta_train(train_config(run_dir=run, inner_steps=steps, **OF_VOICE))
        inits.append(resolve(run, FinetuneSpec(optimizer="learner", validation="none"), "c")[1])
    config = finetune_config(split="speaker", folds=2, validation="none", optimizer="learner", **OF_VOICE)
    with pytest.raises(InputError, match="got starts of different learners"):
        adapt(config, inits, load_target(config), [Amount("shots", 2)])


def test_a_start_that_was_not_meta_trained_is_fine_tuned(finetune_config):
    results = []
    for optimizer in ("learner", "inner"):
        config = finetune_config(validation="none", optimizer=optimizer, lr=0.1, max_epochs=3, **OF_VOICE)
        x = np.zeros((1, config.rows, config.coefs), np.float32)
        init = Init(make_network(config).init(jax.random.key(0), x), {"method": "multiser"})
        results.append(adapt(config, [init], load_target(config), [Amount("shots", 3)]))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one.predicted, other.predicted)


def test_facts_of_another_network_are_refused(tmp_path, train_config):
    run = str(tmp_path / "run")
    meta_train(train_config(run_dir=run, algorithm="cautious_proto_maml", **OF_VOICE))
    spec, init = resolve(run, FinetuneSpec(optimizer="learner", validation="none"), "c")
    facts = learner_facts(init.meta)
    del facts["numbers"]["caution.trust"]
    with pytest.raises(InputError, match="not as it was written"):
        learner_of(facts, ModelSpec.of(spec), init.params, init.rates)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"adapt": "head"}, "--adapt: got 'head', expected all"), ({"validation": "draw"}, "--validation: got 'draw'")],
)
def test_a_learner_takes_all_layers_and_all_clips(wrong, message):
    with pytest.raises(InputError, match=message):
        FinetuneSpec(**{"optimizer": "learner", "validation": "none", **wrong})
