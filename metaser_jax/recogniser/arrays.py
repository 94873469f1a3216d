"""A model's arrays by name, as in arrays.npz and support.npz, and the safe reading of such files.

What is expected is known before anything is read: names, dtypes and shapes follow from the settings. Nothing is
unpickled, and members must be stored uncompressed, as numpy.savez writes them, so that a file is never larger in memory
than on disk.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from metaser_jax import untrusted
from metaser_jax.audio.mfcc import MAX_FRAMES
from metaser_jax.data.inputs import Scale
from metaser_jax.models.classifier import make_network
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.recogniser.model_files import check_names
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import STATISTICS
from metaser_jax.types import N_MFCC, Params

_FLOAT, _DOUBLE, _INTEGER = np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i4")
_SUFFIX = ".npy"
# Of an array in a file, besides its numbers: zip's headers and NumPy's.
_AROUND = 2**12
# Of a text, a file's path at most.
_MOST_CHARACTERS = 2**12
# However many clips the settings say.
_MAX_BYTES = 2**30


class Spec(NamedTuple):
    """A type of an array. Attributes: dtype, None for text of any length (<U...); shape."""

    dtype: np.dtype | None
    shape: tuple[int, ...]

    def __str__(self) -> str:
        name = "text" if self.dtype is None else self.dtype.name if self.dtype.isnative else self.dtype.str
        return f"{name}[{', '.join(map(str, self.shape))}]"


def specs(settings: ModelSpec, start: Mapping[str, Any] | None) -> dict[str, Spec]:
    """Return what arrays.npz holds: params/*, scale/*, and where there are some start/* and rates/*.

    Args: start: as in model.json, {"rates": bool}; None where it is not known.
    """
    x = jax.ShapeDtypeStruct((1, settings.rows, settings.coefs), np.float32)
    params: Any = jax.eval_shape(lambda x: make_network(settings).init(jax.random.key(0), x), x)
    prefixes = ["params"] + ([] if start is None else ["start", "rates"] if start["rates"] is True else ["start"])
    leaves: dict[str, Any] = flatten_dict(dict.fromkeys(prefixes, params["params"]), sep="/")
    found = {name: Spec(_FLOAT, leaf.shape) for name, leaf in leaves.items()}
    if settings.normalise in ("corpus", "speaker"):
        found |= {f"scale/{name}": Spec(_DOUBLE, (settings.coefs,)) for name in Scale._fields}
    return found


def support_specs(settings: ModelSpec, clips: int) -> dict[str, Spec]:
    """Return what support.npz holds."""
    found = {"mfcc": Spec(_FLOAT, (clips, MAX_FRAMES, N_MFCC)), "seconds": Spec(_FLOAT, (clips,))}
    found |= dict.fromkeys(("n_frames", "label"), Spec(_INTEGER, (clips,)))
    found |= dict.fromkeys(("speaker", "file", "sha256"), Spec(None, (clips,)))
    if settings.of_voice:
        found["voice"] = Spec(_FLOAT, (clips, len(STATISTICS)))
    return found | ({"vectors": Spec(_FLOAT, (clips, *settings.vectors))} if settings.vectors[0] else {})


def pack(model: Model) -> dict[str, np.ndarray]:
    """Return the content of arrays.npz."""
    trees: dict[str, Any] = {"params": model.params["params"]}
    if model.scale is not None:
        trees["scale"] = model.scale._asdict()
    if model.start is not None:
        trees["start"] = model.start.params["params"]
        if model.start.rates is not None:
            trees["rates"] = model.start.rates["params"]
    return {name: np.asarray(array) for name, array in flatten_dict(trees, sep="/").items()}


def unpack(
    arrays: Mapping[str, np.ndarray], learner: Mapping[str, Any] | None = None
) -> tuple[Params, Scale | None, Start | None]:
    """Return `pack` undone: parameters, scale, start, which has this learner."""
    trees = unflatten_dict(dict(arrays), sep="/")
    scale = Scale(**trees["scale"]) if "scale" in trees else None
    rates = {"params": trees["rates"]} if "rates" in trees else None
    start = Start({"params": trees["start"]}, rates, learner) if "start" in trees else None
    return {"params": trees["params"]}, scale, start


def check(arrays: Mapping[str, np.ndarray], want: Mapping[str, Spec]) -> None:
    """Raise ValueError unless these are the arrays that are wanted, all their numbers finite."""
    check_names(arrays, want)
    for name, array in arrays.items():
        dtype, shape = want[name]
        if array.shape != shape or (array.dtype.kind != "U" if dtype is None else array.dtype != dtype):
            raise ValueError(f"{name} is {Spec(array.dtype, array.shape)}, expected {want[name]}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
        # What is divided by, in float32. A network's outputs are bounded, and may hide it.
        if name == "scale/std" and not (array.astype(np.float32) > 0).all():
            raise ValueError(f"{name} has numbers that are not positive")


def most_bytes(want: Mapping[str, Spec]) -> int:
    """Return what a file of these arrays takes at most."""
    text = np.dtype(("U", _MOST_CHARACTERS))
    needed = ((text if dtype is None else dtype).itemsize * math.prod(shape) for dtype, shape in want.values())
    return min(_MAX_BYTES, sum(needed) + _AROUND * len(want))


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a file as numpy.savez makes it, but the same each time, never pickled, with any names ("file" is one)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in sorted(arrays.items()):
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return file.getvalue()


def read_npz(data: bytes, want: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file, if they are those that are wanted.

    Args:
      data: the file.
      want: name -> what it must be.

    Raises:
      ValueError: anything else; the message says what.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
        names = [info.filename.removesuffix(_SUFFIX) for info in infos]
        check_names(names, want)
        if len(names) != len(want):
            raise ValueError("it has two arrays of the same name")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise ValueError("it is compressed, expected it as numpy.savez stores it")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in want}
        for name, array in arrays.items():
            if array.dtype.kind == "U":  # a code point that is none is a ValueError
                texts = [untrusted.plain(text) for text in array.ravel().tolist()]
                arrays[name] = np.array(texts, str).reshape(array.shape)
    except ValueError:
        raise
    # What zipfile raises of damage; and NumPy parses headers as Python's: of brackets in brackets it has enough.
    except Exception as error:
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from error
    check(arrays, want)
    return arrays
