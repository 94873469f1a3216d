"""The benchmark: each corpus in turn is the unseen language, all others the sources; every method, and a report.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/unseen.py --data_dir=data --corpora=ravdess,emodb,tess --manual_dir=RECORDINGS --out=runs/unseen
"""

import shlex
import sys

from metaser_jax.config import UnseenConfig, flags

flags.define(UnseenConfig)


def main() -> None:
    config = flags.config(UnseenConfig)
    # Imported here: after a look at what was typed.
    from metaser_jax.studies.unseen import run_unseen

    report = run_unseen(config, command=shlex.join(["python", *sys.argv]))
    print(f"Report with pictures: {report}")


if __name__ == "__main__":
    flags.run(main)
