"""The ablation of the order, whole but tiny; what a run's cost is; how many episodes fit into second order's time."""

import json

import pytest

from metaser_jax import InputError
from metaser_jax.config import OrderConfig
from metaser_jax.studies.ablation_order import fitting, run_ablation_order
from metaser_jax.training.cost import Cost, read_cost


def order_config(out, **changes):
    values = {"data_dir": "data", "out": str(out), "seeds": 2, "resamples": 50, "pretrain_seeds": 1}
    values |= {"sources": ("ravdess",), "targets": ("urdu",), "splits": ("random",), "shots": (2,)}
    return OrderConfig(**values | {"variants": ("second", "first", "reptile")} | changes)


def test_ablation(tmp_path, tiny):
    # Second order's four episodes take 12 s, of the others seven and two fit.
    seconds = {"second": 3.0, "first": 1.7, "reptile": 6.0}

    def cost(run_dir, phases):
        name = run_dir.name.partition("_")[0].replace("metaser", "first")
        return read_cost(run_dir, phases)._replace(seconds=seconds[name])

    options = {"corpora": tiny, "cost_of_run": cost}
    command = "python experiments/ablation_order.py"
    page = run_ablation_order(order_config(tmp_path / "o"), command, **options).read_text()
    found = json.loads((tmp_path / "o" / "ablation_order.json").read_text())
    episodes = {(line["variant"], line["budget"]): line["episodes"] for line in found["lines"]}
    assert episodes == {
        **{(variant, "episodes"): 4 for variant in ("second", "first", "reptile")},
        **{("second", "time"): 4, ("first", "time"): 7, ("reptile", "time"): 2},
    }
    for line in found["lines"]:
        assert line["temp_bytes"] > 0
        assert line["training_seconds"] == line["episodes"] * seconds[line["variant"]]
        for number in (f"{line['macro_f1']:.3f} ± ", f"{line['seconds_per_episode']:.3f}", str(line["episodes"])):
            assert number in page
    pairs = [
        (line["order"], line["other_order"], line["other_method"], line["budget"]) for line in found["comparisons"]
    ]
    assert sorted(pairs, key=str) == [
        ("second", "first", "metaser", "episodes"),
        ("second", "first", "metaser", "time"),
        ("second", None, "reptile", "episodes"),
        ("second", None, "reptile", "time"),
    ]
    assert (tmp_path / "o" / "ablation_order.png").stat().st_size > 1000
    # The preset's own variant is the run that other studies start from.
    assert (tmp_path / "o" / "runs" / "metaser_ravdess_4_s0").is_dir()
    # Cells of the version before, whose rows did not say the algorithm.
    for path in (tmp_path / "o" / "cells").glob("*/results.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert all(row.pop("algorithm") for row in rows)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = []
    run_ablation_order(order_config(tmp_path / "o"), "c", log=said.append, **options)
    assert sum("cells in" in line and "finished already" in line for line in said) == 2
    assert json.loads((tmp_path / "o" / "ablation_order.json").read_text())["lines"] == found["lines"]


def test_refuses(tmp_path, tiny):
    with pytest.raises(InputError, match="--sources=tess: not prepared"):
        run_ablation_order(order_config(tmp_path / "o", sources=("tess",)), "c", corpora=tiny)
    with pytest.raises(InputError, match="--targets: got ravdess, which is among --sources"):
        run_ablation_order(order_config(tmp_path / "o", targets=("ravdess",)), "c", corpora=tiny)
    with pytest.raises(InputError, match=r"--variants.*second among them"):
        order_config(tmp_path, variants=("first",))


def test_equal_time():
    second = Cost(0.5, 200, 1.0, None, "cpu")
    for seconds, episodes in ((0.25, 400), (0.3, 333), (0.5, 200), (400.0, 1)):
        assert fitting(second, second._replace(seconds=seconds)) == episodes


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
