"""What all configurations share: a field per flag, with its help text and its valid values."""

import dataclasses
from typing import Any

from metaser_jax.errors import InputError, check_choice


def option(
    help: str, default: Any = dataclasses.MISSING, *, choices: tuple[str, ...] = (), repeated: bool = False
) -> Any:
    """A dataclass field with the help text and the valid values of its flag; without a default it is required.

    A tuple's items are separated by commas, or, if it is repeated, each has a flag of its own.
    """
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices, "repeated": repeated})


def require(condition: bool, flag: str, got: Any, expected: str) -> None:
    """Raises an InputError that names the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag}: got {got!r}, expected {expected}.")


# How a run is computed and not what it is: it may be continued, and started from, with others.
HOW = (
    *("devices", "over_tasks", "chunk", "hvp", "residuals", "recurrence"),
    *("cluster", "coordinator_address", "num_processes", "process_id", "heartbeat_timeout", "start_timeout"),
    *("keep_checkpoints", "profile", "skip_nonfinite"),
)


class Config:
    """Base: a field with choices has one of them, however the configuration was made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.metadata["choices"]:
                check_choice(f"--{field.name}", getattr(self, field.name), field.metadata["choices"])
            if field.name in ("seed", "split_seed"):
                seed = getattr(self, field.name)
                # More bits than a PRNG key takes would be dropped, and two seeds be the same.
                require(0 <= seed < 2**32, field.name, seed, "a number from 0 to 2**32 - 1")

    def _require_one_or_more(self, *flags: str) -> None:
        for flag in flags:
            require(getattr(self, flag) >= 1, flag, getattr(self, flag), "1 or more")
