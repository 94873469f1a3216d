"""--optimizer=inner: fine-tuning with the rates that meta-learning has learned, or with --lr from other starts."""

import dataclasses

import jax
import numpy as np
import pytest
from small_runs import adapt, load_target, meta_train, resolve

from metaser_jax import Batch, InputError, cross_entropy
from metaser_jax.adaptation import engine as adaptation
from metaser_jax.adaptation.engine import draw
from metaser_jax.models.classifier import HEAD_LAYERS, make_network
from metaser_jax.results.outcomes import Amount
from metaser_jax.results.run_dir import read_lines

AMOUNT = Amount("shots", 2)
TRAIN = {"episodes": 4, "devices": 1}


@pytest.fixture
def inner(finetune_config):
    return lambda **changes: finetune_config(
        **{"optimizer": "inner", "validation": "none", "max_epochs": 1, "seeds": 1, "lr": 0.3} | changes
    )


def test_each_parameter_moves_by_its_rate(train_config, inner):
    run = str(meta_train(train_config(**TRAIN, algorithm="meta_sgd", order="first", meta_lr=0.05)))
    for adapted in ("all", "head"):
        config, init = resolve(inner(init=run, adapt=adapted))
        (ready,) = load_target(config)
        drawn = draw(ready, AMOUNT, config.validation, 0)
        case = adaptation.Case(0, AMOUNT, 0, drawn)
        ((logits, info, _),) = adaptation.train_and_predict(config, [init], [ready], [case], print)

        model, corpus = make_network(config), ready.as_input(config.front_end).corpus
        train = Batch(corpus.mfcc[drawn[0]], corpus.label[drawn[0]])
        grads = jax.jit(jax.grad(cross_entropy(model.apply)))(init.params, train)

        def stepped(path, p, rate, grad, adapted=adapted):
            moves = adapted == "all" or path[1].key in HEAD_LAYERS
            return p - rate * grad if moves else p

        tuned = jax.tree_util.tree_map_with_path(stepped, init.params, init.rates, grads)
        expected = jax.jit(model.apply)(tuned, corpus.mfcc[ready.split.test])
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
        assert info.epochs == 1
        assert max(np.ptp(rates) for rates in jax.tree.leaves(init.rates)) > 0.01, "they differ"


def test_the_best_checkpoint_is_where_it_starts(train_config, inner):
    run = meta_train(train_config(devices=1, algorithm="meta_sgd", meta_lr=2.0))
    losses = {line["episode"]: line["valid_query_loss"] for line in read_lines(run / "metrics.jsonl")}
    best = min(losses, key=losses.get)
    assert best < max(losses), "it gets worse"
    _, init = resolve(inner(init=str(run)))
    assert init.source["init_episode"] == best


def test_where_none_are_learned_it_is_sgd(train_config, inner):
    """From random parameters, and from a run whose rates are of its steps."""
    run = str(meta_train(train_config(**TRAIN, algorithm="layer_rates")))
    for name in ("scratch", run):
        config, init = resolve(inner(init=name, max_epochs=3))
        assert init.rates is None
        folds = load_target(config)
        by_name = [adapt(c, [init], folds, [AMOUNT]) for c in (config, dataclasses.replace(config, optimizer="sgd"))]
        ((one,), (other,)) = by_name
        assert one.row | {"seconds": 0} == other.row | {"seconds": 0}
        np.testing.assert_array_equal(one.predicted, other.predicted)


def test_rates_of_another_optimizers_updates_are_refused(train_config, inner):
    run = str(meta_train(train_config(**TRAIN, algorithm="meta_sgd", inner_optimizer="adam")))
    with pytest.raises(InputError, match="has learned its rates with --inner_optimizer=adam, expected sgd"):
        resolve(inner(init=run))
    resolve(inner(init=run, optimizer="adam"))
