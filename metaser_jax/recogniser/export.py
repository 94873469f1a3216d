"""A model as a file for other programs: StableHLO by jax.export, or NumPy arrays.

StableHLO: f(mfcc [n, 120, 20] float32, n_frames [n] int32) -> {"logits": [n, class], "probabilities": [n, class]}, of a
model over the voice f(voice [n, 171] float32), or f(voice, vectors [n, k, d] float32), for any n,
parameters inside; beside it FILE.json says what it is.
NumPy: the arrays for one who writes the network himself (docs/model_folder.md has it in 30 lines).

Reference: jax's documentation, "Exporting and serializing staged-out computations" (docs.jax.dev).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from metaser_jax import npz
from metaser_jax.data.inputs import given
from metaser_jax.errors import InputError, check_choice
from metaser_jax.extras import version
from metaser_jax.recogniser.arrays import pack
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.model_files import FEATURES, settings_json
from metaser_jax.recogniser.predictor import make_forward, scale_of_one_clip
from metaser_jax.results.run_dir import replacing

STABLEHLO, NPZ = "metaser_stablehlo", "metaser_npz"
# In version 1 all models were over MFCC, and in 2 none heard vectors.
FORMAT_VERSION = 3
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_READABLE = (
    "jax.export.deserialize of the jax that wrote it. jax guarantees that it also reads what was written by a jax up "
    "to 6 months older or 3 weeks newer than itself; later ones may refuse it: export the model folder again then, "
    "which has no such limit."
)

Function = Callable[..., dict[str, jax.Array]]
"""(mfcc [n, 120, 20] float32, n_frames [n] int32) -> {"logits": [n, class], "probabilities": [n, class]}; of a model
over the voice of (voice [n, 171] float32), or of these and (vectors [n, k, d] float32). FILE.json says which."""


def make_function(model: Model) -> Function:
    """Return (what inputs.given says, each [n, ...]) -> {"logits", "probabilities"}, to jit; parameters inside.

    Probabilities are calibrated: softmax(logits / temperature).
    """
    forward = make_forward(model.settings)
    scale = scale_of_one_clip(model.settings, model.scale)
    params, scale = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (model.params, scale))

    def function(*arrays: jax.Array) -> dict[str, jax.Array]:
        logits = forward(params, scale, *arrays)
        return {"logits": logits, "probabilities": jax.nn.softmax(logits / np.float32(model.temperature))}

    return function


def export_stablehlo(model: Model, out: str | os.PathLike[str], platforms: Sequence[str] = ("cpu",)) -> None:
    """Write the model as one function to `out`, and OUT.json.

    Args:
      model: its normalisation is inside; of a model that normalises by speaker, that of a clip by itself.
      out: file; not there yet.
      platforms: of PLATFORMS, what it is to run on; they need not be here.

    Raises:
      InputError: an unknown platform or none, a file that is there or cannot be written.
    """
    out = Path(out)
    for platform in platforms or ("none",):
        check_choice("--platforms", platform, PLATFORMS)
    (n,) = jax_export.symbolic_shape("n")
    wanted = given(model.settings)
    shapes = [jax.ShapeDtypeStruct((n, *shape), dtype) for dtype, shape in wanted.values()]
    made = jax_export.export(jax.jit(make_function(model)), platforms=list(dict.fromkeys(platforms)))(*shapes)
    content = bytes(made.serialize())
    classes = len(model.settings.emotions)
    inputs = {name: {"dtype": np.dtype(dtype).name, "shape": ["n", *shape]} for name, (dtype, shape) in wanted.items()}
    facts = _facts(STABLEHLO, model) | {
        "temperature": float(model.temperature),
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": inputs,
        "outputs": {name: {"dtype": "float32", "shape": ["n", classes]} for name in ("logits", "probabilities")},
        "platforms": list(made.platforms),
        "calling_convention_version": made.calling_convention_version,
        "versions": {name: version(name) for name in ("jax", "jaxlib")},
        "readable_by": _READABLE,
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    _write({out: content, out.with_name(out.name + ".json"): text.encode()})


def export_npz(model: Model, out: str | os.PathLike[str]) -> None:
    """Write the model's arrays to `out`, as numpy.savez does.

    They are lstm_1/kernel_input or voice/kernel ..., scale/mean, scale/std, temperature, and settings, which is JSON.

    Raises:
      InputError: a file that is there or cannot be written.
    """
    facts = json.dumps(_facts(NPZ, model), ensure_ascii=False)
    arrays = pack(dataclasses.replace(model, start=None, shape=None, labelled=None))
    arrays = {name.removeprefix("params/"): array for name, array in arrays.items()}
    others = {"temperature": np.float64(model.temperature), "settings": np.array(facts)}
    _write({Path(out): npz.npz_bytes(arrays | others)})


def _facts(format: str, model: Model) -> dict[str, Any]:
    return {
        "format": format,
        "format_version": FORMAT_VERSION,
        "metaser_jax": version(),
        "digest": digest(model),
        "emotions": list(model.settings.emotions),
        "settings": settings_json(model.settings),
        "features": FEATURES[model.settings.features],
        "encoder": model.encoder and model.encoder.digest,
        # Whose vectors are inside: neither clips nor sums of them are.
        "people": 0 if model.settings.vectors[0] else None,
    }


def _write(contents: dict[Path, bytes]) -> None:
    """Write all of the files, or none; none of them is there."""
    for file in contents:
        if file.exists():
            raise InputError(f"--out: {file} is there already. Give another name, or remove it.")
    try:
        with contextlib.ExitStack() as whole:
            for file, content in contents.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                whole.enter_context(replacing(file)).write_bytes(content)
    except OSError as error:
        raise InputError(f"--out: {error.filename} cannot be written: {error.strerror}.") from error
