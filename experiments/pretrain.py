"""Pre-trains a baseline on source corpora: TransSER on one after another, MultiSER on all in turn.

python experiments/pretrain.py --method=multiser --data_dir=data --sources=ravdess,emodb --run_dir=runs/multiser
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["pretrain", *sys.argv[1:]])
