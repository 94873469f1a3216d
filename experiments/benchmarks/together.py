"""Clips labelled together where voices are heard in uneven, few or mixed clips: macro F1 one by one and together.

Takes the runs of experiments/unseen.py, each of which has learned from all corpora but one, adapts them to draws of
that one as the benchmark does, joint training on the same corpora beside them, and labels the test part's clips as they
come in each condition:

  all                     all clips of each voice
  uneven, uneven by voice the emotions 60, 20, 10 and 10 %, the same in front for all voices, or another for each
  missing                 one emotion is not there
  8, 16, 32               so many clips of each voice, at random
  one                     all voices taken for one
  others                  clips of other emotions lie beside; they are not scored (corpora that have some)

python experiments/benchmarks/together.py --runs=runs/unseen/runs --data_dir=data --out=runs/together.json
"""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
from absl import app, flags

from metaser_jax.adaptation import starts
from metaser_jax.adaptation.classifiers import FITS, JOINT, Labelled, features_of, load_sources
from metaser_jax.adaptation.engine import draw_cases, train_and_predict
from metaser_jax.data.inputs import make_input, weights
from metaser_jax.data.together import count_labelled, label_together, shape_of
from metaser_jax.datasets.loading import load
from metaser_jax.datasets.targets import load_targets
from metaser_jax.models.classifier import answer_of, make_network
from metaser_jax.results.metrics import scores
from metaser_jax.results.outcomes import Amount
from metaser_jax.results.run_dir import read_config
from metaser_jax.specs import FinetuneSpec, presets
from metaser_jax.training import parallel

CONDITIONS = ("all", "uneven", "uneven by voice", "missing", "8", "16", "32", "one", "others")
SHARES = np.array([0.6, 0.2, 0.1, 0.1])
METHODS = ("metaser", "multiser", JOINT)

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", None, "Folder of the benchmark's runs (--runs, or OUT/runs, of unseen).", required=True)
flags.DEFINE_string("data_dir", None, "Folder of prepared corpora.", required=True)
flags.DEFINE_string("out", None, "File for the scores, JSON.", required=True)
flags.DEFINE_list("shots", ["0", "5"], "Clips per emotion.")
flags.DEFINE_integer("seeds", 5, "Draws of clips, and of what is heard of each voice.")
flags.DEFINE_list("conditions", list(CONDITIONS), "Of what is measured.")
flags.DEFINE_list("methods", list(METHODS), "Of them; where there are no runs of one, it is left out.")
flags.DEFINE_string("preset", "recommended", "What the runs are of.")


def heard(corpus, test, condition, seed):
    """The clips of the test part that are there: [m] int."""
    rng, found = np.random.default_rng(seed), []
    front, gone = rng.permutation(4), rng.integers(4)
    for speaker in np.unique(corpus.speaker[test]):
        at = test[corpus.speaker[test] == speaker]
        label = corpus.label[at]
        if condition.isdigit():
            found.append(rng.permutation(at)[: int(condition)])
        elif condition == "missing":
            found.append(at[label != gone])
        elif condition.startswith("uneven"):
            front = rng.permutation(4) if condition.endswith("voice") else front
            share, n = SHARES[np.argsort(front)], np.bincount(label, minlength=4)
            # As many as the shares allow; of a voice with few clips the most frequent has all that it has.
            total = int((n / share).min())
            wanted = np.minimum(n, np.maximum(1, np.round(share * (total if total >= 5 else n.max() / 0.6)))).astype(
                int
            )
            found += [rng.permutation(at[label == e])[: wanted[e]] for e in range(4)]
        else:
            found.append(at)
    return np.sort(np.concatenate(found))


def with_others(corpus, whole, test):
    """The corpus and, after it, the clips of other emotions by the test part's voices, labelled -1."""
    emotion = np.array(whole.emotions)[whole.label]
    other = whole.take(~np.isin(emotion, corpus.emotions) & np.isin(whole.speaker, corpus.speaker[test]))
    other = dataclasses.replace(other, label=np.full(len(other), -1, np.int32))
    joined = {
        name: np.concatenate([getattr(corpus, name), getattr(other, name)]) for name in ("label", "speaker", "file")
    }
    for name in ("mfcc", "n_frames", "seconds", "voice", "vectors"):
        parts = [getattr(one, name) for one in (corpus, other)]
        joined[name] = None if parts[0] is None else np.concatenate(parts)
    return dataclasses.replace(corpus, **joined, tracks=None, same=None, sha256=None)


def adapted(method, spec, init, sources, folds, cases):
    """What answers after each case, and the Shape of the sources."""
    if method != JOINT:
        trained = train_and_predict(spec, [init], folds, cases, keep_params=True)
        return [functools.partial(answer_of, make_network(spec), one.params) for one in trained], init.shape
    x = [features_of(one, spec.front_end) for one in sources]
    joined = [Labelled(of, one.corpus.label) for of, one in zip(x, sources, strict=True)]
    seen = [features_of(target, spec.front_end) for target in folds]

    @functools.cache
    def fitted(fold, drawn):
        at = np.array(drawn, int)
        return FITS[JOINT](Labelled(seen[fold][at], folds[fold].corpus.label[at]), joined).predict_log_proba

    # Without shots all cases are the same.
    answers = [fitted(case.fold if case.amount.value else 0, tuple(case.drawn[0].tolist())) for case in cases]
    parts = [(*of, one.corpus.speaker) for of, one in zip(joined, sources, strict=True)]
    return answers, shape_of(parts, len(spec.emotions))


