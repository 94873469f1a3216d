"""Meta-trains on source corpora: learns parameters from which a few gradient steps adapt to a new language.

python experiments/meta_train.py --data_dir=data --sources=ravdess,emodb --run_dir=runs/meta --preset=recommended
"""

from metaser_jax import cli, cluster
from metaser_jax.config import MetaTrainConfig
from metaser_jax.presets import META_TRAIN
from metaser_jax.runs.meta_train import meta_train

cli.define(MetaTrainConfig, META_TRAIN)


def main() -> None:
    config = cli.config(MetaTrainConfig, META_TRAIN)
    folder = meta_train(config)
    if cluster.is_primary():
        flags = f"--data_dir={config.data_dir} --init={folder} --target=... --out=..."
        print(f"Next: python experiments/finetune.py {flags}")


if __name__ == "__main__":
    cli.run(main)
