"""Fine-tunes a meta-trained run, or random parameters, on a target language and scores it on the whole test part.

python experiments/finetune.py --data_dir=data --init=runs/meta --target=urdu --shots=5 --out=runs/urdu_5
"""

from metaser_jax import cli
from metaser_jax.config import FinetuneConfig
from metaser_jax.presets import FINETUNE
from metaser_jax.report import summarise, table
from metaser_jax.runs.finetune import run_finetune

cli.define(FinetuneConfig, FINETUNE)


def main() -> None:
    config = cli.config(FinetuneConfig, FINETUNE)
    rows = run_finetune(config, given=cli.given(FinetuneConfig))
    print(table(summarise(rows)))
    print(f"{len(rows)} lines in {config.out}/results.jsonl (split {rows[0]['split_digest']}).")


if __name__ == "__main__":
    cli.run(main)
