"""A learner that the package does not have: a function, a line in the registry, and it goes from flags to a report."""

import json

import jax
import numpy as np
import pytest
from small_runs import meta_train, run_finetune

from metaser_jax import InputError
from metaser_jax.meta.learner import Info, Learner
from metaser_jax.meta.registry import LEARNERS
from metaser_jax.report import summarise, table, write_report
from metaser_jax.report.style import looks
from metaser_jax.results.rows import completed, series
from metaser_jax.specs.algorithms import ALGORITHMS, Algorithm
from metaser_jax.specs.programs import SweepConfig
from metaser_jax.specs.studies import OrderConfig
from metaser_jax.studies.ablation_order import run_ablation_order
from metaser_jax.training.cost import read_cost


def joint(loss_fn, inner_lr, inner_steps, **options):
    """Train on all query sets together: nothing is adapted."""

    def mean_loss(params, episode):
        losses = jax.vmap(loss_fn, (None, 0))(params, episode.query)
        return losses.mean(), losses

    def value_and_grad(params, episode, step=0):
        (loss, losses), grads = jax.value_and_grad(mean_loss, has_aux=True)(params, episode)
        return loss, grads, Info(losses, losses)

    return Learner(lambda params: params, value_and_grad, lambda params, _: params, lambda params: params)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "joint", Algorithm("Joint training", has_order=False))
    monkeypatch.setitem(LEARNERS, "joint", joint)


def test_not_registered_is_no_choice(train_config):
    with pytest.raises(InputError, match="--algorithm: got 'joint', expected one of: anil, "):
        train_config(algorithm="joint")
    with pytest.raises(InputError, match="--variants: got 'joint'"):
        OrderConfig(data_dir="data", out="o", variants=("second", "joint"))


def test_train_and_adapt(registered, train_config, finetune_config, tmp_path):
    run = meta_train(train_config(algorithm="joint"), log=lambda line: None)
    assert json.loads((run / "config.json").read_text())["method"] == "joint"
    rows = run_finetune(finetune_config(init=str(run), max_epochs=2))
    known = ("method", "algorithm", "order", "sources", "seed")
    assert [[row[name] for name in known] for row in rows] == [["joint", "joint", None, ["a", "b"], i] for i in (0, 1)]
    assert table(summarise(rows)).splitlines()[2].startswith("Joint training  c ")
    page = write_report(tmp_path / "report", rows, title="t", intro="i", command="c", device="cpu").read_text()
    assert "Joint training" in page


def test_study(registered, tiny, tmp_path):
    config = OrderConfig(
        data_dir="data",
        out=str(tmp_path / "o"),
        sources=("ravdess",),
        targets=("urdu",),
        splits=("random",),
        shots=(2,),
        seeds=2,
        pretrain_seeds=1,
        resamples=50,
        variants=("second", "joint"),
    )

    def cost(run_dir, phases):
        return read_cost(run_dir, phases)._replace(seconds=1.0)

    options = {"corpora": tiny, "cost_of_run": cost, "time_run": lambda spec: 1.0}
    page = run_ablation_order(config, "c", **options).read_text()
    lines = json.loads((tmp_path / "o" / "ablation_order.json").read_text())["lines"]
    assert {(line["variant"], line["method"], line["algorithm"], line["order"]) for line in lines} == {
        ("second", "metaser", "maml", "second"),
        ("joint", "joint", "joint", None),
    }
    for text in ("Joint training", "Joint training: learning from sources", "Joint training, all layers"):
        assert f">{text}</" in page
    assert "MetaSER" not in page.partition('id="how-to-cite"')[0]


def test_grid(registered):
    config = SweepConfig(
        data_dir="d", out="o", sources=("a",), seeds=1, grid=("algorithm=maml,joint",), tasks_per_episode=2
    )
    assert [member.config.algorithm for member in config.grid_members] == ["maml", "joint"]


def test_colour_is_its_own(registered, make_row):
    rows = [make_row(method=name, algorithm=name) for name in ALGORITHMS if name != "maml"]
    keys = [series(row) for row in completed(rows)]
    colours = [look.color for look in looks(keys).values()]
    assert len(set(colours)) == len(colours)
    alone = looks(keys[-1:])[keys[-1]]
    assert alone == looks(keys)[keys[-1]]
    assert np.all([key.algorithm for key in keys])
