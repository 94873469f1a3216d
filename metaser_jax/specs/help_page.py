"""Help page: a configuration's flags as --help shows them, and as a shell completes them."""

import dataclasses
import itertools
import shutil
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from metaser_jax.specs.base import flag_of, help_texts, how_fields

PRESET = "preset"
REQUIRED, PLAIN, MORE, HOW = "Required", "Options", "More options", "How it is computed"
_VALUES = {bool: "", int: "N", float: "X", str: "TEXT"}
_WIDTH = 100


class Option(NamedTuple):
    """A flag.

    Attributes:
      name, short: "model", "m"; short is "" where there is none.
      value: what it takes: "N", "second|first"; "" of a switch.
      choices: all valid values, if they are few words.
      help: text, with the default.
      group: under which it is shown. common: shown by --help.
    """

    name: str
    short: str
    value: str
    choices: tuple[str, ...]
    help: str
    group: str = "Every command"
    common: bool = False


_LOG_FORMAT = "Lines that are said on the way: text, or a JSON object each, with time, level and message."
_FLAGFILE = "Flags from a file, one a line; or by its name one of those that come with the package."
# Every program's.
GENERAL = (
    Option("quiet", "q", "", (), "Say results, warnings and errors alone."),
    Option("log_format", "", "text|json", ("text", "json"), _LOG_FORMAT),
    Option("flagfile", "", "FILE", (), _FLAGFILE),
    Option("verbosity", "v", "N", (), "0 shows what the libraries log as well."),
    Option("help", "", "", (), "The required and the common flags."),
    Option("helpfull", "", "", (), "All flags."),
)


def is_required(field: dataclasses.Field) -> bool:
    """Return whether a configuration's field has to be given."""
    return field.default is dataclasses.MISSING


def without_none(hint: Any) -> Any:
    """Return X of X | None."""
    if isinstance(hint, types.UnionType):
        (hint,) = (h for h in typing.get_args(hint) if h is not type(None))
    return hint


def _defaults(field: dataclasses.Field, presets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a field's default, or its values by preset, to be shown behind its text; "" where there is none."""
    of_preset = {name: preset[field.name] for name, preset in sorted(presets.items()) if field.name in preset}
    if of_preset:
        rest = {} if len(of_preset) == len(presets) else {"otherwise": field.default}
        return f" ({', '.join(f'{name}: {value}' for name, value in (of_preset | rest).items())})"
    if is_required(field) or field.default in (None, "", ()):
        return ""
    default = field.default
    if isinstance(default, tuple):
        return f" (default: {','.join(map(str, default))})"
    return f" (default: {str(default).lower() if isinstance(default, bool) else default})"


def options_of(config_class: type, presets: Mapping[str, Mapping[str, Any]] | None = None) -> list[Option]:
    """Return the flags of a program, required ones first, then by groups in the order of their fields."""
    hints, texts = typing.get_type_hints(config_class), help_texts(config_class)
    found = []
    for field in dataclasses.fields(config_class):
        text = texts[field.name] + _defaults(field, presets or {})
        rules, choices = field.metadata, tuple(field.metadata["choices"])
        value, group = "|".join(choices) or _value(hints[field.name]), _group(config_class, field)
        found.append(Option(flag_of(field), rules["short"] or "", value, choices, text, group, rules["common"]))
    if presets:
        names, text = tuple(sorted(presets)), "Defaults of the other flags. (default: recommended)"
        found.append(Option(PRESET, "", "|".join(names), names, text, PLAIN, True))
    titles = dict.fromkeys(one.group for one in found if one.group not in (MORE, HOW))
    groups = list(dict.fromkeys((REQUIRED, PLAIN, *titles, MORE, HOW)))
    return sorted(found, key=lambda one: groups.index(one.group))


def page(about: str, command: str, options: list[Option], *, full: bool) -> str:
    """Return what --help prints, or --helpfull.

    Args:
      about: what the program does.
      command: that starts it.
      options: of options_of.
    """
    shown = [one for one in options if full or one.common or one.group == REQUIRED]
    lines = [about.strip()] if about else []
    for group, members in itertools.groupby([*shown, *(GENERAL if full else ())], lambda one: one.group):
        lines += ["", f"{group}:", *itertools.chain.from_iterable(map(_lines, members))]
    if not full:
        left = len(options) - len(shown)
        more = f"{left} more flags" if left > 1 else "One more flag" if left else "What every command takes"
        lines += ["", f"{more}: {command} --helpfull"]
    return "\n".join(lines)


def _lines(one: Option) -> Iterator[str]:
    switch = not one.value and one not in GENERAL
    name = f"--[no]{one.name}" if switch else f"--{one.name}"
    yield f"  {f'-{one.short}, ' if one.short else ''}{name}{f'={one.value}' if one.value else ''}"
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 0)).columns) - 6
    yield from textwrap.wrap(one.help, max(width, 20), initial_indent=" " * 6, subsequent_indent=" " * 6)


def _group(config_class: type, field: dataclasses.Field) -> str:
    if is_required(field):
        return REQUIRED
    first = next(of for of in reversed(config_class.__mro__) if field.name in vars(of).get("__annotations__", ()))
    # What says how a run is computed is apart, but where a class is of nothing else.
    if field.metadata["how"] and len(how_fields(first)) < len(dataclasses.fields(first)):
        return HOW
    return vars(first).get("TITLE") or (PLAIN if field.metadata["common"] else MORE)


def _value(hint: Any) -> str:
    hint = without_none(hint)
    if typing.get_origin(hint) is tuple:
        return "{0},{0},...".format(_VALUES[typing.get_args(hint)[0]])
    return _VALUES[hint]
