"""Flags from configuration dataclasses, and an absl main whose errors are for people.

Each field of a configuration (config/) becomes one flag of the same name. The order of precedence is: a flag that
was given, the preset, the field's default.
"""

import dataclasses
import gc
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from absl import app, flags, logging

from metaser_jax.errors import LOST_PEER, PREEMPTED, InputError, NotAllCameError, Preempted
from metaser_jax.kept_programs import keep_compiled

FLAGS = flags.FLAGS
_REQUIRED = " Required."
ConfigT = TypeVar("ConfigT")
Presets = Mapping[str, Mapping[str, Any]]


def define(config_class: type, presets: Presets | None = None) -> None:
    """Define one flag per field of the dataclass, and --preset; all are shown in the main program's --help.

    A flag that a preset sets has no default of its own there: its help names the presets' values.
    """
    hints = typing.get_type_hints(config_class)
    names = [field.name for field in dataclasses.fields(config_class)]
    if presets:
        flags.DEFINE_enum("preset", "recommended", sorted(presets), "Defaults of the other flags.")
        names.append("preset")
    for field in dataclasses.fields(config_class):
        required = field.default is dataclasses.MISSING
        of_preset = {name: p[field.name] for name, p in sorted((presets or {}).items()) if field.name in p}
        text, default = field.metadata["help"], None if required else field.default
        if of_preset:
            rest = {} if len(of_preset) == len(presets) else {"otherwise": default}
            text += f" ({', '.join(f'{name}: {value}' for name, value in (of_preset | rest).items())})"
            default = None
        _define_one(field.name, hints[field.name], default, text + (_REQUIRED if required else ""), field.metadata)
        if required:
            flags.mark_flag_as_required(field.name)
    for name in names:
        FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[name])


def _define_one(name: str, hint: Any, default: Any, text: str, metadata: Mapping[str, Any]) -> None:
    hint = _without_none(hint)
    if metadata["repeated"]:
        flags.DEFINE_multi_string(name, list(default), text)
    elif typing.get_origin(hint) is tuple:
        flags.DEFINE_list(name, None if default is None else [str(v) for v in default], text)
    elif metadata["choices"]:
        flags.DEFINE_enum(name, default, list(metadata["choices"]), text)
    else:
        by_type = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }
        by_type[hint](name, default, text)


def _without_none(hint: Any) -> Any:
    """Return X of X | None."""
    if isinstance(hint, types.UnionType):
        (hint,) = (h for h in typing.get_args(hint) if h is not type(None))
    return hint


def config(config_class: type[ConfigT], presets: Presets | None = None) -> ConfigT:
    """Return the configuration that the parsed flags say; the same `presets` as in `define`.

    Raises:
      InputError: a value is out of its range (from the dataclass's own checks).
    """
    values = dict(presets[FLAGS.preset]) if presets else {}
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        flag = FLAGS[field.name]
        if flag.present or (field.name not in values and flag.value is not None):
            values[field.name] = _items(flag, hints[field.name]) if isinstance(flag.value, list) else flag.value
    return config_class(**values)


def given(config_class: type) -> set[str]:
    """Return names of the configuration's flags that were given, rather than left to a preset or a default."""
    return {field.name for field in dataclasses.fields(config_class) if FLAGS[field.name].present}


def _items(flag: flags.Flag, hint: Any) -> tuple:
    item_type = typing.get_args(_without_none(hint))[0]
    try:
        return tuple(item_type(item) for item in flag.value if item)
    except ValueError as error:
        raise InputError(f"--{flag.name}: {error}, expected {item_type.__name__}s separated by commas.") from error


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        valid = sorted(flag.name for flag in FLAGS.get_key_flags_for_module(sys.argv[0]))
        print(f"error: {error}\nThe flags of this program: --{', --'.join(valid)}", file=sys.stderr)
    except flags.Error as error:
        known = FLAGS.get_key_flags_for_module(sys.argv[0])
        missing = [f"--{flag.name}" for flag in known if flag.value is None and flag.help.endswith(_REQUIRED)]
        # absl names one alone, and its value None.
        said = f"{', '.join(missing)} missing" if missing and "=None" in str(error) else error
        print(f"error: {said}\n--help explains every flag.", file=sys.stderr)
    sys.exit(2)


def run(main: Callable[..., int | None], *, arguments: bool = False, keep: bool = True) -> None:
    """Parse the flags, run `main`, and print an InputError as one message, without a traceback (exit status 2).

    What main compiles is kept on disk (kept_programs.py), but for keep=False, where compiling is timed. A program that
    imports jax in main, and not before, tells of mistakes in its flags at once.

    With arguments, main is given what was typed besides flags; otherwise that is an error.

    Preempted is exit status PREEMPTED, and NotAllCameError LOST_PEER, for a scheduler to start the same command again.
    """

    def guarded(argv: list[str]) -> int | None:
        if not FLAGS["verbosity"].present:
            # orbax logs every step, and with a traceback every error that it raises too; --verbosity=0 shows it.
            logging.set_verbosity(logging.FATAL)
        if keep:
            keep_compiled()
        # The collector goes through all that jax's import and tracing make, in vain: a tenth of a program's start.
        gc.set_threshold(50_000)
        try:
            if arguments:
                return main(argv[1:])
            if argv[1:]:
                raise InputError(f"Unexpected arguments {argv[1:]}: every option is a flag, --name=value.")
            return main()
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return LOST_PEER if isinstance(error, NotAllCameError) else 2
        except Preempted as preempted:
            print(f"Preempted: {preempted}", file=sys.stderr)
            return PREEMPTED
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            return 130  # as a shell reports SIGINT

    app.run(guarded, flags_parser=_parse)
