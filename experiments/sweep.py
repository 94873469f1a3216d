"""Sweeps over seeds and settings of meta-training, as one compiled program for all that differ in numbers alone.

Every run is one that meta_train.py goes on with and finetune.py starts from. Interrupted
sweeps resume: repeat the command and it continues with what is missing.

python experiments/sweep.py --data_dir=data --sources=ravdess,emodb --grid=meta_lr=1e-3,2e-3 --out=runs/sweep
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["sweep", *sys.argv[1:]])
