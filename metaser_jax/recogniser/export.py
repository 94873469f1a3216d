"""A model as a file for other programs: StableHLO by jax.export, or NumPy arrays.

StableHLO: f(mfcc [n, 120, 20] float32, n_frames [n] int32) -> {"logits": [n, class], "probabilities": [n, class]}, of a
model over the voice f(voice [n, 171] float32), for any n, parameters inside; beside it FILE.json says what it is.
NumPy: the arrays for one who writes the network himself (docs/model_folder.md has it in 30 lines).

Reference: jax's documentation, "Exporting and serializing staged-out computations" (docs.jax.dev).
"""

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from metaser_jax import untrusted
from metaser_jax.data.inputs import GIVEN
from metaser_jax.errors import InputError, check_choice
from metaser_jax.recogniser import arrays as npz
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.model_json import FEATURES, settings_json
from metaser_jax.recogniser.predictor import make_forward, scale_of_one_clip
from metaser_jax.versions import version

STABLEHLO, NPZ = "metaser_stablehlo", "metaser_npz"
FORMAT_VERSION = 2
# That can be read. In version 1 all models were over MFCC.
FORMAT_VERSIONS = (1, FORMAT_VERSION)
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_READABLE = (
    "jax.export.deserialize of the jax that wrote it. jax guarantees that it also reads what was written by a jax up "
    "to 6 months older or 3 weeks newer than itself; later ones may refuse it: export the model folder again then, "
    "which has no such limit."
)

Function = Callable[..., dict[str, jax.Array]]
"""(mfcc [n, 120, 20] float32, n_frames [n] int32) -> {"logits": [n, class], "probabilities": [n, class]}; of a model
over the voice of (voice [n, 171] float32). FILE.json says which."""


class Exported(NamedTuple):
    """Attributes: call, compiled anew for each n; facts, the content of FILE.json, with emotions in their order."""

    call: Function
    facts: dict[str, Any]


def make_function(model: Model) -> Function:
    """Return (what inputs.GIVEN says, each [n, ...]) -> {"logits", "probabilities"}, to jit; parameters inside.

    Probabilities are calibrated: softmax(logits / temperature).
    """
    forward = make_forward(model.settings)
    scale = scale_of_one_clip(model.settings, model.scale)
    params, scale = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (model.params, scale))

    def function(*given: jax.Array) -> dict[str, jax.Array]:
        logits = forward(params, scale, *given)
        return {"logits": logits, "probabilities": jax.nn.softmax(logits / np.float32(model.temperature))}

    return function


def export_stablehlo(model: Model, out: str | os.PathLike[str], platforms: Sequence[str] = ("cpu",)) -> None:
    """Write the model as one function to `out`, and OUT.json.

    Args:
      model: its normalisation is inside; of a model that normalises by speaker, that of a clip by itself.
      out: file; not there yet.
      platforms: of PLATFORMS, what it is to run on; they need not be here.

    Raises:
      InputError: an unknown platform or none, a file that is there or cannot be written, flatbuffers not installed.
    """
    out = Path(out)
    for platform in platforms:
        check_choice("--platforms", platform, PLATFORMS)
    if not platforms:
        raise InputError(f"--platforms: got none, expected at least one of {', '.join(PLATFORMS)}.")
    _check_new(out, _beside(out))
    (n,) = jax_export.symbolic_shape("n")
    given = GIVEN[model.settings.features]
    made = jax_export.export(jax.jit(make_function(model)), platforms=list(dict.fromkeys(platforms)))(
        *(jax.ShapeDtypeStruct((n, *shape), dtype) for dtype, shape in given.values())
    )
    try:
        content = bytes(made.serialize())
    except ImportError as error:
        raise InputError("--to=stablehlo needs the package flatbuffers: pip install flatbuffers.") from error
    classes = len(model.settings.emotions)
    facts = _facts(STABLEHLO, model) | {
        "temperature": float(model.temperature),
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": {
            name: {"dtype": np.dtype(dtype).name, "shape": ["n", *shape]} for name, (dtype, shape) in given.items()
        },
        "outputs": {name: {"dtype": "float32", "shape": ["n", classes]} for name in ("logits", "probabilities")},
        "platforms": list(made.platforms),
        "calling_convention_version": made.calling_convention_version,
        "versions": {name: version(name) for name in ("jax", "jaxlib")},
        "readable_by": _READABLE,
    }
    _write({out: content, _beside(out): (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()})


def export_npz(model: Model, out: str | os.PathLike[str]) -> None:
    """Write the model's arrays to `out`, as numpy.savez does.

    They are lstm_1/kernel_input or voice/kernel ..., scale/mean, scale/std, temperature, and settings, which is JSON.

    Raises:
      InputError: a file that is there or cannot be written.
    """
    out = Path(out)
    _check_new(out)
    facts = json.dumps(_facts(NPZ, model), ensure_ascii=False)
    arrays = npz.pack(dataclasses.replace(model, start=None))
    arrays = {name.removeprefix("params/"): array for name, array in arrays.items()}
    file = io.BytesIO()
    npz.write_npz(file, arrays | {"temperature": np.float64(model.temperature), "settings": np.array(facts)})
    _write({out: file.getvalue()})


def load_exported(path: str | os.PathLike[str]) -> Exported:
    """Return the function in a file that export_stablehlo wrote.

    Raises:
      InputError: a file that is missing or damaged, of a newer version, or that this jax cannot read.
    """
    path = Path(path)
    beside = _beside(path)
    try:
        facts, content = untrusted.parse_json(untrusted.read_bytes(beside)), untrusted.read_bytes(path)
        if facts["format"] != STABLEHLO:
            raise ValueError(f"{beside.name} has format {facts['format']!r}, expected {STABLEHLO!r}")
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


def _beside(file: Path) -> Path:
    """Return FILE.json."""
    return file.with_name(file.name + ".json")


def _facts(format: str, model: Model) -> dict[str, Any]:
    return {
        "format": format,
        "format_version": FORMAT_VERSION,
        "metaser_jax": version(),
        "digest": digest(model),
        "emotions": list(model.settings.emotions),
        "settings": settings_json(model.settings),
        "features": FEATURES[model.settings.features],
    }


def _check_new(*files: Path) -> None:
    for file in files:
        if file.exists():
            raise InputError(f"--out: {file} is there already. Give another name, or remove it.")


def _write(contents: dict[Path, bytes]) -> None:
    """Write all of the files, or none."""
    temporary = {file: file.with_name(f".{file.name}.tmp") for file in contents}
    try:
        for file, content in contents.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary[file].write_bytes(content)
        for file in contents:
            os.replace(temporary[file], file)
    except OSError as error:
        raise InputError(
            f"--out: {error.filename or next(iter(contents))} cannot be written: {error.strerror}. Make room, or give "
            "another name."
        ) from error
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)
