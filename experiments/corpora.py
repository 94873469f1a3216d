"""Prints the paper's Table 1 from the corpora that are prepared, beside the published counts.

python experiments/corpora.py --data_dir=data --format=markdown
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["corpora", *sys.argv[1:]])
