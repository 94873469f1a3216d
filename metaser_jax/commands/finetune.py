"""Fine-tune a meta-trained or pre-trained run, or random parameters, on a target corpus and score it there.

metaser finetune --data_dir=data --init=runs/meta --target=urdu --shots=5 --out=runs/urdu_5

Scores are of the whole test part. With --init=svm a support vector machine is fitted instead. With --split=speaker
--folds=K, on each of K folds over the target's speakers.
"""

from collections.abc import Sequence

from metaser_jax.adaptation.finetune import run_finetune
from metaser_jax.messages import log
from metaser_jax.report import summarise, table
from metaser_jax.specs import flags
from metaser_jax.specs.programs import FinetuneConfig


def main(config: FinetuneConfig, arguments: Sequence[str]) -> None:
    """Adapt and score every draw, and print a table."""
    rows = run_finetune(config, given=flags.given(FinetuneConfig), log=log)
    print(table(summarise(rows)))
    # A fold is a split of its own.
    digests = list(dict.fromkeys(row["split_digest"] for row in rows))
    split = f"split {digests[0]}" if config.folds == 0 else f"{config.folds} folds, splits {', '.join(digests)}"
    print(f"{len(rows)} lines in {config.out}/results.jsonl ({split}).")
