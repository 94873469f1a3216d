"""Second order against FOMAML, annealed, ANIL, Meta-SGD, learned rates and Reptile, at equal episodes and equal time.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/ablation_order.py --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/order
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["ablation-order", *sys.argv[1:]])
