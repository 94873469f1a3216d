"""Meta-trains on source corpora: learns parameters from which a few gradient steps adapt to a new language.

python experiments/meta_train.py --data_dir=data --sources=ravdess,emodb --run_dir=runs/meta --preset=recommended
"""

from metaser_jax.config import MetaTrainConfig, flags
from metaser_jax.config.presets import META_TRAIN

flags.define(MetaTrainConfig, META_TRAIN)


def main() -> None:
    config = flags.config(MetaTrainConfig, META_TRAIN)
    # Imported here: after a look at what was typed.
    from metaser_jax import cluster
    from metaser_jax.training.meta_train import meta_train

    folder = meta_train(config)
    if cluster.is_primary():
        start = f"--data_dir={config.data_dir} --init={folder} --target=... --out=..."
        print(f"Next: python experiments/finetune.py {start}")


if __name__ == "__main__":
    flags.run(main)
