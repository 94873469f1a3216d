"""Configurations of the programs as frozen dataclasses: field name = flag name, help text beside the default."""

import dataclasses
from typing import Any

from metaser_jax.errors import InputError


def option(help: str, default: Any = dataclasses.MISSING, *, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with the help text and the valid values of its flag; without a default it is required."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def require(condition: bool, flag: str, got: Any, expected: str) -> None:
    """Raises an InputError that names the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag}: got {got!r}, expected {expected}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """experiments/prepare.py."""

    corpora: tuple[str, ...] = option("Corpora to prepare, separated by commas.")
    manual_dir: str = option(
        "Folder with one folder per corpus (ravdess/, emodb/, urdu/ ...), each in its original layout."
    )
    data_dir: str = option("Folder that the prepared corpora are written to.")
    skip_bad: bool = option(
        "Leave out recordings that cannot be used, count and list them, instead of stopping.", False
    )
    workers: int = option("Processes that extract features; 0 takes one per core.", 0)
    overwrite: bool = option("Prepare again what is already prepared.", False)

    def __post_init__(self) -> None:
        require(bool(self.corpora), "corpora", self.corpora, "at least one corpus")
        require(self.workers >= 0, "workers", self.workers, "0 (one per core) or a positive number")
