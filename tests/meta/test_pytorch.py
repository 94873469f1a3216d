"""The meta-gradients against PyTorch's, from the benchmark's own peers: same weights, same data, inner rate 0.1."""

import importlib
from pathlib import Path

import jax
import numpy as np
import pytest

from metaser_jax import Batch, EmotionLSTM, Episode, cross_entropy, maml

pytest.importorskip("torch", reason="torch is not installed: make bench, or pip install 'metaser_jax[bench]'")
BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.mark.parametrize("order", ["first", "second"])
def test_gradient_equals_pytorchs(order, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    problem, peer_torch = map(importlib.import_module, ("problem", "peer_torch"))
    model = EmotionLSTM(8)
    params = model.init(jax.random.key(0), np.zeros((1, 120, 20), np.float32))
    weights = jax.tree.map(np.asarray, params["params"])
    data = problem.make_problem(problem.Setting(2, 4, 8, 3, 8), weights)
    episode = Episode(Batch(*data.support), Batch(*data.query))
    learner = maml(cross_entropy(model.apply), problem.INNER_LR, 3, order)
    ours = jax.jit(learner.value_and_grad)(params, episode)[1]["params"]
    theirs = peer_torch.to_weights(peer_torch.make_step(f"torch {order}", data, tasks=2, onednn=True)(), data)
    assert problem.relative_error(jax.tree.map(np.asarray, ours), theirs) < 1e-4
