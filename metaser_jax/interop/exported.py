"""Reads what `metaser export --to=stablehlo` wrote. The network's code is not needed, nor is it imported."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import export as jax_export

from metaser_jax import untrusted
from metaser_jax.errors import InputError

STABLEHLO = "metaser_stablehlo"
FORMAT_VERSION = 2
# That can be read. In version 1 all models were over MFCC.
FORMAT_VERSIONS = (1, FORMAT_VERSION)

Function = Callable[..., dict[str, jax.Array]]
"""(mfcc [n, 120, 20] float32, n_frames [n] int32) -> {"logits": [n, class], "probabilities": [n, class]}; of a model
over the voice of (voice [n, 171] float32). FILE.json says which."""


class Exported(NamedTuple):
    """Attributes: call, compiled anew for each n; facts, the content of FILE.json, with emotions in their order."""

    call: Function
    facts: dict[str, Any]


def beside(file: Path) -> Path:
    """Return FILE.json."""
    return file.with_name(file.name + ".json")


def load_exported(path: str | os.PathLike[str]) -> Exported:
    """Return the function in a file that export_stablehlo wrote.

    Raises:
      InputError: a file that is missing or damaged, of a newer version, or that this jax cannot read.
    """
    path = Path(path)
    try:
        facts, content = untrusted.parse_json(untrusted.read_bytes(beside(path))), untrusted.read_bytes(path)
        if facts["format"] != STABLEHLO:
            raise ValueError(f"{beside(path).name} has format {facts['format']!r}, expected {STABLEHLO!r}")
        got, made_by, written_by = facts["format_version"], facts["metaser_jax"], facts["versions"]["jax"]
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise ValueError(f"{path.name} is not as it was written (sha256)")
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}, expected FILE and FILE.json.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not as metaser export --to=stablehlo writes it: {error}. Export it again."
        ) from error
    if got not in FORMAT_VERSIONS:
        raise InputError(
            f"{path} is of version {got} (metaser_jax {made_by}), expected {FORMAT_VERSION}. Export it again."
        )
    try:
        function = jax_export.deserialize(bytearray(content))
    except ImportError as error:
        raise InputError(f"{path}: reading it needs the package flatbuffers: pip install flatbuffers.") from error
    except Exception as error:  # whatever MLIR and flatbuffers raise
        raise InputError(
            f"{path} was written by jax {written_by}, and jax {jax.__version__} cannot read it ({error}). Export the "
            "model folder again."
        ) from error
    return Exported(jax.jit(function.call), facts)
