"""Scaling on paper: efficiency on 8, 64 and 512 devices, from one device's time and what interconnects are said to do.

python experiments/benchmarks/scaling.py --out=runs/scaling

It measures a task's seconds on one device of this machine and counts the bytes of the meta-gradient; the rest is
calculation (all_reduce.py). --step_seconds takes the place of the measurement, for a device that is not here.
"""

import dataclasses
from pathlib import Path

import numpy as np
from scaling_report import Case, draw, markdown

from metaser_jax.config import MetaTrainConfig, flags
from metaser_jax.config.presets import META_TRAIN
from metaser_jax.errors import check_choice
from metaser_jax.specs import MetaTrainSpec, Spec, option, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScalingConfig(Spec):
    """experiments/benchmarks/scaling.py."""

    out: str = option("Folder for scaling.md and scaling.png.")
    presets: tuple[str, ...] = option("Presets of meta_train.py, separated by commas.", ("paper", "lstm"))
    shots: int = option("Support utterances per emotion and task.", 5)
    tasks: int = option("Tasks of an episode in strong scaling, all devices together.", 512)
    devices: tuple[int, ...] = option("Numbers of devices, separated by commas.", (8, 64, 512))
    step_seconds: tuple[float, ...] = option(
        "Seconds of a meta-step of one task on one device, one for each of --presets; without it they are measured.", ()
    )
    rounds: int = option("Timed meta-steps of each preset; the median counts.", 7)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("shots", "tasks", "rounds")
        require(bool(self.presets), "presets", self.presets, "at least one preset")
        for preset in self.presets:
            check_choice("--presets", preset, META_TRAIN)
        devices = self.devices
        require(bool(devices) and min(devices) >= 2, "devices", devices, "numbers from 2 on")
        given = len(self.step_seconds)
        require(
            given in (0, len(self.presets)), "step_seconds", self.step_seconds, f"{len(self.presets)} numbers or none"
        )
        require(all(s > 0 for s in self.step_seconds), "step_seconds", self.step_seconds, "numbers above 0")


def of_one_task(preset: str, shots: int) -> MetaTrainSpec:
    """The preset with one task on one device."""
    ours = {"sources": ("none",), "shots": shots, "tasks_per_episode": 1, "devices": 1}
    return MetaTrainSpec.of(MetaTrainConfig(**META_TRAIN[preset] | ours, data_dir="", run_dir=""))


def measure(spec: MetaTrainSpec, rounds: int) -> list[float]:
    """Seconds of each of so many meta-steps, after one that is not counted."""
    from episode_step import make_step
    from race import timed

    step = make_step(spec)
    return [timed(step)[1] for _ in range(rounds + 1)][1:]


def main() -> None:
    config = flags.config(ScalingConfig)
    # Imported here, because jax must not be used before its devices are set up.
    import jax
    from episode_step import gradient_bytes

    from metaser_jax.devices import parallel

    parallel.one_device_per_core()
    device = jax.local_devices()[0].device_kind
    cases = []
    for i, preset in enumerate(config.presets):
        settings = of_one_task(preset, config.shots)
        if config.step_seconds:
            seconds, source = config.step_seconds[i], "as given by --step_seconds"
        else:
            times = measure(settings, config.rounds)
            seconds = float(np.median(times))
            source = (
                f"measured on one device ({device}): median of {config.rounds}, {min(times):.3g} to {max(times):.3g} s"
            )
        size = gradient_bytes(settings)
        network = f"{preset}, {settings.algorithm} {settings.order} order, hidden_dim {settings.hidden_dim}"
        cases.append(Case(network, size, seconds, source))
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(cases, config.devices, config.tasks)
    (folder / "scaling.md").write_text(text, encoding="utf-8")
    draw(cases[0], config.devices, folder / "scaling.png")
    print(text)


if __name__ == "__main__":
    flags.define(ScalingConfig)
    flags.run(main)
