"""Do the main job in minutes, on synthetic voices: learn from two languages, adapt to three others, write a report.

metaser demo --out=runs/demo
"""

from collections.abc import Sequence

from metaser_jax import cli
from metaser_jax.specs.programs import DemoConfig
from metaser_jax.studies.demo import run_demo


def main(config: DemoConfig, arguments: Sequence[str]) -> None:
    """Run all of it."""
    run_demo(config, command=cli.line())
