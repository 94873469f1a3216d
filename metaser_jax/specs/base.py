"""Fields with their help text and valid values, and the checks that every specification shares."""

import ast
import dataclasses
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

from metaser_jax.errors import InputError, check_choice

_SEEDS = ("seed", "split_seed", "target_split_seed")


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str = "",
    choices: Collection[str] = (),
    items: Collection[str] | Callable[[], Collection[str]] = (),
    distinct: bool = False,
    empty: bool = False,
    least: int | None = None,
    above: float | None = None,
    below: float = math.inf,
    repeated: bool = False,
    how: bool = False,
    common: bool = False,
    short: str | None = None,
    there: str = "",
    named: Collection[str] = (),
) -> Any:
    """Make a dataclass field with the valid values of its flag; without a default it is required.

    The string literal below the field is the text of the flag, in --help and in the reference; {valid} in it stands
    for the valid items or choices.

    Args:
      default: value of the field; None is always valid.
      help: text of the flag, where it is computed.
      choices: valid values; a registry that grows is looked at again by every check.
      items: of a tuple: valid items; a function is called by every check.
      distinct: of a tuple: at least one item, each once.
      empty: of such a tuple: it may have no items.
      least: the smallest valid number, of a tuple too.
      above: the number above which numbers are valid.
      below: the number below which numbers are valid, with least or above.
      repeated: a tuple whose items each have a flag of their own; otherwise they are separated by commas.
      how: the field says how a run is computed, not what it is: a run may be continued, and started from, with another.
      common: --help shows the flag, and not --helpfull alone; it shows all that are required.
      short: the flag's letter.
      there: of a path that a program reads: what is expected to be there, for the message where nothing is.
      named: of such a path: values that are none.
    """
    metadata = {"help": help, "choices": choices, "items": items, "distinct": distinct, "empty": empty}
    metadata |= {"least": least, "above": above, "below": below}
    metadata |= {"repeated": repeated, "how": how, "common": common, "short": short, "there": there, "named": named}
    return dataclasses.field(default=default, metadata=metadata)


def require(condition: bool, flag: str, got: Any, expected: str) -> None:
    """Raise an InputError that names the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag}: got {got!r}, expected {expected}.")


def help_texts(spec: type) -> dict[str, str]:
    """Return the text of each flag of a specification: what option was given, or the string literal below the field."""
    texts: dict[str, str] = {}
    for base in reversed(spec.__mro__):
        texts |= _own_texts(base) if dataclasses.is_dataclass(base) else {}
    for field in dataclasses.fields(spec):
        valid = _items(field.metadata) or field.metadata["choices"]
        texts[field.name] = field.metadata["help"] or texts[field.name].replace("{valid}", ", ".join(valid))
    return texts


@functools.cache
def _own_texts(spec: type) -> dict[str, str]:
    (tree,) = ast.parse(inspect.getsource(spec)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in itertools.pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Return the name of a field's flag: its own, without the _ of one that is a word of Python's."""
    return field.name.removesuffix("_")


def how_fields(spec: type) -> tuple[str, ...]:
    """Return the names of a specification's fields that say how it is computed and not what it is."""
    return tuple(field.name for field in dataclasses.fields(spec) if field.metadata["how"])


class Spec:
    """Base of all specifications: every field has a value that its option allows, however it was made.

    Attributes:
      TITLE: what --help calls the flags that a class declares first.
    """

    TITLE = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.metadata and value is not None:
                _check(flag_of(field), value, field.metadata)

    @classmethod
    def of(cls, other: "Spec", **changes: Any) -> Self:
        """Return the part of another specification that is of this class, with changes."""
        fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
        names = [field.name for field in fields if field.name not in changes]
        return cls(**{name: getattr(other, name) for name in names} | changes)

    def require(self, condition: bool, flag: str, expected: str) -> None:
        """Raise an InputError that names the flag and its value unless the condition holds."""
        require(condition, flag, getattr(self, flag), expected)

    def require_folds(self, folds: int, by_speaker: bool) -> None:
        """Raise an InputError unless --folds is 0, or 2 or more of a split by speaker."""
        self.require(folds == 0 or folds >= 2, "folds", "0 (one split) or 2 or more")
        self.require(folds == 0 or by_speaker, "folds", "0 without --split=speaker")


def _items(rules: Mapping[str, Any]) -> Collection[str]:
    return rules["items"] if isinstance(rules["items"], Collection) else rules["items"]()


def _check(name: str, value: Any, rules: Mapping[str, Any]) -> None:
    """Raise an InputError unless a field's value is one that its option allows."""
    if rules["choices"]:
        check_choice(f"--{name}", value, rules["choices"])
    items = _items(rules)
    for item in value if items else ():
        check_choice(f"--{name}", item, items)
    if rules["distinct"]:
        require(bool(value) or rules["empty"], name, value, "at least one")
        require(len(set(value)) == len(value), name, value, "each once")
    numbers = value if isinstance(value, tuple) else (value,)
    least, above, below = rules["least"], rules["above"], rules["below"]
    end = "" if below == math.inf else f" and below {below}"
    if least is not None:
        require(all(least <= number < below for number in numbers), name, value, f"{least} or more{end}")
    if above is not None:
        require(above < value < below, name, value, f"a number above {above}{end}")
    if name in _SEEDS:
        # More bits than a PRNG key takes would be dropped, and two seeds be the same.
        require(all(0 <= number < 2**32 for number in numbers), name, value, "a number from 0 to 2**32 - 1")
