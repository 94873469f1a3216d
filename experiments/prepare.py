"""Extracts the features of corpora, once; everything else reads what this program writes.

python experiments/prepare.py --corpora=ravdess,emodb,urdu --manual_dir=RECORDINGS --data_dir=data
"""

import dataclasses
import sys
import time

from metaser_jax import datasets
from metaser_jax.config import PrepareConfig, flags


def main() -> None:
    """Checks everything that can be checked in a moment, then prepares corpus by corpus."""
    options = flags.config(PrepareConfig)
    names = [datasets.known_name(name, "--corpora") for name in dict.fromkeys(options.corpora)]
    for name in names:
        datasets.put_back(name, options.data_dir)
    waiting = [name for name in names if options.overwrite or not datasets.is_prepared(name, options.data_dir)]
    for name in names:
        if name in waiting:
            for note in datasets.check(name, options.manual_dir, **choices(options, name)):
                print(f"note: {name}: {note}", file=sys.stderr)
        else:  # with the same options?
            datasets.prepare(name, options.manual_dir, options.data_dir, **choices(options, name))
    for name in names:
        if name in waiting and options.manual_dir is None:
            print(f"{name} is downloaded. Its licence: {datasets.builder_class(name).LICENSE}")
        start = time.perf_counter()
        statistics = datasets.prepare(
            name,
            options.manual_dir,
            options.data_dir,
            overwrite=options.overwrite,
            **choices(options, name),
        )
        print(statistics.report())
        if name in waiting:
            print(f"  prepared in {time.perf_counter() - start:.0f} s\n")
        else:
            print("  was prepared already; --overwrite prepares it again\n")
    print(f"Next: python experiments/meta_train.py --data_dir={options.data_dir} --sources=... --run_dir=...")


def choices(options: PrepareConfig, name: str) -> dict:
    """The options of one corpus; what is for a folder of one's own is left out for the others."""
    names = {field.name for field in dataclasses.fields(datasets.Options)}
    if not name.startswith("folder/"):
        names -= set(datasets.OF_FOLDER)
    return {option: getattr(options, option) for option in names}


if __name__ == "__main__":
    flags.define(PrepareConfig)
    flags.run(main)
