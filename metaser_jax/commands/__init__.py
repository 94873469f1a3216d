"""The console command `metaser`: use a model, train one, study methods.

Each sub-command is a line in GROUPS and a function, which imports what it needs when all that was typed has been
looked at, so that mistakes are told at once.
"""

import importlib
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from metaser_jax import __version__
from metaser_jax.errors import InputError, check_choice


class Arguments(NamedTuple):
    """The arguments of a sub-command besides flags.

    Attributes:
      name: for people.
      least, most: how many; None: any number.
    """

    name: str
    least: int = 0
    most: int | None = 0


class Command(NamedTuple):
    """A sub-command.

    Attributes:
      what: it does, for people.
      config: its flags, MODULE.NAME of the class NAMEConfig below metaser_jax.specs.
      needs: what it imports that extras bring (metaser_jax/extras.py).
      presets: the name of its presets in metaser_jax.specs.presets; "" for none.
      takes: what may follow that is no flag.
    """

    what: str
    config: str
    needs: tuple[str, ...] = ()
    presets: str = ""
    takes: Arguments = Arguments("nothing but flags")


_READS = ("array_record", "importlib_resources")
_RUNS = (*_READS, "orbax.checkpoint")
TRAINS = (*_RUNS, "tensorboardX")
_STUDY = (*TRAINS, "matplotlib")
_CLIPS = Arguments("recordings: files and folders, or - for one from stdin", 0, None)
_MODEL = Arguments("one model folder, or its zip archive", 1, 1)
_FILE = Arguments("one checkpoint of PyTorch, FILE.pt", 1, 1)
_SHELL = Arguments("one shell: bash, zsh or fish", 1, 1)
_SERVES = ("starlette", "uvicorn")

# Title in `metaser --help` -> the module that has, for each of its commands, a function (config, arguments) -> exit
# status of the same name, with _ for -.
MODULES = {"Use a model": "models", "Train": "training", "Study": "training", "Set up": "set_up"}
GROUPS = {
    "Use a model": {
        "adapt": Command("learn a language from a few labelled clips of each emotion", "commands.Adapt"),
        "predict": Command("the emotion of recordings, with probabilities", "commands.Predict", takes=_CLIPS),
        "evaluate": Command("score a model on labelled clips", "commands.Evaluate"),
        "info": Command("what a model was made of, its scores, licences and limits", "commands.Info", takes=_MODEL),
        "export": Command("a model as StableHLO or NumPy arrays, for other programs", "commands.Export"),
        "import-torch": Command("a model from the authors' PyTorch checkpoint", "commands.ImportTorch", takes=_FILE),
        "serve": Command("a page in the browser: record, look, correct, adapt again", "commands.Serve", _SERVES),
    },
    "Train": {
        "prepare": Command("extract the features of corpora, once", "programs.Prepare", _READS),
        "corpora": Command("a table of the corpora that are prepared", "programs.Corpora", _READS),
        "meta-train": Command("learn from source corpora how to learn", "programs.MetaTrain", TRAINS, "META_TRAIN"),
        "pretrain": Command("train a baseline on source corpora", "programs.Pretrain", TRAINS, "PRETRAIN"),
        "finetune": Command(
            "adapt a run to a target corpus, and score it there", "programs.Finetune", _RUNS, "FINETUNE"
        ),
        "sweep": Command("meta-train over seeds and settings in one program", "programs.Sweep", _STUDY, "SWEEP"),
    },
    "Study": {
        "demo": Command("all of it in minutes, on synthetic voices", "programs.Demo", (*_STUDY, "espeakng_loader")),
        "unseen": Command("each corpus in turn as the unseen language", "studies.Unseen", _STUDY),
        "table2": Command("the paper's Table 2: methods by sources and targets", "studies.Table2", _STUDY),
        "figure2": Command("the paper's Figure 2: score by amount of data", "studies.Figure2", _STUDY),
        "ablation-order": Command("second order against other meta-gradients", "studies.Order", _STUDY),
    },
    "Set up": {
        "fetch-encoder": Command("the pretrained speech encoder, fetched once and kept", "commands.FetchEncoder"),
        "completion": Command("what makes a shell complete all of this", "commands.Completion", takes=_SHELL),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
_USAGE = """Speech emotion recognition for a language with a handful of labelled clips.

usage: metaser COMMAND [--flag=value ...] [file ...]
{}
metaser COMMAND --help explains its flags; docs/new_language.md walks from recording to prediction."""
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
        print(f"metaser_jax {__version__}" if name == "--version" else _usage())
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
        takes = command.takes
        if len(given) < takes.least or (takes.most is not None and len(given) > takes.most):
            got = f"got {' '.join(map(repr, given))}" if given else "got none"
            raise InputError(f"metaser {name}: {got}, expected {takes.name}. Options are flags, --name=value.")
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
    config_class = getattr(importlib.import_module(f"metaser_jax.specs.{of}"), f"{name}Config")
    if not command.presets:
        return config_class, None
    return config_class, getattr(importlib.import_module("metaser_jax.specs.presets"), command.presets)


def _take_model(config_class: Any, program: str, given: list[str]) -> list[str]:
    """Return what was given besides flags; its first is taken for --model, if that is missing and it is one.

    Raises:
      InputError: it is none.
    """
    from metaser_jax.specs import flags

    if not given or "model" not in config_class.__dataclass_fields__ or flags.FLAGS["model"].present:
        return given
    first, *rest = given
    if flags.is_model(first):
        flags.FLAGS["model"].parse(first)
        return rest
    if "model" in flags.missing_flags(config_class):
        raise InputError(f"No --model: {first} is no model folder. Type {program} --model=MODEL {shlex.join(given)}")
    return given


def _usage() -> str:
    lines = []
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<15} {command.what}" for name, command in group.items())]
    return _USAGE.format("\n".join(lines) + "\n")
