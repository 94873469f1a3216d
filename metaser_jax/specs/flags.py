"""Flags from configuration dataclasses, and an absl main whose errors are for people.

Each field of a configuration becomes one flag of the same name. The order of precedence is: a flag that
was given, the preset, the field's default.
"""

import dataclasses
import errno
import gc
import io
import resource
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from absl import app, flags, logging

import metaser_jax
from metaser_jax.errors import LOST_PEER, PREEMPTED, InputError, NotAllCameError, Preempted, out_of_memory
from metaser_jax.jit_cache import keep_compiled
from metaser_jax.messages import JSON, TEXT, log, say, say_how
from metaser_jax.specs.base import flag_of
from metaser_jax.specs.help_page import GENERAL, PLAIN, PRESET, Option, is_required, options_of, page, without_none
from metaser_jax.specs.meta_training import unused_fields

FLAGS = flags.FLAGS
# In a wheel, and in a clone.
_PACKAGE = Path(metaser_jax.__file__).parent
FLAGFILES = (_PACKAGE / "flagfiles", _PACKAGE.parent / "experiments" / "flagfiles")
_HELP = {"--help": False, "-help": False, "-h": False, "--helpshort": False, "--helpfull": True}
# What writing to a disk ends with that is full, or beyond a limit.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# A small training run has 2.9 GB of addresses and 0.9 GB of memory; threads alone, one per core, reserve the most.
_MIN_ADDRESSES = 4 * 10**9
_NEEDED = (
    "Training and predicting take about 1 GB of memory and 4 GB of addresses (ulimit -v), and more with larger corpora "
    "and networks. Raise the limit, or end other programs."
)
# The starts that come with the package, which --model and --init take by their names.
_STARTS = _PACKAGE / "starts"
_DEFINE = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}
ConfigT = TypeVar("ConfigT")
Presets = Mapping[str, Mapping[str, Any]]

# What this program has defined.
_defined: list[tuple[type, Presets | None]] = []


def define(config_class: type, presets: Presets | None = None) -> None:
    """Define one flag per field of the dataclass, and --preset; the program's --help shows them.

    None is every flag's default to absl: presets and the dataclass have the defaults, and help_page.py shows them.
    """
    hints = typing.get_type_hints(config_class)
    if presets:
        flags.DEFINE_enum(PRESET, "recommended", sorted(presets), "Defaults of the other flags.")
    for field in dataclasses.fields(config_class):
        hint, define_one = without_none(hints[field.name]), flags.DEFINE_list
        if typing.get_origin(hint) is not tuple:
            define_one = _DEFINE[hint]
        elif field.metadata["repeated"]:
            define_one = flags.DEFINE_multi_string
        define_one(flag_of(field), None, help="See --help.", short_name=field.metadata["short"])
    _defined.append((config_class, presets))


def config(config_class: type[ConfigT], presets: Presets | None = None) -> ConfigT:
    """Return the configuration that the parsed flags say; the same `presets` as in `define`.

    Raises:
      InputError: a required flag is missing; a value is out of its range (from the dataclass's own checks).
    """
    missing = missing_flags(config_class)
    if missing:
        raise InputError(f"{', '.join(f'--{name}' for name in missing)} missing\n--help explains every flag.")
    values = dict(presets[FLAGS.preset]) if presets else {}
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        flag = FLAGS[flag_of(field)]
        if flag.present:
            values[field.name] = _items(flag, hints[field.name]) if isinstance(flag.value, list) else flag.value
    if "algorithm" in values:
        _drop_unused(values, given(config_class))
    return config_class(**values)


def _drop_unused(values: dict[str, Any], typed: set[str]) -> None:
    """Replace what a preset sets and the algorithm does not look at, and say so; what was typed is an error later."""
    unused = unused_fields(values["algorithm"])
    dropped = {n: v for n, v in unused.items() if n in values and n not in typed and values[n] != v}
    if dropped:
        of_preset = " ".join(f"--{name}={values[name]}" for name in dropped)
        log(f"--algorithm={values['algorithm']} does not look at {of_preset} of --preset={FLAGS.preset}.")
        values |= dropped


def missing_flags(config_class: type) -> list[str]:
    """Return the names of the configuration's required flags that were not given."""
    names = given(config_class)
    return [field.name for field in dataclasses.fields(config_class) if is_required(field) and field.name not in names]


def given(config_class: type) -> set[str]:
    """Return names of the configuration's flags that were given, rather than left to a preset or a default."""
    return {field.name for field in dataclasses.fields(config_class) if FLAGS[flag_of(field)].present}


def _items(flag: flags.Flag, hint: Any) -> tuple:
    item_type = typing.get_args(without_none(hint))[0]
    try:
        return tuple(item_type(item) for item in flag.value if item)
    except ValueError as error:
        raise InputError(f"--{flag.name}: {error}, expected {item_type.__name__}s separated by commas.") from error


def check_places(config: Any) -> None:
    """Raise an InputError if a file or folder that the configuration names is not there."""
    for field in dataclasses.fields(config):
        if not field.metadata["there"]:
            continue
        value = getattr(config, field.name)
        for one in value if isinstance(value, tuple) else [value]:
            if one and one not in field.metadata["named"] and not (Path(one).exists() or _of_package(one)):
                raise InputError(f"--{flag_of(field)}: {one} does not exist, expected {field.metadata['there']}.")


