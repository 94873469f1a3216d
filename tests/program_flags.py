"""Whether a command's flags are those that the program defines."""

import dataclasses
import re
from pathlib import Path

from metaser_jax import config as configurations
from metaser_jax.config import presets

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"

CALL = re.compile(r"experiments/(\w+)\.py((?:\s+--\w+(?:=[^\s;|&]*)?)*)")
FLAG = re.compile(r"--(\w+)(?:=([^\s\"']*|\"[^\"]*\"))?")


def flags_of(program: str) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """(flag -> its choices, required flags), as the program defines them."""
    source = (EXPERIMENTS / f"{program}.py").read_text()
    name, preset = re.search(r"flags\.define\((\w+)(?:, (\w+))?\)", source).groups()
    fields = dataclasses.fields(getattr(configurations, name))
    flags = {field.name: field.metadata["choices"] for field in fields}
    if preset:
        flags["preset"] = tuple(getattr(presets, preset))
    return flags, {field.name for field in fields if field.default is dataclasses.MISSING}


def wrong(command: str) -> list[str]:
    """What is wrong with the flags of the programs that a command calls."""
    found = []
    for program, given in CALL.findall(command):
        flags, required = flags_of(program)
        values = dict(FLAG.findall(given))
        if "flagfile" in values:
            lines = (EXPERIMENTS.parent / values.pop("flagfile")).read_text(encoding="utf-8").splitlines()
            values = dict(FLAG.findall(" ".join(line for line in lines if line.startswith("--")))) | values
        if set(values) == {"help"} or not values:  # a name in a sentence
            continue
        found += [f"{program}.py has no --{name}" for name in values if name not in flags]
        found += [f"{program}.py needs --{name}" for name in sorted(required - set(values))]
        for name, value in values.items():
            choices = flags.get(name, ())
            if choices and "$" not in value and value not in choices:
                found.append(f"--{name}={value} is none of {choices}")
    return found
