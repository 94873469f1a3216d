"""Extracts the features of corpora, once; everything else reads what this program writes.

python experiments/prepare.py --corpora=ravdess,emodb,urdu --manual_dir=RECORDINGS --data_dir=data
"""

import time

from metaser_jax import cli, datasets
from metaser_jax.config import PrepareConfig
from metaser_jax.errors import check_choice


def main() -> None:
    """Checks everything that can be checked in a moment, then prepares corpus by corpus."""
    options = cli.config(PrepareConfig)
    names = [check_choice("--corpora", name, datasets.NAMES) for name in dict.fromkeys(options.corpora)]
    waiting = [name for name in names if options.overwrite or not datasets.is_prepared(name, options.data_dir)]
    for name in waiting:
        datasets.check(name, options.manual_dir, skip_bad=options.skip_bad)
    for name in names:
        start = time.perf_counter()
        statistics = datasets.prepare(
            name,
            options.manual_dir,
            options.data_dir,
            skip_bad=options.skip_bad,
            workers=options.workers,
            overwrite=options.overwrite,
        )
        print(statistics.report())
        if name in waiting:
            print(f"  prepared in {time.perf_counter() - start:.0f} s\n")
        else:
            print("  was prepared already; --overwrite prepares it again\n")
    print(f"Next: python experiments/meta_train.py --data_dir={options.data_dir} --sources=... --run_dir=...")


if __name__ == "__main__":
    cli.define(PrepareConfig)
    cli.run(main)
