"""What the starts score on corpora that they have not learned from: a table, a picture, and what their cards say.

The scores are measured before, once for each start:

python experiments/unseen.py --start=open --corpora=ravdess,tess,urdu,folder/nemo,folder/amharic --data_dir=data
  --methods=metaser,scratch,svm --pretrain_seeds=1 --out=runs/scores_open
python experiments/benchmarks/start_scores.py --scores=open=runs/scores_open,research=runs/scores_research
  --about=experiments/starts --out=docs/pictures/starts.png
"""

import json
from pathlib import Path

from absl import app, flags

from metaser_jax.report import style

FLAGS = flags.FLAGS
flags.DEFINE_list("scores", None, "START=FOLDER of experiments/unseen.py --start, one for each start.", required=True)
flags.DEFINE_string("about", None, "Folder of START.json, whose `measured` is replaced.", required=True)
flags.DEFINE_string("out", None, "Picture to write.", required=True)

CORPORA = {
    "urdu": "Urdu (URDU)",
    "folder/amharic": "Amharic (ASED)",
    "folder/nemo": "Polish (nEMO)",
    "ravdess": "English (RAVDESS)",
    "tess": "English (TESS)",
}
SVM, SCRATCH = "a support vector machine of the clips alone", "the network from scratch"
COLOURS = {"open": "#0072B2", "research": "#D55E00", SVM: "#555555", SCRATCH: "#999999"}  # Okabe & Ito
SAID = (
    "Macro F1 on the voices that no clip was given of, with so many labelled clips per emotion of other voices: mean ± "
    "standard deviation over ten draws of clips, each the mean over folds of the voices (RAVDESS and ASED 5, URDU 4, "
    "nEMO 3, TESS 2). Each voice is normalised by all its clips, without their labels; those of URDU, most of whom "
    "say one emotion, all together. Its four speakers who say 'angry' make its folds, and its scores, poor evidence. "
    "experiments/README.md has the command."
)


def cell(mean: float, deviation: float | None) -> str:
    """Return a score as tables have it; without clips every draw is the same."""
    return f"{mean:.2f}" if not deviation else f"{mean:.2f} ± {deviation:.2f}"


def read(start: str, folder: str) -> dict[tuple[str, str], dict[int, tuple[float, float | None]]]:
    """Return (corpus, method) -> shots -> mean and deviation over draws."""
    found: dict = {}
    for point in json.loads(Path(folder, "unseen.json").read_text())["over_corpora"]:
        method = {"svm": SVM, "scratch": SCRATCH}.get(point["method"], start)
        for corpus, of in point["corpora"].items():
            found.setdefault((corpus, method), {})[point["shots"]] = (of["mean"], of["deviation"])
    return found


def rows_of(scores: dict, methods: list[str], shots: list[int]) -> list[list[str]]:
    """Return a row of the table for each corpus and method."""
    return [
        [name, method, *(cell(*scores[corpus, method][n]) if n in scores[corpus, method] else "" for n in shots)]
        for corpus, name in CORPORA.items()
        for method in methods
        if (corpus, method) in scores
    ]


def draw(scores: dict, shots: list[int], out: str) -> None:
    """Save a panel for each corpus."""
    corpora = [corpus for corpus in CORPORA if any(key[0] == corpus for key in scores)]
    figure, panels = style.panel_grid(len(corpora), "macro F1", alone=(6.0, 4.0), height=3.4, frame=1.6)
    handles = {}
    for axes, corpus in zip(panels, corpora, strict=False):
        for method, colour in COLOURS.items():
            points = scores.get((corpus, method), {})
            at = [n for n in shots if n in points]
            if not at:
                continue
            x = [shots.index(n) for n in at]
            mean, deviation = zip(*((m, d or 0.0) for m, d in (points[n] for n in at)), strict=True)
            (handles[method],) = axes.plot(x, mean, color=colour, marker="o", markersize=4, label=method)
            low, high = zip(*((m - d, m + d) for m, d in zip(mean, deviation, strict=True)), strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_title(CORPORA[corpus], fontsize=style.NORMAL)
        axes.set_xticks(range(len(shots)), [str(n) for n in shots])
        axes.set_ylim(0.2, 0.9)
        axes.set_xlabel("clips per emotion", fontsize=style.NORMAL)
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        style.plain_axes(axes)
    style.legend_below(figure, list(handles.values()))
    style.save(figure, out)


def main(_) -> None:
    """Print the table, write the picture and what the cards say."""
    folders = dict(pair.split("=", 1) for pair in FLAGS.scores)
    every: dict = {}
    for start, folder in folders.items():
        scores = read(start, folder)
        shots = sorted({n for of in scores.values() for n in of})
        header = ["corpus", "what", *map(str, shots)]
        path = Path(FLAGS.about, f"{start}.json")
        about = json.loads(path.read_text(encoding="utf-8"))
        measured = {"said": SAID, "columns": header, "rows": rows_of(scores, [start, SVM, SCRATCH], shots)}
        path.write_text(json.dumps(about | {"measured": measured}, indent=2, ensure_ascii=False) + "\n", "utf-8")
        every |= scores
    rows = rows_of(every, list(COLOURS), shots)
    for line in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(line)} |")
    draw(every, shots, FLAGS.out)


if __name__ == "__main__":
    app.run(main)
