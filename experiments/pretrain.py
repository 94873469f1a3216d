"""Pre-trains a baseline on source corpora: TransSER on one after another, MultiSER on all in turn.

python experiments/pretrain.py --method=multiser --data_dir=data --sources=ravdess,emodb --run_dir=runs/multiser
"""

from metaser_jax.config import PretrainConfig, flags
from metaser_jax.config.presets import PRETRAIN

flags.define(PretrainConfig, PRETRAIN)


def main() -> None:
    config = flags.config(PretrainConfig, PRETRAIN)
    # Imported here: after a look at what was typed.
    from metaser_jax import cluster
    from metaser_jax.training.pretrain import pretrain

    folder = pretrain(config)
    if cluster.is_primary():
        start = f"--data_dir={config.data_dir} --init={folder} --target=... --out=..."
        print(f"Next: python experiments/finetune.py {start}")


if __name__ == "__main__":
    flags.run(main)
