"""The paper's Table 2: source sets x targets x methods -> macro F1, with intervals, comparisons and a report.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/table2.py --data_dir=data --source_sets=ravdess+emodb,ravdess,emodb --targets=urdu --out=runs/table2
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["table2", *sys.argv[1:]])
