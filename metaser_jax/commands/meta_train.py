"""Meta-train on source corpora: learn parameters from which a few gradient steps adapt to a new language.

metaser meta-train --data_dir=data --sources=ravdess,emodb --run_dir=runs/meta --preset=recommended
"""

from collections.abc import Sequence

from metaser_jax import cli, cluster
from metaser_jax.messages import log
from metaser_jax.specs.programs import MetaTrainConfig
from metaser_jax.training.meta_train import meta_train


def main(config: MetaTrainConfig, arguments: Sequence[str]) -> None:
    """Train the run, or go on with it, and say what is next."""
    folder = meta_train(config, log=log)
    if cluster.is_primary():
        start = f"--data_dir={config.data_dir} --init={folder} --target=... --out=..."
        log(f"Next: {cli.program('finetune')} {start}")
