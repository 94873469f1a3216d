"""Whether `metaser adapt` is right about itself: its cross-validated score, interval and probabilities.

Draws clips of a prepared corpus, adapts to them as `metaser adapt` does, and scores the model on the corpus's test
part, for many draws: how far the cross-validated score is off, how often its interval has the score in it, and how far
the probabilities are off with and without the temperature that was found.

python experiments/benchmarks/clip_scores.py --data_dir=data --init=runs/meta --target=emodb --shots=5,10
"""

import dataclasses

import numpy as np
from absl import app, flags

from metaser_jax import datasets
from metaser_jax.adaptation.few_clips import adapt_model
from metaser_jax.adaptation.starts import read_start
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.data.inputs import given_of
from metaser_jax.data.splits import draw_shots, split
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.metrics import calibration_error, log_loss, scores
from metaser_jax.specs.commands import AdaptConfig
from metaser_jax.training import parallel

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of prepared corpora.", required=True)
flags.DEFINE_string("init", None, "Run to start from, as of metaser adapt.", required=True)
flags.DEFINE_string("target", None, "Corpus that the clips are drawn from.", required=True)
flags.DEFINE_list("shots", ["5", "10"], "Clips per emotion.")
flags.DEFINE_integer("seeds", 20, "Draws.")


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def line(corpus, start, kind: str, known: bool, shots: int) -> str:
    """A row of the table: draws of the training part, scored on the test part of one split."""
    parts = split(corpus, kind, 0)
    found = []
    for seed in range(FLAGS.seeds):
        one = corpus.take(draw_shots(corpus, parts.train, shots, seed))
        speaker = one.speaker if known else np.full(len(one), UNKNOWN_SPEAKER)
        support = dataclasses.replace(one, speaker=speaker, sha256=one.file)
        settings = dataclasses.replace(start.settings, normalise="corpus")
        model = adapt_model(start.start, settings, AdaptConfig(support="", out="", seed=seed), support)
        test = corpus.take(parts.test)
        logits = Predictor(model).logits(*given_of(test, settings)).astype(np.float64)
        true = scores(test.label, logits.argmax(-1), len(corpus.emotions))["macro_f1"]
        said = model.about["cross_validation"]
        low, high = said["interval"]
        calibrated, raw = softmax(logits / model.temperature), softmax(logits)
        found.append(
            [said["macro_f1"], true, low <= true <= high, high - low]
            + [f(p, test.label) for f in (log_loss, calibration_error) for p in (raw, calibrated)]
        )
    said, true, covered, width, nll_raw, nll, ece_raw, ece = np.array(found, float).T
    return (
        f"| {FLAGS.target}, {'heard' if kind == 'random' else 'not heard'} | {'yes' if known else 'no'} | {shots} "
        f"| {said.mean():.2f} ± {said.std(ddof=1):.2f} | {true.mean():.2f} ± {true.std(ddof=1):.2f} "
        f"| {int(covered.sum())} of {len(covered)} | {width.mean():.2f} | {nll_raw.mean():.2f} → {nll.mean():.2f} "
        f"| {ece_raw.mean():.2f} → {ece.mean():.2f} |"
    )


def main(_) -> None:
    parallel.one_device_per_core()
    start = read_start(FLAGS.init, "auto", "inner")
    corpus = datasets.load(FLAGS.target, FLAGS.data_dir).select(start.settings.emotions)
    print(
        "| voices of the test part | speakers given | shots | cross-validated | test part | in interval | its width "
        "| NLL | calibration error |"
    )
    print("|---" * 9 + "|")
    for kind in ("random", "speaker"):
        for known in (False, True):
            for shots in map(int, FLAGS.shots):
                print(line(corpus, start, kind, known, shots), flush=True)


if __name__ == "__main__":
    app.run(main)
