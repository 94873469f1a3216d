"""What to expect of a new language with so many clips per emotion: the curves of docs/new_language.md.

Each corpus in its turn is the new language, and a run that was meta-trained on the others is adapted to it. Normalised
by the drawn clips alone, as `metaser adapt` does with nothing but them, and by further recordings without labels: the
training part's (URDU, as with --unlabelled) or each voice's own (the others, as with --normalise=speaker). Voices that
were heard: a random split. Voices that were not: folds over speakers, and for URDU, most of whose speakers say one
emotion, one split by speaker.

python experiments/benchmarks/new_language.py --data_dir=data --out=runs/new_language
"""

import dataclasses
import json
from pathlib import Path

from absl import app, flags
from matplotlib.lines import Line2D

from metaser_jax.adaptation.classifiers import SVM, adapt_classifier
from metaser_jax.adaptation.engine import adapt
from metaser_jax.adaptation.starts import resolve
from metaser_jax.datasets.targets import load_targets
from metaser_jax.report import style
from metaser_jax.results.outcomes import Amount
from metaser_jax.results.significance import seed_interval
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.presets import FINETUNE, META_TRAIN
from metaser_jax.specs.programs import MetaTrainConfig
from metaser_jax.training import parallel
from metaser_jax.training.meta_train import meta_train

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of prepared corpora.", required=True)
flags.DEFINE_string("out", None, "Folder for results.jsonl, table.md and curves.png.", required=True)
flags.DEFINE_list("corpora", ["urdu", "emodb", "ravdess"], "Corpora, each of which is once the new language.")
flags.DEFINE_list("shots", ["1", "2", "5", "10", "20"], "Clips per emotion.")
flags.DEFINE_integer("seeds", 20, "Draws.")
flags.DEFINE_integer("folds", 5, "Folds over the speakers.")

HEARD, UNHEARD = "voices that it has heard", "voices that it has not heard"
COLOURS = {HEARD: "#0072B2", UNHEARD: "#D55E00"}  # Okabe & Ito
# (method, normalise, normalise_by): name, line
LINES = {
    ("metaser", "corpus", "drawn"): ("MetaSER, the clips alone", "-"),
    ("metaser", "auto", "train"): ("MetaSER, and recordings without labels", ":"),
    ("svm", "corpus", "drawn"): ("support vector machine, the clips alone", "--"),
}
NAMES = {"urdu": "Urdu (URDU)", "emodb": "German (EMO-DB)", "ravdess": "English (RAVDESS)"}


def voices(target: str) -> dict[str, dict]:
    """Which splits stand for which voices."""
    unheard = {"split_kind": "speaker"} | ({} if target == "urdu" else {"folds": FLAGS.folds})
    return {HEARD: {"split_kind": "random"}, UNHEARD: unheard}


def rows_of(target: str) -> list[dict]:
    """A row per draw (folds are averaged by `table`)."""
    sources = tuple(name for name in FLAGS.corpora if name != target)
    run = f"{FLAGS.out}/from_{'_'.join(sources)}"
    meta_train(MetaTrainConfig(data_dir=FLAGS.data_dir, sources=sources, run_dir=run, **META_TRAIN["recommended"]))
    amounts = [Amount("shots", int(k)) for k in FLAGS.shots]
    rows = []
    for heard, split in voices(target).items():
        for method, normalise, by in LINES:
            spec, init = resolve(run, FinetuneSpec(**FINETUNE["recommended"], normalise_by=by), target)
            spec = dataclasses.replace(spec, normalise=normalise)
            folds = load_targets(target, FLAGS.data_dir, emotions=spec.emotions, **split)
            if method == "svm":
                outcomes = adapt_classifier(SVM, spec, folds, amounts, FLAGS.seeds)
            else:
                outcomes = adapt(spec, [init], folds, amounts, FLAGS.seeds)
            rows += [outcome.row | {"voices": heard, "line": [method, normalise, by]} for outcome in outcomes]
    return rows


def points(rows: list[dict]) -> list[dict]:
    """Mean and interval over draws of each target, voices, line and number of clips."""
    found = []
    for key in dict.fromkeys((r["target"], r["voices"], *r["line"], r["shots"]) for r in rows):
        mine = [r for r in rows if (r["target"], r["voices"], *r["line"], r["shots"]) == key]
        draws = [
            sum(r["macro_f1"] for r in mine if r["seed"] == seed) / sum(r["seed"] == seed for r in mine)
            for seed in sorted({r["seed"] for r in mine})
        ]
        target, heard, *line, shots = key
        score = seed_interval(draws)
        found.append(
            {"target": target, "voices": heard, "line": tuple(line), "shots": shots, "mean": score.mean}
            | {"deviation": score.deviation, "n": score.n}
        )
    return found


def table(found: list[dict]) -> str:
    shots = [int(k) for k in FLAGS.shots]
    lines = [f"| new language | voices | learned | {' | '.join(map(str, shots))} |", "|---" * (3 + len(shots)) + "|"]
    for target, heard, line in dict.fromkeys((p["target"], p["voices"], p["line"]) for p in found):
        mine = {p["shots"]: p for p in found if (p["target"], p["voices"], p["line"]) == (target, heard, line)}
        cells = [f"{mine[k]['mean']:.2f} ± {mine[k]['deviation']:.2f}" for k in shots]
        lines.append(f"| {NAMES.get(target, target)} | {heard} | {LINES[line][0]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figure(found: list[dict]):
    shots = [int(k) for k in FLAGS.shots]
    figure, panels = style.panel_grid(len(FLAGS.corpora), "macro F1", alone=(7, 4), height=3.3, frame=1.0)
    for axes, target in zip(panels, FLAGS.corpora, strict=True):
        for heard, colour in COLOURS.items():
            for line, (_, dash) in LINES.items():
                mine = [p for p in found if (p["target"], p["voices"], p["line"]) == (target, heard, line)]
                axes.plot(shots, [p["mean"] for p in mine], dash, color=colour, marker="o", markersize=4)
                if dash == "-":
                    low, high = ([p["mean"] + sign * p["deviation"] for p in mine] for sign in (-1, 1))
                    axes.fill_between(shots, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(0.25, color=style.GREY, linewidth=1)
        axes.set(xscale="log", ylim=(0.15, 1.0))
        axes.set_title(NAMES.get(target, target), fontsize=style.LARGE)
        axes.set_xlabel("clips per emotion", fontsize=style.NORMAL)
        axes.set_xticks(shots, map(str, shots))
        axes.minorticks_off()
        axes.grid(axis="y", alpha=0.3)
        style.plain_axes(axes)
    handles = [Line2D([], [], color=colour, linewidth=3, label=heard) for heard, colour in COLOURS.items()]
    handles += [Line2D([], [], color="black", linestyle=dash, label=name) for name, dash in LINES.values()]
    handles.append(Line2D([], [], color=style.GREY, linewidth=1, label="guessing"))
    style.legend_below(figure, handles)
    return figure


def main(_) -> None:
    parallel.one_device_per_core()
    out = Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.jsonl"
    if not results.exists():
        rows = [row for target in FLAGS.corpora for row in rows_of(target)]
        results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = points([json.loads(line) for line in results.read_text().splitlines()])
    (out / "table.md").write_text(table(found))
    style.save(figure(found), out / "curves.png")
    print(table(found))


if __name__ == "__main__":
    app.run(main)
