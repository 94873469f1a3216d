"""Pictures of results and of training, and the names and looks of their methods."""

import sys

import numpy as np
import pytest

from metaser_jax.errors import InputError
from metaser_jax.report import plot_adaptation, plot_confusion, plot_training, plots, summarise, table
from metaser_jax.report.plots import Band, chance_macro_f1, training_figure
from metaser_jax.report.style import looks
from metaser_jax.report.tables import score_tables
from metaser_jax.results.metrics import scores
from metaser_jax.results.rows import completed, method_name, series


def adaptation_figure(rows, *band):
    return plots.adaptation_figure(summarise(rows), *band)


def confusion_figure(rows):
    return plots.confusion_figure(summarise(rows))


def curves(axes):
    """Lines with markers of their own: the means, not dots, chance or oracle."""
    return [line for line in axes.get_lines() if line.get_marker() not in (".", "None", None)]


def level_lines(axes):
    return [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() in ("--", ":")]


def tick_names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_curve_of_each_target_and_method(many_rows):
    figure = adaptation_figure(many_rows)
    assert [axes.get_title() for axes in figure.axes] == ["emodb (German)", "urdu"]
    for axes, target in zip(figure.axes, ("emodb", "urdu"), strict=True):
        for line, method in zip(curves(axes), ("metaser", "scratch"), strict=True):
            rows = [row for row in many_rows if (row["target"], row["method"]) == (target, method)]
            means = [np.mean([row["macro_f1"] for row in rows if row["shots"] == shots]) for shots in (1, 5, 20)]
            np.testing.assert_allclose(line.get_data(), ((1, 5, 20), means))
        dots = [line for line in axes.get_lines() if line.get_marker() == "."]
        assert sum(len(line.get_ydata()) for line in dots) == 2 * 3 * 3
        assert len(axes.collections) == 2  # bands
        assert axes.get_xscale() == "log"
        assert tick_names(axes.xaxis) == ["20", "5", "1"]
        assert max(level_lines(axes)) == pytest.approx(0.94)
    title = figure.get_suptitle()
    assert "random split" in title
    assert "3 draws" in title


def test_head_is_dashed_and_svm_says_what_it_has_learned_from(make_row):
    methods = (("metaser", "head"), ("multiser", "all"), ("multiser", "head"), ("svm", None))
    rows = [make_row(s, method=m, adapt=a, shots=k) for s in range(2) for m, a in methods for k in (1, 5)]
    rows += [make_row(s, method="svm", adapt=None, sources=[], shots=k) for s in range(2) for k in (1, 5)]
    figure = adaptation_figure(rows)
    names = [text.get_text() for text in figure.legends[0].get_texts()][:5]
    assert names == [
        *("MetaSER, head only", "MultiSER, all layers", "MultiSER, head only"),
        *("SVM, target alone", "SVM, with the sources"),
    ]
    lines = [line for line in figure.legends[0].get_lines() if line.get_marker() not in ("None", None)]
    assert [line.get_linestyle() for line in lines] == ["--", "-", "--", "-", "--"]
    assert [line.get_markerfacecolor() == "white" for line in lines] == [True, False, True, False, True]


def test_curves_that_coincide_are_one_line(make_row):
    """One method's head, and another method, lie within .002 of all its layers; panels share their scale."""
    rows = [
        make_row(method=method, adapt=adapt, shots=shots, target=target, macro_f1=0.5 + 0.01 * shots + more)
        for method, adapt, more in (
            *(("metaser", "all", 0.0), ("metaser", "head", 0.0019)),
            *(("multiser", "all", 0.1), ("multiser", "head", 0.103), ("scratch", "all", 0.0), ("transser", "all", 0.2)),
        )
        for shots in (1, 5)
        for target in ("urdu", "emodb")
    ]
    figure = adaptation_figure(rows)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:3] == [
        "MetaSER, all layers = head only = from scratch, all layers within .002",
        *("MultiSER, all layers", "MultiSER, head only"),
    ]
    assert [len(curves(axes)) for axes in figure.axes] == [4, 4]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    rows[0]["macro_f1"] += 0.01
    assert len(curves(adaptation_figure(rows).axes[1])) == 5, "the head and scratch are still one"


