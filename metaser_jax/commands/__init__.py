"""The console command `metaser`: adapt to a language with a few labelled clips, predict, evaluate, share, look.

Each sub-command is a module here with CONFIG, the dataclass of its flags (config/commands.py), ARGUMENTS, what may
follow that is no flag, and main(config, arguments), which returns an exit status. A module is imported when its
sub-command is typed, so that `metaser predict` starts quickly.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple


class Arguments(NamedTuple):
    """What a sub-command takes besides flags. Attributes: name, for people; least, most: how many; None: any number."""

    name: str
    least: int = 0
    most: int | None = 0


# What a shell reports for a program that a closed pipe has ended.
CLOSED_PIPE = 141

NO_ARGUMENTS = Arguments("nothing but flags")

COMMANDS = {
    "adapt": "learn a language from a few labelled clips of each emotion",
    "predict": "the emotion of recordings, with probabilities",
    "evaluate": "score a model on labelled clips",
    "info": "what a model was made of, its scores, licences and limits",
    "export": "a model as StableHLO or NumPy arrays, for other programs",
    "import-torch": "a model from the authors' PyTorch checkpoint",
    "serve": "a page in the browser: record, look, correct, adapt again",
}


def main(arguments: Sequence[str] | None = None, load: Callable[[str], ModuleType] = importlib.import_module) -> None:
    """Run what was typed: the entry point of setup.py.

    Args:
      arguments: after the command's name; sys.argv's by default.
      load: imports a sub-command's module by its name.
    """
    try:
        _main(sys.argv[1:] if arguments is None else arguments, load)
    except KeyboardInterrupt:  # while modules are imported; later flags.run says so
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _main(arguments: Sequence[str], load: Callable[[str], ModuleType]) -> None:
    command, *rest = arguments or ["--help"]
    if command in ("--help", "-h", "help", "--version"):
        print(_version() if command == "--version" else _usage())
        sys.exit(0)
    if command not in COMMANDS:
        print(f"error: {_unknown(command)}", file=sys.stderr)
        sys.exit(2)
    from metaser_jax.config import flags

    module = load(f"metaser_jax.commands.{command.replace('-', '_')}")
    # absl names the program by it, and shows the module's text above the flags.
    sys.argv = [f"metaser {command}", *rest]
    sys.modules["__main__"].__doc__ = f"\n{module.__doc__}"
    flags.define(module.CONFIG)

    def run(given: list[str]) -> int | None:
        _check_number(module.ARGUMENTS, command, given)
        try:
            status = module.main(flags.config(module.CONFIG), given)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            # Nobody reads any more (| head). What is still buffered must not raise once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return CLOSED_PIPE

    flags.run(run, arguments=True)


def _usage() -> str:
    lines = [f"  {name:<13} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "Speech emotion recognition for a language with a handful of labelled clips.",
            "",
            "usage: metaser COMMAND [--flag=value ...] [file ...]",
            "",
            *lines,
            "",
            "metaser COMMAND --help explains its flags; docs/new_language.md walks from recording to prediction.",
        ]
    )


def _version() -> str:
    from metaser_jax.versions import version

    return f"metaser_jax {version()}"


def _unknown(command: str) -> str:
    from metaser_jax.errors import InputError, check_choice

    try:
        check_choice("metaser", command, COMMANDS)
    except InputError as error:
        return str(error)
    raise AssertionError(command)


def _check_number(takes: Arguments, command: str, given: list[str]) -> None:
    from metaser_jax.errors import InputError

    if len(given) < takes.least or (takes.most is not None and len(given) > takes.most):
        got = f"got {' '.join(map(repr, given))}" if given else "got none"
        raise InputError(f"metaser {command}: {got}, expected {takes.name}. Options are flags, --name=value.")