def measured(spec, answer, shape, target, drawn, whole, condition, seed):
    """Macro F1 one by one and together, over the emotions that are there; None where a condition says nothing."""
    test, corpus = target.split.test, target.corpus
    if condition == "others":
        if len(np.unique(whole.label)) == len(corpus.emotions):
            return None
        corpus = with_others(corpus, whole, test)
        at = np.concatenate([test, np.arange(len(target.corpus), len(corpus))])
    else:
        at = heard(corpus, test, condition, seed)
    if condition == "one":
        speaker = corpus.speaker.copy()
        speaker[at] = "all of them"
        corpus = dataclasses.replace(corpus, speaker=speaker)
    # What a voice is normalised by is what is heard of it.
    known = np.setdiff1d(np.arange(len(target.corpus)), test)
    seen = make_input(corpus.take(np.concatenate([known, at])), spec.front_end, np.arange(len(known)))
    place = np.searchsorted(known, drawn)
    rest, x = np.arange(len(known), len(seen)), seen.mfcc[:, 0]
    alone = answer(x[rest]).argmax(1)
    labelled = count_labelled(x[place], seen.label[place], len(spec.emotions))
    of = x[rest], seen.speaker[rest], answer, shape, labelled
    both = label_together(*of, weight=weights(spec.front_end)).posteriors.argmax(1)
    ours = seen.label[rest] >= 0
    label, present = seen.label[rest][ours], np.unique(seen.label[rest][ours])

    def f1(predicted):
        confusion = np.array(scores(label, predicted[ours], 4)["confusion"])
        hit, true, said = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)
        return float((2 * hit / np.maximum(true + said, 1))[present].mean())

    return f1(alone), f1(both)


def main(_) -> None:
    parallel.one_device_per_core()
    found = []
    runs = {path.parent: read_config(path.parent)["sources"] for path in Path(FLAGS.runs).glob("*/config.json")}
    corpora = sorted({name for sources in runs.values() for name in sources})
    for name in corpora:
        own = {path.name.partition("_")[0]: path for path in sorted(runs) if name not in runs[path]}
        for method in FLAGS.methods:
            # Joint training hears what the first run does.
            run = next(iter(own.values()), None) if method == JOINT else own.get(method)
            if run is None:
                continue
            preset = presets.FINETUNE[FLAGS.preset]
            if method == "multiser":
                preset = presets.FINETUNE.get(f"{FLAGS.preset}_baseline", preset) | {"adapt": "all"}
            spec, init = starts.resolve(str(run), FinetuneSpec(**preset), name)
            sources, whole = load_sources(runs[run], FLAGS.data_dir, spec.emotions), load(name, FLAGS.data_dir)
            of_split = {"split_kind": "speaker", "folds": folds_of(whole)}
            folds = load_targets(name, FLAGS.data_dir, emotions=spec.emotions, **of_split)
            amounts = [Amount("shots", int(shots)) for shots in FLAGS.shots]
            cases = draw_cases(folds, amounts, FLAGS.seeds, "none")
            answers, shape = adapted(method, spec, init, sources, folds, cases)
            for case, answer in zip(cases, answers, strict=True):
                at = {"method": method, "corpus": name, "shots": case.amount.value, "fold": case.fold}
                for condition in FLAGS.conditions:
                    about = folds[case.fold], case.drawn[0], whole, condition, case.seed
                    if (both := measured(spec, answer, shape, *about)) is not None:
                        of = {"seed": case.seed, "condition": condition, "alone": both[0], "together": both[1]}
                        found.append(at | of)
            print(f"{method}, {name}: done", flush=True)
    Path(FLAGS.out).write_text(json.dumps(found))
    print(table(found))


def folds_of(corpus) -> int:
    """As even folds over speakers as the benchmark has, at most five."""
    speakers = len(np.unique(corpus.speaker))
    even = (k for k in range(min(5, speakers), 2, -1) if -(-speakers // k) <= 1.25 * (speakers // k))
    return next(even, 2)


def table(found) -> str:
    """Mean over corpora of the means over folds and draws."""
    lines = [
        "| method | condition | shots | one by one | together | corpora below by more than .01 |",
        "|---" * 6 + "|",
    ]
    groups = {}
    for one in found:
        each = groups.setdefault((one["method"], one["condition"], one["shots"]), {})
        each.setdefault(one["corpus"], []).append((one["alone"], one["together"]))
    order = [*METHODS, *CONDITIONS]
    for key in sorted(groups, key=lambda key: (order.index(key[0]), order.index(key[1]), key[2])):
        each = {name: np.mean(of, axis=0) for name, of in groups[key].items()}
        alone, together = np.mean(list(each.values()), axis=0)
        below = ", ".join(f"{name} {b - a:+.3f}" for name, (a, b) in each.items() if b < a - 0.01)
        lines.append(f"| {' | '.join(map(str, key))} | {alone:.3f} | {together:.3f} | {below} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
