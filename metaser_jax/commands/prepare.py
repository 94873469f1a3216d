"""Extract the features of corpora, once; everything else reads what this program writes.

metaser prepare --corpora=ravdess,emodb,urdu --manual_dir=RECORDINGS --data_dir=data
"""

import dataclasses
import time
from collections.abc import Sequence

from metaser_jax import cli, datasets
from metaser_jax.messages import log, say
from metaser_jax.specs.programs import PrepareConfig


def main(config: PrepareConfig, arguments: Sequence[str]) -> None:
    """Checks everything that can be checked in a moment, then prepares corpus by corpus."""
    names = [datasets.known_name(name, "--corpora") for name in dict.fromkeys(config.corpora)]
    for name in names:
        datasets.put_back(name, config.data_dir)
    waiting = [name for name in names if config.overwrite or not datasets.is_prepared(name, config.data_dir)]
    found = {}
    for name in names:
        if name in waiting:
            found[name] = datasets.check(name, config.manual_dir, **_choices(config, name))
            for note in found[name].notes:
                say(f"note: {name}: {note}")
        else:  # with the same options?
            datasets.prepare(name, config.manual_dir, config.data_dir, **_choices(config, name))
    for name in names:
        if name in waiting and config.manual_dir is None:
            log(f"{name} is downloaded. Its licence: {datasets.builder_class(name).LICENSE}")
        start = time.perf_counter()
        statistics = datasets.prepare(
            name,
            config.manual_dir,
            config.data_dir,
            overwrite=config.overwrite,
            found=found.get(name),
            **_choices(config, name),
        )
        print(statistics.report())
        if name in waiting:
            print(f"  prepared in {time.perf_counter() - start:.0f} s\n")
        else:
            print("  was prepared already; --overwrite prepares it again\n")
    log(f"Next: {cli.program('meta-train')} --data_dir={config.data_dir} --sources=... --run_dir=...")


def _choices(config: PrepareConfig, name: str) -> dict:
    """Return the options of one corpus; what is for a folder of one's own is left out for the others."""
    names = {field.name for field in dataclasses.fields(datasets.Options)}
    if not name.startswith("folder/"):
        names -= set(datasets.OF_FOLDER)
    return {option: getattr(config, option) for option in names}
