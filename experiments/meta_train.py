"""Meta-trains on source corpora: learns parameters from which a few gradient steps adapt to a new language.

python experiments/meta_train.py --data_dir=data --sources=ravdess,emodb --run_dir=runs/meta --preset=recommended
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["meta-train", *sys.argv[1:]])
