"""Fine-tuning for ten fractions and several seeds, a curve of the paper's Figure 2: ours against other ways, in turn.

python experiments/benchmarks/finetuning.py --data_dir=data --adapt=all
python experiments/benchmarks/finetuning.py --data_dir=data --adapt=head

Each run trains for a fixed number of epochs with validation after each, from the same parameters, on the same draws.
Ours is `adapt` whole: normalisation, drawing, training, prediction and scores. The others are training and prediction
alone: a program for each amount, with its seeds one after another, which was ours before; and a loop in Python over
amounts, seeds and epochs, with a jitted epoch. The first call compiles; those after it are timed.
"""

import os
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags
from race import Variant, race, timed

from metaser_jax.config import FinetuneConfig
from metaser_jax.config import flags as program_flags
from metaser_jax.config.presets import FINETUNE
from metaser_jax.specs import FinetuneSpec

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared corpora.", required=True)
TARGET = flags.DEFINE_string("target", "urdu", "Corpus to adapt to.")
ADAPT = flags.DEFINE_enum("adapt", "all", ["all", "head"], "Layers to adapt.")
SEEDS = flags.DEFINE_integer("seeds", 5, "Runs of each fraction.")
EPOCHS = flags.DEFINE_integer("epochs", 2, "Epochs of each run.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed calls of each, in turn.")
PEERS = flags.DEFINE_list("peers", ["program", "python"], "What to compare with.")
FRACTIONS = tuple(n / 10 for n in range(1, 11))


def main() -> None:
    config = FinetuneConfig(
        **FINETUNE["lstm"]
        | {"data_dir": DATA_DIR.value, "init": "scratch", "target": TARGET.value, "out": "nowhere", "fraction": 1.0}
        | {"adapt": ADAPT.value, "seeds": SEEDS.value, "max_epochs": EPOCHS.value, "patience": EPOCHS.value}
    )
    variants, score = build(config)
    for variant in variants:
        result, variant.compile_seconds = timed(variant.call)
        variant.note = f"{score(result):.3f}"
    race(variants, ROUNDS.value)
    print(
        f"{len(FRACTIONS)} fractions x {config.seeds} seeds of {config.target}, {config.max_epochs} epochs each, "
        f"adapt={config.adapt}, hidden_dim {config.hidden_dim}; medians and quartiles of {ROUNDS.value} rounds\n"
    )
    print("| | time / ours | seconds | first call, compiled | mean macro F1 |\n|---|---|---|---|---|")
    for variant in variants:
        low, high = variant.quartiles
        seconds = f"{variant.median:.2f} ({low:.2f}-{high:.2f})"
        relative = variant.median / variants[0].median
        print(f"| {variant.name} | {relative:.2f} | {seconds} | {variant.compile_seconds:.1f} | {variant.note} |")
    print(f"\n{machine()}")


def build(config: FinetuneConfig) -> tuple[list[Variant], Callable[[np.ndarray], float]]:
    """The variants, and what makes the mean macro F1 of their results."""
    from metaser_jax.devices import parallel

    parallel.one_device_per_core()
    import jax
    import jax.numpy as jnp
    from finetuning_peers import Problem, Schedule, program_per_amount, python_loop, restrict

    from metaser_jax.adaptation.draw import draw
    from metaser_jax.adaptation.engine import adapt
    from metaser_jax.adaptation.starts import Init
    from metaser_jax.datasets.targets import load_targets
    from metaser_jax.models.classifier import make_network
    from metaser_jax.results.outcomes import Amount
    from metaser_jax.scores.metrics import scores
    from metaser_jax.training.optimizers import make_optimizer

    spec = FinetuneSpec.of(config)
    (ready,) = load_targets(config.target, config.data_dir, emotions=config.emotions, split_seed=config.split_seed)
    amounts = [Amount("fraction", fraction) for fraction in FRACTIONS]
    data, model = ready.as_input(config.front_end), make_network(config)
    params = jax.jit(model.init)(jax.random.key(0), data.corpus.mfcc[:1])
    draws = [[draw(ready, amount, config.validation, seed) for seed in range(config.seeds)] for amount in amounts]
    x, label, test = jnp.asarray(data.corpus.mfcc), data.corpus.label, data.split.test
    problem = Problem(model, params, x, jnp.asarray(label), test, draws)
    optimizer = restrict(make_optimizer(spec), config.adapt)
    schedule = Schedule(optimizer, config.batch_size, config.max_epochs)

    def ours() -> np.ndarray:
        return np.stack(
            [outcome.predicted for outcome in adapt(spec, [Init(params, {})], [ready], amounts, config.seeds)]
        )

    def score(result: np.ndarray) -> float:
        predicted = result if result.ndim == 2 else result.argmax(-1)
        return float(np.mean([scores(label[test], p, len(config.emotions))["macro_f1"] for p in predicted]))

    peers = {
        "program": ("a program per amount", program_per_amount),
        "python": ("a loop in Python", python_loop),
    }
    variants = [Variant("**ours, one program**", ours)]
    variants += [Variant(peers[name][0], peers[name][1](problem, schedule)) for name in PEERS.value]
    return variants, score


def machine() -> str:
    import jax

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; {jax.local_device_count()} x "
        f"{jax.local_devices()[0].device_kind}; jax {jax.__version__}, Python {platform.python_version()}; "
        f"{shlex.join(['python', *sys.argv])}"
    )


if __name__ == "__main__":
    program_flags.run(main, keep=False)
