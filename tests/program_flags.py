"""Whether a command's flags are those that the program defines."""

import dataclasses
import re
from pathlib import Path

from metaser_jax.commands import COMMANDS, configured

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"

# metaser NAME, or experiments/NAME.py
CALL = re.compile(rf"(?:\bmetaser ({'|'.join(COMMANDS)})|experiments/(\w+)\.py)\b((?:\s+--\w+(?:=[^\s;|&]*)?)*)")
FLAG = re.compile(r"--(\w+)(?:=([^\s\"']*|\"[^\"]*\"))?")


def flags_of(program: str) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """(flag -> its choices, required flags), as the sub-command defines them."""
    config_class, presets = configured(COMMANDS[program])
    fields = dataclasses.fields(config_class)
    flags = {field.name: field.metadata["choices"] for field in fields}
    if presets:
        flags["preset"] = tuple(presets)
    return flags, {field.name for field in fields if field.default is dataclasses.MISSING}


def wrong(command: str) -> list[str]:
    """What is wrong with the flags of the programs that a command calls."""
    found = []
    for of_metaser, of_experiments, given in CALL.findall(command):
        program = of_metaser or of_experiments.replace("_", "-")
        flags, required = flags_of(program)
        values = dict(FLAG.findall(given))
        if "flagfile" in values:
            name = values.pop("flagfile")
            path = EXPERIMENTS.parent / name  # its path below the repository, or its name
            path = path if path.is_file() else EXPERIMENTS / "flagfiles" / f"{name}.flags"
            lines = path.read_text(encoding="utf-8").splitlines()
            values = dict(FLAG.findall(" ".join(line for line in lines if line.startswith("--")))) | values
        if set(values) == {"help"} or not values:  # a name in a sentence
            continue
        found += [f"{program} has no --{name}" for name in values if name not in flags]
        found += [f"{program} needs --{name}" for name in sorted(required - set(values))]
        for name, value in values.items():
            choices = flags.get(name, ())
            if choices and "$" not in value and value not in choices:
                found.append(f"--{name}={value} is none of {choices}")
    return found
