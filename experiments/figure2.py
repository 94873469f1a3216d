"""The paper's Figure 2: macro F1 against the fraction, and the shots, of target data; crossover points; a report.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/figure2.py --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/figure2
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["figure2", *sys.argv[1:]])
