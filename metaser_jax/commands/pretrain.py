"""Pre-train a baseline on source corpora: TransSER on one after another, MultiSER on all in turn.

metaser pretrain --method=multiser --data_dir=data --sources=ravdess,emodb --run_dir=runs/multiser
"""

from collections.abc import Sequence

from metaser_jax import cli, cluster
from metaser_jax.messages import log
from metaser_jax.specs.programs import PretrainConfig
from metaser_jax.training.pretrain import pretrain


def main(config: PretrainConfig, arguments: Sequence[str]) -> None:
    """Train the run, or go on with it, and say what is next."""
    folder = pretrain(config, log=log)
    if cluster.is_primary():
        start = f"--data_dir={config.data_dir} --init={folder} --target=... --out=..."
        log(f"Next: {cli.program('finetune')} {start}")
