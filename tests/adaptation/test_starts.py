"""Starts: runs and model folders read, adapted from as they were trained to, with the rates that they have learned."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import adapt, load_target, meta_train, resolve

from metaser_jax import Batch, InputError, cross_entropy
from metaser_jax.adaptation import engine, starts
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.starts import Init, learner_facts, learner_of
from metaser_jax.meta.last_layer import PrototypeStart, RidgeStart
from metaser_jax.models.classifier import HEAD_LAYERS, make_network, trained_logits
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec, ModelSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training.finished import ADDED
from metaser_jax.training.trainer import make_learner

AMOUNT = Amount("shots", 2)
OF_VOICE = {"network": "perceptron", "features": "voice", "normalise": "speaker", "hidden_dim": 3, "members": 2}
TRAIN = {"episodes": 4, "devices": 1}
LEARNER = FinetuneSpec(optimizer="learner", validation="none")


@pytest.fixture
def inner(finetune_config):
    return lambda **changes: finetune_config(
        **{"optimizer": "inner", "validation": "none", "max_epochs": 1, "seeds": 1, "lr": 0.3} | changes
    )


def assert_same_adaptation(one, other, init, config):
    results = [adapt(dataclasses.replace(config, **how), [init], load_target(config), [AMOUNT]) for how in (one, other)]
    for a, b in zip(*results, strict=True):
        assert a.row | {"seconds": 0} == b.row | {"seconds": 0}
        np.testing.assert_array_equal(a.predicted, b.predicted)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_adapts_as_it_was_trained_to(tmp_path, train_config, finetune_config, algorithm):
    steps = {"inner_steps": 2, "inner_lr": 0.05} if ALGORITHMS[algorithm].has_steps else {}
    run = str(tmp_path / "run")
    meta_train(train_config(run_dir=run, algorithm=algorithm, **TRAIN, **OF_VOICE, **steps))
    spec, init = starts.resolve(run, LEARNER, "c")
    config = finetune_config(split="speaker", folds=2, validation="none", optimizer="learner", **OF_VOICE)
    folds, amounts = load_target(config), [Amount("shots", 0), AMOUNT]
    of_start, _, adapted, _ = adapt(config, [init], folds[:1], amounts)
    learner = make_learner(init.meta.spec, cross_entropy(trained_logits(make_network(spec))))
    x, y = folds[0].as_input(spec.front_end).corpus.mfcc, folds[0].corpus.label
    drawn, test = draw(folds[0], AMOUNT, "none", 0)[0], folds[0].split.test
    support = Batch(jnp.asarray(x[drawn]), jnp.asarray(y[drawn]))
    for params, got in ((init.params, of_start), (learner.adapt(init.meta.params, support), adapted)):
        np.testing.assert_array_equal(got.predicted, make_network(spec).apply(params, x[test]).argmax(-1))
    # A model folder keeps the same, and refuses what was damaged.
    facts = json.loads(json.dumps(learner_facts(init.meta)))
    again = learner_of(facts, ModelSpec.of(spec), init.params, init.rates)
    jax.tree.map(np.testing.assert_array_equal, again.params, init.meta.params)
    assert all(getattr(again.spec, name) == value for name, value in facts["settings"].items())
    if facts["numbers"]:
        facts["numbers"].popitem()
        with pytest.raises(InputError, match="learner"):
            learner_of(facts, ModelSpec.of(spec), init.params, init.rates)
    if steps:
        another = init._replace(meta=init.meta._replace(spec=dataclasses.replace(init.meta.spec, inner_steps=1)))
        with pytest.raises(InputError, match="--optimizer=learner: got starts"):
            adapt(config, [init, another], folds, [AMOUNT])


def test_where_no_learner_or_rates_are_learned_it_is_sgd(train_config, inner, finetune_config):
    """From random parameters, from a run whose rates are of its steps, and from one that was not meta-trained."""
    run = str(meta_train(train_config(**TRAIN, algorithm="layer_rates")))
    for name in ("scratch", run):
        config, init = resolve(inner(init=name, max_epochs=3))
        assert init.rates is None
        assert_same_adaptation({}, {"optimizer": "sgd"}, init, config)
    config = finetune_config(validation="none", lr=0.1, max_epochs=3, **OF_VOICE)
    x = np.zeros((1, config.rows, config.coefs), np.float32)
    init = Init(make_network(config).init(jax.random.key(0), x), {"method": "multiser"})
    assert_same_adaptation({"optimizer": "inner"}, {"optimizer": "learner"}, init, config)


def test_each_parameter_moves_by_its_rate(train_config, inner):
    run = Path(meta_train(train_config(**TRAIN, algorithm="meta_sgd", order="first", meta_lr=0.05)))
    for adapted in ("all", "head"):
        config, init = resolve(inner(init=str(run), adapt=adapted))
        assert max(np.ptp(rates) for rates in jax.tree.leaves(init.rates)) > 0.01, "they differ"
        (ready,) = load_target(config)
        drawn = draw(ready, AMOUNT, config.validation, 0)
        ((logits, info, _),) = engine.train_and_predict(config, [init], [ready], [engine.Case(0, AMOUNT, 0, drawn)])

        model, corpus = make_network(config), ready.as_input(config.front_end).corpus
        train = Batch(corpus.mfcc[drawn[0]], corpus.label[drawn[0]])
        grads = jax.jit(jax.grad(cross_entropy(model.apply)))(init.params, train)

        def stepped(path, p, rate, grad, adapted=adapted):
            return p - rate * grad if adapted == "all" or path[1].key in HEAD_LAYERS else p

        tuned = jax.tree_util.tree_map_with_path(stepped, init.params, init.rates, grads)
        expected = jax.jit(model.apply)(tuned, corpus.mfcc[ready.split.test])
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
        assert info.epochs == 1
    saved = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(saved | {"inner_optimizer": "adam"}))
    with pytest.raises(InputError, match="--inner_optimizer=adam, expected sgd"):
        resolve(inner(init=str(run)))


@pytest.mark.parametrize(("algorithm", "kind"), [("proto_maml", PrototypeStart), ("r2d2", RidgeStart)])
def test_the_start_of_the_last_layer_is_read_with_the_run(algorithm, kind, train_config, finetune_config):
    run = Path(meta_train(train_config(algorithm=algorithm, meta_lr=0.05, **TRAIN)))
    config, init = resolve(finetune_config(init=str(run)))
    start = init.meta.params.start
    assert isinstance(start, kind)
    assert all(leaf.shape == () and leaf != 0 for leaf in jax.tree.leaves(start))
    assert init.source["inner_steps"] == (1 if algorithm == "proto_maml" else None)
    # A run of an earlier version does not say all of this.
    saved = json.loads((run / "config.json").read_text())
    earlier = {name: value for name, value in saved.items() if name not in ADDED - {"prototype_scale"}}
    (run / "config.json").write_text(json.dumps(earlier))
    assert resolve(finetune_config(init=str(run)))[0] == config
