"""The ablation of the order, whole but tiny, with a learner that the package does not have; what a run's cost is."""

import json
from pathlib import Path

import jax
import pytest
from small_runs import meta_train, run_finetune

from metaser_jax import InputError
from metaser_jax.meta.learner import Info, Learner
from metaser_jax.report import summarise, table, write_report
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS, Algorithm
from metaser_jax.specs.programs import SweepConfig
from metaser_jax.specs.studies import OrderConfig
from metaser_jax.studies import ablation_order
from metaser_jax.studies.ablation_order import fitting, measure, run_ablation_order, time_run
from metaser_jax.studies.study import open_study
from metaser_jax.training.cost import Cost, read_cost
from metaser_jax.training.trainer import LEARNERS


def pooled(loss_fn, inner_lr, inner_steps, **options):
    """Train on all query sets at once: nothing is adapted."""

    def mean_loss(params, episode):
        losses = jax.vmap(loss_fn, (None, 0))(params, episode.query)
        return losses.mean(), losses

    def value_and_grad(params, episode, step=0):
        (loss, losses), grads = jax.value_and_grad(mean_loss, has_aux=True)(params, episode)
        return loss, grads, Info(losses, losses)

    return Learner(lambda params: params, value_and_grad, lambda params, _: params, lambda params: params)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "pooled", Algorithm("Pooled", has_order=False))
    monkeypatch.setitem(LEARNERS, "pooled", pooled)


def test_not_registered_is_no_choice(train_config):
    with pytest.raises(InputError, match="--algorithm: got 'pooled'"):
        train_config(algorithm="pooled")
    with pytest.raises(InputError, match="--variants: got 'pooled'"):
        OrderConfig(data_dir="data", out="o", variants=("second", "pooled"))


def test_train_and_adapt(registered, train_config, finetune_config, tmp_path):
    grid = {"grid": ("algorithm=maml,pooled",), "seeds": 1, "tasks_per_episode": 2}
    members = SweepConfig(data_dir="d", out="o", sources=("a",), **grid).grid_members
    assert [member.config.algorithm for member in members] == ["maml", "pooled"]
    run = meta_train(train_config(algorithm="pooled"))
    assert json.loads((run / "config.json").read_text())["method"] == "pooled"
    rows = run_finetune(finetune_config(init=str(run), max_epochs=2))
    known = [[row[name] for name in ("method", "algorithm", "order", "sources", "seed")] for row in rows]
    assert known == [["pooled", "pooled", None, ["a", "b"], i] for i in (0, 1)]
    assert table(summarise(rows)).splitlines()[2].startswith("Pooled  c ")
    page = write_report(tmp_path / "report", rows, title="t", intro="i", command="c", device="cpu").read_text()
    assert "Pooled" in page


def order_config(out, **changes):
    values = {"data_dir": "data", "out": str(out), "seeds": 2, "resamples": 50, "pretrain_seeds": 1}
    values |= {"sources": ("ravdess",), "targets": ("urdu",), "splits": ("random",), "shots": (2,)}
    return OrderConfig(**values | {"variants": ("second", "first")} | changes)