def test_folds_have_their_own_panel_and_are_named(make_row):
    one = [make_row(0, split="speaker", shots=k) for k in (1, 5)]
    folds = [make_row(0, split="speaker", shots=k, folds=3, fold=f) for k in (1, 5) for f in range(3)]
    figure = adaptation_figure([*one, *folds])
    several, alone = figure.axes
    assert several.get_title() == "urdu, 3-fold speaker split"
    assert alone.get_title() == "urdu, speaker split"
    np.testing.assert_allclose(curves(several)[0].get_ydata()[0], np.mean([row["macro_f1"] for row in folds[:3]]))
    assert figure.get_suptitle() == (
        "Macro F1 against shots, learned from tess + emodb\n3-fold speaker and speaker splits, one draw"
    ), "one draw has no spread"
    (matrix,) = confusion_figure(folds).axes
    assert matrix.get_title().startswith("urdu, 3-fold speaker split")
    counts = np.sum([row["confusion"] for row in folds[3:]], axis=0)
    assert [text.get_text().split()[1] for text in matrix.texts] == [f"({n})" for true in counts for n in true]


def test_chance_is_what_guessing_scores():
    label = np.repeat(np.arange(4), (40000, 20000, 30000, 10000))
    guess = np.random.default_rng(0).integers(0, 4, len(label))
    found = scores(label, guess, 4)
    assert chance_macro_f1(found["confusion"]) == pytest.approx(found["macro_f1"], abs=0.005)


def test_confusion_sums_seeds_of_the_first_method_with_most_data(many_rows, make_row):
    figure = confusion_figure([*many_rows, many_rows[0] | {"adapt": "head", "shots": 50}])
    axes = {axes.get_title().split()[0].strip(","): axes for axes in figure.axes}
    assert sorted(axes) == ["emodb", "urdu"]
    rows = [r for r in many_rows if (r["target"], r["method"], r["shots"]) == ("urdu", "metaser", 20)]
    counts = np.sum([row["confusion"] for row in rows], axis=0)
    expected = [f"{n / true.sum():.0%}\n({n})" for true in counts for n in true]
    assert [text.get_text() for text in axes["urdu"].texts] == expected
    assert "MetaSER (first order), all layers\n20 shots, 3 draws" in axes["urdu"].get_title()
    assert tick_names(axes["urdu"].xaxis) == ["angry", "happy", "neutral", "sad"]
    (axes,) = confusion_figure([make_row(confusion=[[0, 0], [1, 3]], emotions=["a", "b"])]).axes
    assert [text.get_text() for text in axes.texts] == ["none\n(0)", "none\n(0)", "25%\n(1)", "75%\n(3)"]


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"DOCTYPE svg"), ("pdf", b"%PDF-")])
def test_files(tmp_path, many_rows, metrics, suffix, start):
    small = many_rows[:1]
    for plot, rows in ((plot_adaptation, small), (plot_confusion, small), (plot_training, metrics)):
        content = plot(rows, tmp_path / "new" / f"{plot.__name__}.{suffix}").read_bytes()
        assert start in content[:300]
        assert suffix != "pdf" or b"/Type3" not in content, "fonts that publishers take"
        assert suffix != "pdf" or b"CreationDate" not in content, "the same picture is the same file"


def test_refusals(tmp_path, make_row, monkeypatch):
    with pytest.raises(InputError, match=r"got suffix '\.bmp'"):
        plot_adaptation([make_row()], tmp_path / "a.bmp")
    for plot in (plot_adaptation, plot_confusion):
        with pytest.raises(InputError, match="got no rows"):
            plot([], tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r'pip install "metaser_jax\[plot\]"'):
        plot_confusion([make_row()], tmp_path / "a.png")


@pytest.mark.parametrize(
    ("amounts", "scale", "ticks"),
    [
        ([{"shots": None, "fraction": f} for f in (0.1, 0.5, None)], "linear", ["1", "0.5", "0.1"]),
        ([{"shots": k} for k in (0, 1, 2, 98, 99, 100)], "symlog", ["100", "2", "1", "0"]),
    ],
)
def test_amounts_are_told_apart(make_row, amounts, scale, ticks):
    figure = adaptation_figure([make_row(**amount) for amount in amounts])
    (axes,) = figure.axes
    assert (axes.get_xscale(), tick_names(axes.xaxis)) == (scale, ticks)
    assert len(axes.collections) == 0, "one draw has no band"
    assert "±" not in figure.get_suptitle()


