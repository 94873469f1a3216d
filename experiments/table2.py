"""The paper's Table 2: source sets x targets x methods -> macro F1, with intervals, comparisons and a report.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/table2.py --data_dir=data --source_sets=ravdess+emodb,ravdess,emodb --targets=urdu --out=runs/table2
"""

import shlex
import sys

from metaser_jax.config import Table2Config, flags

flags.define(Table2Config)


def main() -> None:
    config = flags.config(Table2Config)
    # Imported here: after a look at what was typed.
    from metaser_jax.studies.table2 import run_table2

    report = run_table2(config, command=shlex.join(["python", *sys.argv]))
    print((report.parent / "table2.md").read_text(encoding="utf-8"))
    print(f"Report: {report}")


if __name__ == "__main__":
    flags.run(main)
