"""Pre-trains a baseline on source corpora: TransSER on one after another, MultiSER on all in turn.

python experiments/pretrain.py --method=multiser --data_dir=data --sources=ravdess,emodb --run_dir=runs/multiser
"""

from metaser_jax import cli, cluster
from metaser_jax.config import PretrainConfig
from metaser_jax.presets import PRETRAIN
from metaser_jax.runs.pretrain import pretrain

cli.define(PretrainConfig, PRETRAIN)


def main() -> None:
    config = cli.config(PretrainConfig, PRETRAIN)
    folder = pretrain(config)
    if cluster.is_primary():
        flags = f"--data_dir={config.data_dir} --init={folder} --target=... --out=..."
        print(f"Next: python experiments/finetune.py {flags}")


if __name__ == "__main__":
    cli.run(main)
