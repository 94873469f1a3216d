"""Fields with their help text and valid values, and the checks that every specification shares."""

import dataclasses
from collections.abc import Collection
from typing import Any, Self

from metaser_jax.errors import InputError, check_choice


def option(
    help: str,
    default: Any = dataclasses.MISSING,
    *,
    choices: Collection[str] = (),
    repeated: bool = False,
    how: bool = False,
    common: bool = False,
    short: str | None = None,
    there: str = "",
    named: Collection[str] = (),
) -> Any:
    """Make a dataclass field with the help text and the valid values of its flag; without a default it is required.

    Args:
      help: text of the flag.
      default: value of the field.
      choices: valid values; a registry that grows is looked at again by every check.
      repeated: a tuple whose items each have a flag of their own; otherwise they are separated by commas.
      how: the field says how a run is computed, not what it is: a run may be continued, and started from, with another.
      common: --help shows the flag, and not --helpfull alone; it shows all that are required.
      short: the flag's letter.
      there: of a path that a program reads: what is expected to be there, for the message where nothing is.
      named: of such a path: values that are none.
    """
    metadata = {"help": help, "choices": choices, "repeated": repeated, "how": how}
    metadata |= {"common": common, "short": short, "there": there, "named": named}
    return dataclasses.field(default=default, metadata=metadata)


def require(condition: bool, flag: str, got: Any, expected: str) -> None:
    """Raise an InputError that names the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag}: got {got!r}, expected {expected}.")


def require_folds(folds: int, by_speaker: bool) -> None:
    """Raise an InputError unless folds are 0, or 2 or more of a split by speaker."""
    require(folds == 0 or folds >= 2, "folds", folds, "0 (one split) or 2 or more")
    require(folds == 0 or by_speaker, "folds", folds, "0 without --split=speaker")


def how_fields(spec: type) -> tuple[str, ...]:
    """Return the names of a specification's fields that say how it is computed and not what it is."""
    return tuple(field.name for field in dataclasses.fields(spec) if field.metadata["how"])


class Spec:
    """Base of all specifications: a field with choices has one of them, however it was made.

    Attributes:
      TITLE: what --help calls the flags that a class declares first.
    """

    TITLE = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.metadata.get("choices"):
                check_choice(f"--{field.name}", getattr(self, field.name), field.metadata["choices"])
            if field.name in ("seed", "split_seed"):
                seed = getattr(self, field.name)
                # More bits than a PRNG key takes would be dropped, and two seeds be the same.
                require(0 <= seed < 2**32, field.name, seed, "a number from 0 to 2**32 - 1")

    @classmethod
    def of(cls, other: "Spec", **changes: Any) -> Self:
        """Return the part of another specification that is of this class, with changes."""
        return cls(**{field.name: getattr(other, field.name) for field in dataclasses.fields(cls)} | changes)

    def _require_one_or_more(self, *flags: str) -> None:
        for flag in flags:
            require(getattr(self, flag) >= 1, flag, getattr(self, flag), "1 or more")
