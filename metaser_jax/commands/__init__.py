"""The console command `metaser`: use a model, train one, study methods.

Each sub-command is a line in table.py and a function, which imports what it needs when all that was typed has been
looked at, so that mistakes are told at once.
"""

import dataclasses
import importlib
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metaser_jax.commands.table import COMMANDS, GROUPS, MODULES, Arguments, Command
from metaser_jax.errors import InputError, check_choice

__all__ = ["CLOSED_PIPE", "COMMANDS", "configured", "main"]

# What a shell reports for a program that a closed pipe has ended.
CLOSED_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was typed: the entry point of setup.py.

    Args:
      arguments: the sub-command and what follows it; sys.argv's by default.
    """
    try:
        _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while modules are imported; later flags.run says so
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _main(arguments: Sequence[str]) -> None:
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help", "--version"):
        print(_version() if name == "--version" else _usage())
        sys.exit(0)
    try:
        command = COMMANDS[check_choice("metaser", name, COMMANDS)]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    # Imported here: help and versions need none of it.
    from metaser_jax import cli
    from metaser_jax.extras import require_extras
    from metaser_jax.specs import flags

    config_class, presets = configured(command)
    flags.define(config_class, presets)
    started = cli.program(name)

    def run(given: list[str]) -> int | None:
        given = _take_model(config_class, started, given)
        config = flags.config(config_class, presets)
        _check_number(command.takes, name, given)
        flags.check_places(config)
        require_extras(started, *command.needs)
        try:
            status = _function(name)(config, given)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            # Nobody reads any more (| head). What is still buffered must not raise once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return CLOSED_PIPE

    def about() -> str:
        return str(inspect.getdoc(_function(name))).replace(f"metaser {name} ", f"{started} ")

    flags.run(run, arguments=True, argv=[started, *rest], about=about)


def _function(name: str) -> Callable[[Any, list[str]], int | None]:
    """Return what a sub-command calls."""
    (module,) = (MODULES[title] for title, group in GROUPS.items() if name in group)
    return getattr(importlib.import_module(f"metaser_jax.commands.{module}"), name.replace("-", "_"))


def configured(command: Command) -> tuple[type, Mapping[str, Mapping[str, Any]] | None]:
    """Return the class of a sub-command's flags, and its presets, if it has some."""
    of, _, name = command.config.rpartition(".")
    config_class = getattr(importlib.import_module(f"metaser_jax.specs.{of}"), name)
    if not command.presets:
        return config_class, None
    return config_class, getattr(importlib.import_module("metaser_jax.specs.presets"), command.presets)


def _take_model(config_class: Any, program: str, given: list[str]) -> list[str]:
    """Return what was given besides flags; its first is taken for --model, if that is missing and it is one.

    Raises:
      InputError: it is none.
    """
    from metaser_jax.specs import flags

    has_one = any(field.name == "model" for field in dataclasses.fields(config_class))
    if not given or not has_one or flags.FLAGS["model"].present:
        return given
    first, *rest = given
    if flags.is_model(first):
        flags.FLAGS["model"].parse(first)
        return rest
    if "model" in flags.missing_flags(config_class):
        raise InputError(
            f"--model missing, and {first} is no model folder. Type {program} --model=MODEL {shlex.join(given)}"
        )
    return given


def _usage() -> str:
    lines = [
        "Speech emotion recognition for a language with a handful of labelled clips.",
        "",
        "usage: metaser COMMAND [--flag=value ...] [file ...]",
    ]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<15} {command.what}" for name, command in group.items())]
    lines += [
        "",
        "metaser COMMAND --help explains its flags; docs/new_language.md walks from recording to prediction.",
    ]
    return "\n".join(lines)


def _version() -> str:
    from metaser_jax.versions import version

    return f"metaser_jax {version()}"


def _check_number(takes: Arguments, command: str, given: list[str]) -> None:
    if len(given) < takes.least or (takes.most is not None and len(given) > takes.most):
        got = f"got {' '.join(map(repr, given))}" if given else "got none"
        raise InputError(f"metaser {command}: {got}, expected {takes.name}. Options are flags, --name=value.")
