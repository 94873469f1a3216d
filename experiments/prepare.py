"""Extracts the features of corpora, once; everything else reads what this program writes.

python experiments/prepare.py --corpora=ravdess,emodb,urdu --manual_dir=RECORDINGS --data_dir=data
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
