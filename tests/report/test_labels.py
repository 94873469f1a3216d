"""One name and one look for an algorithm, in every table and picture: those of what ran, whatever a study calls it."""

import pytest

from metaser_jax.report import summarise, table
from metaser_jax.report.adaptation import adaptation_figure
from metaser_jax.report.confusion import confusion_figure
from metaser_jax.report.style import looks
from metaser_jax.report.tables import score_tables
from metaser_jax.results.rows import completed, method_name, series

NAMES = {
    ("maml", "second"): "MAML, second order",
    ("maml", "first"): "FOMAML",
    ("maml", "annealed"): "MAML, annealed order",
    ("anil", "second"): "ANIL",
    ("meta_sgd", "second"): "Meta-SGD",
    ("meta_sgd", "first"): "Meta-SGD, first order",
    ("layer_rates", "second"): "MAML with layer rates",
    ("reptile", None): "Reptile",
    ("proto_maml", "first"): "ProtoMAML, first order",
    ("proto_meta_sgd", "second"): "ProtoMAML with learned rates",
    ("r2d2", None): "R2-D2",
}


@pytest.mark.parametrize(("algorithm", "order"), NAMES)
def test_the_algorithm_that_ran(make_row, algorithm, order):
    name = NAMES[algorithm, order]
    # As a study's rows, whose method is the study's, and as finetune.py's.
    for method in {"metaser", algorithm} - {"maml"}:
        of = {"method": method, "algorithm": algorithm, "order": order}
        rows = [make_row(seed, **of, shots=shots) for seed in (0, 1) for shots in (1, 5)]
        assert table(summarise(rows)).splitlines()[2].partition("urdu")[0].strip() == name
        (legend,) = adaptation_figure(summarise(rows)).legends
        assert legend.get_texts()[0].get_text() == name
        assert confusion_figure(summarise(rows)).axes[0].get_title().splitlines()[1] == f"{name}, all layers"
        said = str(score_tables(summarise(rows)))
        assert name in said
        assert "MetaSER" not in said


def test_a_study_and_a_run_of_one_algorithm_are_one_series(make_row):
    of_study, of_run = (
        make_row(seed, method=method, algorithm="meta_sgd", order="second")
        for seed, method in enumerate(("metaser", "meta_sgd"))
    )
    (summary,) = summarise([of_study, of_run])
    assert summary.seeds == (0, 1)


def test_rows_from_before_the_algorithm_was_recorded(make_row):
    of = {m: series(completed([make_row(method=m, order="second")])[0]) for m in ("metaser", "meta_sgd", "svm")}
    assert {m: method_name(key) for m, key in of.items()} == {
        "metaser": "MetaSER (second order)",  # a study's could be any
        "meta_sgd": "Meta-SGD",
        "svm": "SVM (second order)",
    }


def test_a_look_does_not_depend_on_what_else_is_there(make_row):
    rows = [make_row(method="metaser", algorithm=algorithm, order=order) for algorithm, order in NAMES]
    rows += [make_row(method=method) for method in ("multiser", "transser", "svm", "scratch")]
    keys = [series(row) for row in completed(rows)]
    together = looks(keys)
    for key in keys:
        if (key.algorithm, key.order) != ("meta_sgd", "first"):  # which is its colour's second line
            assert looks([key])[key] == together[key]
    assert len({(look.color, look.marker, look.linestyle) for look in together.values()}) == len(keys)
