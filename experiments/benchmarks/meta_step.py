"""Times one meta-step's value and gradient against flax, PyTorch, and the matrix products alone.

python experiments/benchmarks/meta_step.py --out=runs/meta_step --shots=5 --inner_steps=1 --rounds=3
"""

from pathlib import Path

from problem import MetaStepConfig, Problem, Setting, Weights, make_problem, relative_error
from race import Variant, race, timed

from metaser_jax.specs import flags

flags.define(MetaStepConfig)


def build(name: str, problem: Problem, memory_limit: float) -> Variant:
    # Imported here, because jax must not be used before its devices are set up, and torch's memory is measured in
    # processes that import this file.
    import gemm_limit
    import ours
    import peer_flax
    import peer_torch

    family, order = name.split()
    modules = {"flax": peer_flax, "limit": gemm_limit, **dict.fromkeys(("ours", "written", "kernel"), ours)}
    module = modules.get(family, peer_torch)
    return module.build(name, order, problem, memory_limit)


def warm_up(variants: list[Variant], max_seconds: float) -> None:
    """Calls each once, and compares its gradient with ours of the same order."""
    references: dict[str, Weights] = {}
    for variant in sorted(variants, key=lambda v: not v.name.startswith("ours")):
        if variant.call is None:
            continue
        result, seconds = timed(variant.call)
        if seconds > max_seconds:
            variant.one_round = True
        if variant.gradients:
            gradients = variant.gradients(result)
            reference = references.setdefault(variant.name.split()[1], gradients)
            variant.error = relative_error(gradients, reference)


def measure(setting: Setting, weights: Weights, config: MetaStepConfig) -> list[Variant]:
    problem = make_problem(setting, weights)
    variants = [build(name, problem, config.memory_limit()) for name in config.variants]
    warm_up(variants, config.max_seconds)
    race(variants, config.rounds)
    return variants


def main() -> None:
    config = flags.config(MetaStepConfig)
    from metaser_jax.training import parallel

    parallel.one_device_per_core()
    import ours
    import report

    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    weights = ours.initial_weights(config.hidden_dim)
    facts, results = report.machine(), []
    for setting in config.settings():
        print(f"{setting} ...", flush=True)
        results.append((setting, measure(setting, weights, config)))
        text = report.write(folder, facts, results)  # after each setting: an interrupted run keeps what it has
    print(text)


if __name__ == "__main__":
    flags.run(main, keep=False)
