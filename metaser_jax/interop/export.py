"""A model as a file for other programs: StableHLO by jax.export, or NumPy arrays.

StableHLO: f(mfcc [n, 120, 20] float32, n_frames [n] int32) -> {"logits": [n, class], "probabilities": [n, class]}, of a
model over the voice f(voice [n, 171] float32), for any n, parameters inside; beside it FILE.json says what it is.
NumPy: the arrays of `npz.pack` for one who writes the network himself (docs/model_folder.md has it in 30 lines).

Reference: jax's documentation, "Exporting and serializing staged-out computations" (docs.jax.dev).
"""

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from metaser_jax import untrusted
from metaser_jax.errors import InputError, check_choice
from metaser_jax.interop.exported import FORMAT_VERSION, FORMAT_VERSIONS, STABLEHLO, Function, beside
from metaser_jax.recogniser import arrays as npz
from metaser_jax.recogniser.folder import FEATURES, digest
from metaser_jax.recogniser.forward import GIVEN, make_forward, scale_of_one_clip
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import check_answers
from metaser_jax.recogniser.settings import check_settings, check_temperature, settings_json
from metaser_jax.versions import version

NPZ = "metaser_npz"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_READABLE = (
    "jax.export.deserialize of the jax that wrote it. jax guarantees that it also reads what was written by a jax up "
    "to 6 months older or 3 weeks newer than itself; later ones may refuse it: export the model folder again then, "
    "which has no such limit."
)


def make_function(model: Model) -> Function:
    """Return (what forward.GIVEN says, each [n, ...]) -> {"logits", "probabilities"}, to jit; parameters inside.

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
    _check_new(out, beside(out))
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
    _write({out: content, beside(out): (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()})


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


def load_npz(path: str | os.PathLike[str]) -> Model:
    """Return what export_npz wrote; start and support are None, about is empty.

    Raises:
      InputError: it is something else, of a newer version, or damaged.
    """
    try:
        data = untrusted.read_bytes(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        facts = untrusted.parse_json(str(npz.read_one(data, "settings", npz.Spec(None, ()))))
        if facts["format"] != NPZ:
            raise ValueError(f"its format is {facts['format']!r}, expected {NPZ!r}")
        if facts["format_version"] not in FORMAT_VERSIONS:
            raise ValueError(
                f"its format version is {facts['format_version']} (metaser_jax {facts['metaser_jax']}); metaser_jax "
                f"{version()} reads {FORMAT_VERSION}"
            )
        settings = check_settings(facts["settings"], facts["format_version"])
        want = {name.removeprefix("params/"): spec for name, spec in npz.specs(settings, False, False).items()}
        want |= {"temperature": npz.Spec(npz.DOUBLE, ()), "settings": npz.Spec(None, ())}
        arrays = npz.read_npz(data, want)
        temperature = float(arrays.pop("temperature"))
        check_temperature(temperature)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"settings lack {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path} is not as metaser export --to=npz writes it: {said}. Export it again.") from error
    del arrays["settings"]
    named = {name if name.startswith("scale/") else f"params/{name}": array for name, array in arrays.items()}
    params, scale, _ = npz.unpack(named, start=False, rates=False)
    none = {"start": None, "support": None, "about": {}}
    model = Model(settings=settings, params=params, scale=scale, temperature=temperature, **none)
    try:
        check_answers(model)
    except ValueError as error:
        raise InputError(f"{path} is no model to use: {error}. Export it again.") from error
    return model


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
