"""What a run has learned of how the last layer starts: adaptation makes of the drawn clips what the learner makes."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import load_target, meta_train, resolve

from metaser_jax import Batch
from metaser_jax.adaptation import starts
from metaser_jax.meta.last_layer import PrototypeStart, RidgeStart, start_last_layer
from metaser_jax.models.classifier import last_layer, make_network


@pytest.mark.parametrize(("algorithm", "kind"), [("proto_maml", PrototypeStart), ("r2d2", RidgeStart)])
def test_the_start_is_read_with_the_run(algorithm, kind, train_config, finetune_config):
    run = str(meta_train(train_config(algorithm=algorithm, meta_lr=0.05, episodes=4, devices=1)))
    config, init = resolve(finetune_config(init=run))
    assert isinstance(init.last_layer_start, kind)
    assert all(leaf.shape == () and leaf != 0 for leaf in jax.tree.leaves(init.last_layer_start))
    assert init.source["inner_steps"] == (1 if algorithm == "proto_maml" else None)
    (ready,) = load_target(config)
    corpus, model = ready.as_input(config.front_end).corpus, make_network(config)
    support = Batch(corpus.mfcc[:8], corpus.label[:8])
    started = start_last_layer(init.last_layer_start, last_layer(model), init.params, support)
    changed = {name for name, layer in started["params"].items() if layer is not init.params["params"][name]}
    assert changed == {"output"}
    assert np.any(started["params"]["output"]["kernel"] != init.params["params"]["output"]["kernel"])


def test_others_have_none(train_config, finetune_config):
    run = str(meta_train(train_config(episodes=4, devices=1)))
    config, init = resolve(finetune_config(init=run))
    assert init.last_layer_start is None
    # As earlier versions wrote it.
    path = Path(run, "config.json")
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in saved.items() if name not in starts._ADDED}))
    assert resolve(finetune_config(init=run))[0] == config