def is_model(place: str) -> bool:
    """Return whether a place looks like a model: a folder or a zip archive of one, or a start of the package."""
    path = Path(place)
    return (path / "model.json").is_file() or (path.suffix == ".zip" and path.is_file()) or _of_package(place)


def _of_package(name: str) -> bool:
    return Path(name).name == name and (_STARTS / name).is_dir()


def _parse(argv: Sequence[str], about: Callable[[], str] | None) -> list[str]:
    before = list(argv[1 : argv.index("--") if "--" in argv else None])
    asked = [_HELP[one] for one in before if one in _HELP]
    if asked:
        said = about() if about else sys.modules["__main__"].__doc__ or ""
        print(page(said, argv[0], _options(), full=any(asked)))
        sys.exit(0)
    try:
        return FLAGS([argv[0], *map(_found_flagfile, argv[1:])])
    except flags.UnrecognizedFlagError as error:
        valid = sorted(option.name for option in _options())
        print(f"error: {error}\nThe flags of this program: --{', --'.join(valid)}", file=sys.stderr)
    except flags.Error as error:
        print(f"error: {error}\n--help explains every flag.", file=sys.stderr)
    sys.exit(2)


def _options() -> list[Option]:
    """Return the flags of the configurations, and those that the started file itself has defined."""
    options = [option for one in _defined for option in options_of(*one)]
    known = {one.name for one in (*options, *GENERAL)}
    of_file = [flag for flag in FLAGS.get_key_flags_for_module(sys.argv[0]) if flag.name not in known]
    return options + [Option(f.name, f.short_name or "", "VALUE", (), f.help or "", PLAIN, True) for f in of_file]


def _found_flagfile(argument: str) -> str:
    """Return the argument; if it is a flagfile of the package by its name, by its path."""
    flag, _, name = argument.partition("=")
    if flag not in ("--flagfile", "-flagfile") or Path(name).exists():
        return argument
    places = [folder / file for folder in FLAGFILES for file in (name, f"{name}.flags")]
    return next((f"{flag}={path}" for path in places if path.is_file()), argument)


def run(
    main: Callable[..., int | None],
    *,
    arguments: bool = False,
    keep: bool = True,
    argv: Sequence[str] | None = None,
    about: Callable[[], str] | None = None,
) -> None:
    """Parse the flags, run `main`, and print an InputError as one message, without a traceback (exit status 2).

    What main compiles is kept on disk (jit_cache.py), but for keep=False, where compiling is timed. A program that
    imports jax in main, and not before, tells of mistakes in its flags at once.

    With arguments, main is given what was typed besides flags; otherwise that is an error.

    Args:
      argv: the program's name, and what was typed after it; by default sys.argv.
      about: returns what --help says of the program; by default its docstring.

    Preempted is exit status PREEMPTED, and NotAllCameError LOST_PEER, for a scheduler to start the same command again.
    """
    flags.DEFINE_bool("quiet", False, "See --help.", short_name="q")
    flags.DEFINE_enum("log_format", TEXT, (TEXT, JSON), "See --help.")

    def guarded(argv: list[str]) -> int | None:
        say_how(quiet=FLAGS.quiet, log_format=FLAGS.log_format)
        if not FLAGS["verbosity"].present:
            # orbax logs every step, and with a traceback every error that it raises too; --verbosity=0 shows it.
            logging.set_verbosity(logging.FATAL)
        if keep:
            keep_compiled()
        # The collector goes through all that jax's import and tracing make, in vain: a tenth of a program's start.
        gc.set_threshold(50_000)
        addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
        if 0 <= addresses < _MIN_ADDRESSES:
            # Threads that cannot be started are waited for, in jax, for ever.
            say(f"warning: this process is limited to {addresses / 1e9:.1f} GB of addresses, and may hang. {_NEEDED}")
        try:
            if arguments:
                return main(argv[1:])
            if argv[1:]:
                raise InputError(f"Unexpected arguments {argv[1:]}: every option is a flag, --name=value.")
            return main()
        except InputError as error:
            say(f"error: {error}")
            return LOST_PEER if isinstance(error, NotAllCameError) else 2
        except (MemoryError, RuntimeError, ImportError, OSError) as error:
            if out_of_memory(error):
                say(f"error: there is not enough memory ({str(error) or type(error).__name__}). {_NEEDED}")
            elif isinstance(error, OSError) and error.errno in _NO_ROOM:
                # matplotlib and NumPy do not say which file.
                what = error.filename or "A file"
                say(f"error: {what} cannot be written: {error.strerror}. Make room, and start the same command again.")
            else:
                raise
            return 2
        except Preempted as preempted:
            print(f"Preempted: {preempted}", file=sys.stderr)
            return PREEMPTED
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            return 130  # as a shell reports SIGINT

    # A run must not end, its work done, because the terminal lacks a character: "±", or one of a file's name.
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook's is not
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(guarded, list(sys.argv if argv is None else argv), flags_parser=lambda given: _parse(given, about))
