"""Fine-tunes a meta-trained or pre-trained run, or random parameters, on a target language and scores it there.

Scores are of the whole test part. With --init=svm a support vector machine is fitted instead.

With --split=speaker --folds=K, on each of K folds over the target's speakers.

python experiments/finetune.py --data_dir=data --init=runs/meta --target=urdu --shots=5 --out=runs/urdu_5
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["finetune", *sys.argv[1:]])
