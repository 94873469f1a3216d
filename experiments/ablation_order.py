"""Second order against FOMAML, annealed, ANIL, Meta-SGD, learned rates and Reptile, at equal episodes and equal time.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/ablation_order.py --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/order
"""

import shlex
import sys

from metaser_jax.config import OrderConfig, flags

flags.define(OrderConfig)


def main() -> None:
    config = flags.config(OrderConfig)
    # Imported here: after a look at what was typed.
    from metaser_jax.studies.ablation_order import run_ablation_order

    report = run_ablation_order(config, command=shlex.join(["python", *sys.argv]))
    print(f"Report with pictures: {report}")


if __name__ == "__main__":
    flags.run(main)
