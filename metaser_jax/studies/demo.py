"""The main job on synthetic voices: speak, prepare, meta-train, adapt to three languages, report.

Every step is the one that real recordings go through; only the recordings are made here.
"""

import shutil
import time
from pathlib import Path

from metaser_jax import datasets
from metaser_jax.adaptation.finetune import run_finetune
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.datasets import demo_voices
from metaser_jax.messages import logged_as, progress_bar
from metaser_jax.report import read_metrics, summarise, table, write_report
from metaser_jax.results.rows import method_name
from metaser_jax.results.run_dir import METRICS, RESULTS, to_lines, write_text
from metaser_jax.specs import presets
from metaser_jax.specs.programs import DemoConfig, FinetuneConfig, MetaTrainConfig
from metaser_jax.studies import TEXTS
from metaser_jax.training.meta_train import meta_train


def run_demo(config: DemoConfig, command: str) -> Path:
    """Run the demo and print its table.

    Args:
      config: where to, and how much.
      command: what the user ran, for the report.

    Returns:
      Path of the report.

    Raises:
      InputError: an extra is not installed, or config.out holds something else.
    """
    start, out = time.perf_counter(), Path(config.out)
    recordings, data = out / "recordings", out / "data"

    def newest(folder: Path) -> float:
        return max(path.stat().st_mtime for path in folder.rglob("*"))

    print("1/5  Speaking small corpora in five languages (eSpeak NG)")
    names = demo_voices.synthesise(recordings)
    print("2/5  Preparing them: MFCC and labels")
    for name in names:
        # Recordings that were made anew since are prepared anew.
        stale = datasets.is_prepared(name, data) and newest(recordings / name) > newest(data / name)
        statistics = datasets.prepare(name, recordings, data, overwrite=stale)
        print(f"     {name}: {statistics.utterances} utterances of {statistics.speakers} speakers")
    sources = tuple(map(demo_voices.corpus_name, demo_voices.SOURCES))
    targets = [name for name in names if name not in sources]

    for folder in ("metaser", "metaser_multiser", "adapted"):  # a demo that is run again shows all of it again
        shutil.rmtree(out / folder, ignore_errors=True)
    print(f"3/5  Meta-training on {', '.join(sources)}")
    to_learn = {"data_dir": str(data), "sources": sources, "run_dir": str(out / "metaser")}
    with logged_as("     {}"):
        run = meta_train(MetaTrainConfig(**to_learn, **presets.DEMO_META_TRAIN))
    print(f"4/5  Adapting to {', '.join(targets)}, and training from scratch beside it")
    rows = []
    todo = [(target, shots, init) for shots in config.shots for target in targets for init in (str(run), SCRATCH)]
    for target, shots, init in progress_bar(todo, desc="adapt", unit="setting"):
        name = f"{target}_{shots}_{'scratch' if init == SCRATCH else 'metaser'}"
        of = {"data_dir": str(data), "init": init, "target": target, "shots": shots, "split": "speaker"}
        of |= {"seeds": config.seeds, "out": str(out / "adapted" / name)}
        with logged_as(""):  # the bar speaks
            rows += run_finetune(FinetuneConfig(**of, **presets.DEMO_FINETUNE))
    write_text(out / RESULTS, to_lines(rows))

    print("5/5  Writing the report\n")
    summaries = summarise(rows)
    learner = next(method_name(one.series) for one in summaries if one.series.algorithm)
    texts = {
        "title": "MetaSER demo on synthetic voices",
        "intro": TEXTS["demo"]["intro"].format(learner=learner),
        "command": command,
    }
    report = write_report(out, rows, **texts, training=read_metrics(run / METRICS))
    print(table(summaries))
    print("\nSynthetic voices: a check of the pipeline, no claim of accuracy.")
    print(f"Report with pictures: {report}   ({time.perf_counter() - start:.0f} s in all)")
    return report
