"""Whether what a program is to read is there: looked at before anything is imported that takes long."""

import dataclasses
from pathlib import Path
from typing import Any

import metaser_jax
from metaser_jax.errors import InputError

# The starts that come with the package, which --model and --init take by their names.
_STARTS = Path(metaser_jax.__file__).with_name("starts")


def check_places(config: Any) -> None:
    """Raise an InputError if a file or folder that the configuration names is not there."""
    for field in dataclasses.fields(config):
        if not field.metadata["there"]:
            continue
        value = getattr(config, field.name)
        for one in value if isinstance(value, tuple) else [value]:
            if one and one not in field.metadata["named"] and not _is_there(one):
                raise InputError(f"--{field.name}: {one} does not exist, expected {field.metadata['there']}.")


def is_model(place: str) -> bool:
    """Return whether a place looks like a model: a folder or a zip archive of one, or a start of the package."""
    path = Path(place)
    return (path / "model.json").is_file() or (path.suffix == ".zip" and path.is_file()) or _of_package(place)


def _is_there(place: str) -> bool:
    return Path(place).exists() or _of_package(place)


def _of_package(name: str) -> bool:
    return Path(name).name == name and (_STARTS / name).is_dir()