def test_ablation(tmp_path, tiny, registered, runs, capsys, monkeypatch):
    # Second order's four episodes take 12 s, of the others seven and two fit.
    seconds, calls = {"second": 3.0, "first": 1.7, "pooled": 6.0}, iter(range(100))

    def timed(study, spec):
        # Whatever else runs makes every round slower than the one before.
        assert spec.checkpoint_every == spec.episodes
        name = "pooled" if spec.algorithm == "pooled" else spec.order
        return seconds[name] * (1 + next(calls) // 3)

    monkeypatch.setattr(ablation_order, "time_run", timed)
    config = order_config(tmp_path / "o", runs=runs, variants=tuple(seconds))
    page = run_ablation_order(config, "the command", corpora=tiny).read_text()
    found = json.loads((tmp_path / "o" / "ablation_order.json").read_text())
    episodes = {"episodes": dict.fromkeys(seconds, 4), "time": {"second": 4, "first": 7, "pooled": 2}}
    assert len(found["lines"]) == 6
    for line in found["lines"]:
        share = seconds[line["variant"]] / 3.0
        assert line["episodes"] == episodes[line["budget"]][line["variant"]]
        assert line["temp_bytes"] > 0
        assert line["of_second_order"] == pytest.approx(share)
        took = line["episodes"] * 9.0 * share  # the median round is the third
        assert line["training_seconds"] == pytest.approx(took)
        for number in (f"{line['macro_f1']:.3f} ± ", f"{line['seconds_per_episode']:.3f}", str(line["episodes"])):
            assert number in page
    known = ("order", "other_order", "other_method", "budget")
    pairs = {tuple(line[name] for name in known) for line in found["comparisons"]}
    others = (("first", "metaser"), (None, "pooled"))
    assert pairs == {("second", *other, budget) for other in others for budget in episodes}
    assert (tmp_path / "o" / "ablation_order.png").stat().st_size > 1000
    # The preset's own variant is the run that other studies start from.
    assert Path(runs, "metaser_ravdess_4_s0").is_dir()
    for text in ("Pooled", "Pooled: learning from sources", "Pooled, all layers"):
        assert f">{text}</" in page
    assert "MetaSER" not in page.partition('id="how-to-cite"')[0]
    # Cells of the version before, whose rows did not say the algorithm.
    for path in (tmp_path / "o" / "cells").glob("*/results.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert all(row.pop("algorithm") for row in rows)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    run_ablation_order(config, "c", corpora=tiny)
    assert capsys.readouterr().out.count("finished already") == 2
    assert json.loads((tmp_path / "o" / "ablation_order.json").read_text())["lines"] == found["lines"]


def test_the_time_of_an_episode(tmp_path, tiny):
    study = open_study(order_config(tmp_path / "o"), "c", tiny)
    assert time_run(study, study.meta_spec(("ravdess",), 0)) > 0
    assert not (tmp_path / "o").exists()


def test_times_are_kept(tmp_path):
    def spec_of(variant, episodes):
        return MetaTrainSpec(sources=("a",), episodes=episodes, log_every=20, checkpoint_every=20)

    known, seconds = {"second": 0.1, "first": 0.01}, iter([2.0, 1.0, 1.2, 2.0, 2.0, 1.0, 9.0, 2.0, 2.0, 1.0])
    found = measure(tmp_path, spec_of, known, lambda spec: next(seconds))
    assert found.episodes == {"second": 60, "first": 400}
    # In turn, every other round begins with the other; one that was disturbed does not count.
    assert found.ratios("first") == [0.5, 0.6, 0.5, 4.5, 0.5]
    assert found.seconds("first") == 1.0
    assert measure(tmp_path, spec_of, known, pytest.fail) == found
    assert [fitting(200, 0.5, seconds) for seconds in (0.25, 0.3, 0.5, 400.0)] == [400, 333, 200, 1]


def test_refuses(tmp_path, tiny):
    with pytest.raises(InputError, match="--sources=tess: not prepared"):
        run_ablation_order(order_config(tmp_path / "o", sources=("tess",)), "c", corpora=tiny)
    with pytest.raises(InputError, match="--targets: got ravdess, which is among --sources"):
        run_ablation_order(order_config(tmp_path / "o", targets=("ravdess",)), "c", corpora=tiny)
    with pytest.raises(InputError, match=r"--variants.*second among them"):
        order_config(tmp_path, variants=("first",))


def test_cost_of_a_run(tmp_path):
    with pytest.raises(InputError, match=r"measured.json: cannot be read"):
        read_cost(tmp_path)
    (tmp_path / "measured.json").write_text(json.dumps({"compile_seconds": 2, "temp_bytes": 3, "device": "d"}))
    lines = [{"episode": 10 * (i + 1), "episodes_per_second": rate} for i, rate in enumerate((10, 10, 1, 2, 2, 2))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_cost(tmp_path) == Cost(0.5, 60, 2, 3, "d")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"episode": 60, "episodes_per_second": None}) + "\n")
    assert read_cost(tmp_path) == Cost(0.5, 60, 2, 3, "d")  # what was not measured does not count
    # Annealed: 20 episodes of a tenth of a second, and 40 of half a second.
    assert read_cost(tmp_path, [20]).seconds == pytest.approx((20 * 0.1 + 40 * 0.5) / 60)
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"total_epoch": 3, "epochs_per_second": 1}) + "\n")
    with pytest.raises(InputError, match=r"metrics.jsonl has no episodes"):
        read_cost(tmp_path)
