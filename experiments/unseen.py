"""The benchmark: each corpus in turn is the unseen language, all others the sources; every method, and a report.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/unseen.py --data_dir=data --corpora=ravdess,emodb,tess --manual_dir=RECORDINGS --out=runs/unseen
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["unseen", *sys.argv[1:]])
