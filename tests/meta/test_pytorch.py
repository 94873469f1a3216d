"""The meta-gradients against PyTorch's, from the benchmark's own peers: same weights, same data, inner rate 0.1."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from metaser_jax import Batch, EmotionLSTM, Episode, cross_entropy, maml

pytest.importorskip("torch", reason="torch is not installed: make bench, or pip install 'metaser_jax[bench]'")
BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture(scope="module")
def benchmark_modules():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import peer_torch
        import problem

        yield problem, peer_torch
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize(("order", "steps"), [("first", 3), ("second", 3)])
def test_gradient_equals_pytorchs(order, steps, benchmark_modules):
    problem, peer_torch = benchmark_modules
    model = EmotionLSTM(8)
    params = model.init(jax.random.key(0), np.zeros((1, 120, 20), np.float32))
    weights = jax.tree.map(np.asarray, params["params"])
    data = problem.make_problem(problem.Setting(2, 4, 8, steps, 8), weights)
    episode = Episode(Batch(*data.support), Batch(*data.query))
    learner = maml(cross_entropy(model.apply), problem.INNER_LR, steps, order)
    ours = jax.jit(learner.value_and_grad)(params, episode)[1]["params"]
    theirs = peer_torch.to_weights(peer_torch.make_step(f"torch {order}", data, tasks=2, onednn=True)(), data)
    assert problem.relative_error(jax.tree.map(np.asarray, ours), theirs) < 1e-4