def test_the_oracle_is_for_the_random_split(make_row):
    figure = adaptation_figure([make_row(split=split, shots=k) for split in ("random", "speaker") for k in (1, 5)])
    assert [axes.get_title() for axes in figure.axes] == ["urdu, random split", "urdu, speaker split"]
    assert [len(level_lines(axes)) for axes in figure.axes] == [2, 1]


def test_another_band_and_single_amounts(make_row):
    rows = [make_row(s, shots=k) for s in range(3) for k in (1, 5)]
    (axes,) = adaptation_figure(rows, Band("a tenth", lambda point: (0.4, 0.5), dots=False)).axes
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose((heights.min(), heights.max()), (0.4, 0.5))
    assert not [line for line in axes.get_lines() if line.get_marker() == "."]
    (axes,) = adaptation_figure([make_row(s, method=m) for s in range(2) for m in ("metaser", "scratch")]).axes
    assert len({float(x) for line in curves(axes) for x in line.get_xdata()}) == 2, "side by side"


def test_training_lines(metrics):
    (axes,) = training_figure(metrics).axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert len(lines) == 4
    assert list(lines["validation query, after adaptation"].get_xdata()) == [20, 40, 60, 80, 100]
    with pytest.raises(InputError, match="got 1 rows without a loss"):
        training_figure([{"episode": 1, "support_loss": None}])


def test_epochs_of_pre_training():
    rows = [
        {"stage": s, "sources": [name], "epoch": e, "total_epoch": 10 * s + e, "train_loss": 2 - e / 9, "valid_loss": 1}
        for s, name in enumerate(("tess", "emodb"))
        for e in range(1, 11)
    ]
    rows[3]["valid_loss"] = None
    (axes,) = training_figure(rows).axes
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("tess", 0), ("emodb", 10)]
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) > 2]
    drawn = {(line.get_label(), *map(int, line.get_xdata()[[0, -1]])): line for line in lines}
    train, valid = "training, during the epoch", "validation, after the epoch"
    assert drawn.keys() == {(name, *ends) for name in (train, valid) for ends in ((1, 10), (11, 20))}
    assert 4 not in drawn[valid, 1, 10].get_xdata()
    assert not training_figure(rows[:10]).axes[0].texts  # one stage needs no name


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
def test_the_name_of_the_algorithm_that_ran(make_row, algorithm, order):
    """Whatever a study calls its method."""
    name = NAMES[algorithm, order]
    of = {"method": "metaser", "algorithm": algorithm, "order": order}
    summaries = summarise([make_row(seed, **of, shots=shots) for seed in (0, 1) for shots in (1, 5)])
    assert table(summaries).splitlines()[2].partition("urdu")[0].strip() == name
    assert plots.adaptation_figure(summaries).legends[0].get_texts()[0].get_text() == name
    assert plots.confusion_figure(summaries).axes[0].get_title().splitlines()[1] == f"{name}, all layers"
    assert "MetaSER" not in str(score_tables(summaries))


def test_one_series_however_it_is_recorded(make_row):
    of = [make_row(i, method=m, algorithm="meta_sgd", order="second") for i, m in enumerate(("metaser", "meta_sgd"))]
    assert [summary.seeds for summary in summarise(of)] == [(0, 1)], "a study's and a run's"
    names = {"metaser": "MetaSER (second order)", "meta_sgd": "Meta-SGD", "svm": "SVM (second order)"}
    for method, name in names.items():
        (row,) = completed([make_row(method=method, order="second")])  # from before the algorithm was recorded
        assert method_name(series(row)) == name


def test_a_look_does_not_depend_on_what_else_is_there(make_row):
    rows = [make_row(method="metaser", algorithm=algorithm, order=order) for algorithm, order in NAMES]
    rows += [make_row(method=method) for method in ("multiser", "transser", "svm", "scratch")]
    keys = [series(row) for row in completed(rows)]
    together = looks(keys)
    for key in keys:
        if (key.algorithm, key.order) != ("meta_sgd", "first"):  # which is its colour's second line
            assert looks([key])[key] == together[key]
    assert len({(look.color, look.marker, look.linestyle) for look in together.values()}) == len(keys)
