"""Preparing corpora and showing them."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require
from metaser_jax.specs.labelling import Labelling


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig(Labelling):
    """metaser prepare."""

    corpora: tuple[str, ...] = option(
        "Corpora to prepare, separated by commas; folder/NAME is a folder of your own, MANUAL_DIR/NAME/EMOTION/*.wav."
    )
    data_dir: str = option("Folder that the prepared corpora are written to.")
    manual_dir: str | None = option(
        "Folder with one folder per corpus (ravdess/, emodb/, urdu/ ...), each in its original layout or as its zip "
        "archive. Without it the corpora are downloaded into DATA_DIR/downloads, where their owners allow it.",
        None,
        common=True,
    )
    skip_bad: bool = option(
        "Leave out recordings that cannot be used, count and list them, instead of stopping.", False, common=True
    )
    drop_duplicates: bool = option(
        "Keep the first of several byte-identical recordings; the others are counted and listed.", False
    )
    language: str | None = option("For folder/NAME: English name of the language, for tables.", None, common=True)
    workers: int = option("Processes that extract features; 0 takes one per core.", 0)
    overwrite: bool = option("Prepare again what is already prepared.", False, common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.corpora), "corpora", self.corpora, "at least one corpus")
        own = any(name.startswith("folder/") for name in self.corpora)
        require(own or self.language is None, "language", self.language, "a folder/NAME among --corpora")
        for field in dataclasses.fields(Labelling):
            value = getattr(self, field.name)
            require(own or value == field.default, field.name, value, "a folder/NAME among --corpora")
        require(self.workers >= 0, "workers", self.workers, "0 (one per core) or a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorporaConfig(Spec):
    """metaser corpora."""

    data_dir: str = option("Folder of prepared corpora (metaser prepare).", there="prepared corpora (metaser prepare)")
    corpora: tuple[str, ...] = option(
        "Corpora to show, separated by commas; without it all that are prepared.", (), common=True
    )
    format: str = option("markdown or csv.", "markdown", choices=("markdown", "csv"), common=True)
    split_seed: int = option("Seed of the train, validation and test parts whose sizes are shown.", 0)
