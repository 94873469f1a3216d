"""The starts that come with the package: model folders that were adapted to no clips, which people call by a name."""

import os
from pathlib import Path

from metaser_jax.errors import InputError
from metaser_jax.recogniser.mistaken import MODEL

STARTS = Path(__file__).parents[1] / "starts"
# What makes a folder of the user's one that a start could be taken for: a model, or a run of training.
_OWN = (MODEL, "config.json")


def names() -> tuple[str, ...]:
    """Return what the starts are called."""
    return tuple(sorted(path.parent.name for path in STARTS.glob(f"*/{MODEL}")))


def located(folder: str | os.PathLike[str]) -> Path:
    """Return the place of a folder that a user named: of a start's name, the start inside the package.

    Raises:
      InputError: a model or a run of that name is in the current directory, too.
    """
    name = os.fspath(folder)
    if name not in names():
        return Path(name)
    own = Path(name)
    if any((own / file).is_file() for file in _OWN):
        raise InputError(
            f"{name} is a start that comes with metaser_jax, and a folder here. Give .{os.sep}{name} for the folder, "
            f"or {STARTS / name} for the start."
        )
    return STARTS / name
