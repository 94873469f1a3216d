"""A model's arrays by name, as in arrays.npz and support.npz, and the safe reading of such files.

What is expected is known before anything is read: names, dtypes and shapes follow from the settings. Nothing is
unpickled, and members must be stored uncompressed, as numpy.savez writes them, so that a file is never larger in memory
than on disk.
"""

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from metaser_jax import untrusted
from metaser_jax.audio.mfcc import MAX_FRAMES
from metaser_jax.data.corpus import Corpus
from metaser_jax.data.normalise import Scale
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.network import THRESHOLDS
from metaser_jax.specs.voice import STATISTICS
from metaser_jax.types import N_MFCC, Params

FLOAT, DOUBLE, INTEGER = np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i4")
_SUFFIX = ".npy"
# Damaged, encrypted, or a method of compression that Python has not.
_UNREADABLE = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError)
# Of an array in a file, besides its numbers: zip's headers and NumPy's.
_AROUND = 2**12
# Of a text, a file's path at most.
_MOST_CHARACTERS = 2**12
# However many clips the settings say.
_MAX_BYTES = 2**30


class Spec(NamedTuple):
    """What an array must be. Attributes: dtype, None for text of any length (<U...); shape."""

    dtype: np.dtype | None
    shape: tuple[int, ...]

    def fits(self, dtype: np.dtype, shape: tuple[int, ...]) -> bool:
        """Return whether an array of this dtype and shape is what is expected."""
        return shape == self.shape and (dtype.kind == "U" if self.dtype is None else dtype == self.dtype)

    def __str__(self) -> str:
        return _describe("text" if self.dtype is None else self.dtype.name, self.shape)


def params_specs(settings: ModelSpec) -> dict[str, Spec]:
    """Return the parameters of the network: "lstm_1/kernel_input" and so on, as make_network's names them."""
    h, coefs, classes, m = settings.hidden_dim, settings.coefs, len(settings.emotions), settings.members
    if settings.network == "perceptron":
        shapes = {
            "voice/kernel": (m, coefs, h),
            "voice/bias": (m, h),
            "output/kernel": (m, h, classes),
            "output/bias": (m, classes),
        }
        return {name: Spec(FLOAT, shape) for name, shape in shapes.items()}
    pooled = h * (2 if settings.pooling == "mean_std" else 1)
    statistics = coefs + len(THRESHOLDS) * N_MFCC if settings.input_statistics else 0
    shapes = {
        "lstm_1/kernel_input": (coefs, 4 * h),
        "lstm_1/kernel_recurrent": (h, 4 * h),
        "lstm_1/bias": (4 * h,),
        "lstm_2/kernel_input": (h, 4 * h),
        "lstm_2/kernel_recurrent": (h, 4 * h),
        "lstm_2/bias": (4 * h,),
        "hidden/kernel": (pooled, h),
        "hidden/bias": (h,),
        "output/kernel": (h + statistics, classes),
        "output/bias": (classes,),
    }
    if settings.input_statistics:
        shapes |= {"standardise/shift": (statistics,), "standardise/scale": (statistics,)}
    return {name: Spec(FLOAT, shape) for name, shape in shapes.items()}


def specs(settings: ModelSpec, start: bool, rates: bool) -> dict[str, Spec]:
    """Return what arrays.npz holds: params/*, scale/*, and where there are some start/* and rates/*."""
    of_params = params_specs(settings)
    prefixes = ["params", *(["start"] if start else []), *(["rates"] if rates else [])]
    found = {f"{prefix}/{name}": spec for prefix in prefixes for name, spec in of_params.items()}
    if has_scale(settings):
        found |= {f"scale/{name}": Spec(DOUBLE, (settings.coefs,)) for name in Scale._fields}
    return found


def has_scale(settings: ModelSpec) -> bool:
    """Return whether a model of these settings has statistics that features are normalised by."""
    return settings.normalise in ("corpus", "speaker")


def support_specs(settings: ModelSpec, clips: int) -> dict[str, Spec]:
    """Return what support.npz holds."""
    voice = {"voice": Spec(FLOAT, (clips, len(STATISTICS)))} if settings.features == "voice" else {}
    return voice | {
        "mfcc": Spec(FLOAT, (clips, MAX_FRAMES, N_MFCC)),
        "n_frames": Spec(INTEGER, (clips,)),
        "label": Spec(INTEGER, (clips,)),
        "speaker": Spec(None, (clips,)),
        "file": Spec(None, (clips,)),
        "sha256": Spec(None, (clips,)),
        "seconds": Spec(FLOAT, (clips,)),
    }


def flat(params: Params, prefix: str) -> dict[str, np.ndarray]:
    """Return parameters by name: {"params": {"lstm_1": ...}} -> "PREFIX/lstm_1/..."."""

    def below(tree: Any, path: str) -> Iterator[tuple[str, np.ndarray]]:
        for name, value in tree.items():
            if isinstance(value, Mapping):
                yield from below(value, f"{path}/{name}")
            else:
                yield f"{path}/{name}", np.asarray(value)

    return dict(below(params["params"], prefix))


def nested(arrays: Mapping[str, np.ndarray], prefix: str) -> Params:
    """Return `flat` undone, for the arrays of this prefix."""
    params: dict[str, Any] = {}
    for name, array in arrays.items():
        if name.startswith(f"{prefix}/"):
            *layers, last = name.removeprefix(f"{prefix}/").split("/")
            layer = params
            for one in layers:
                layer = layer.setdefault(one, {})
            layer[last] = array
    return {"params": params}


def pack(model: Model) -> dict[str, np.ndarray]:
    """Return the content of arrays.npz."""
    arrays = flat(model.params, "params")
    if model.scale is not None:
        arrays |= {f"scale/{name}": np.asarray(a) for name, a in model.scale._asdict().items()}
    if model.start is not None:
        arrays |= flat(model.start.params, "start")
        if model.start.rates is not None:
            arrays |= flat(model.start.rates, "rates")
    return arrays


def unpack(
    arrays: Mapping[str, np.ndarray], start: bool, rates: bool, learner: Mapping[str, Any] | None = None
) -> tuple[Params, Scale | None, Start | None]:
    """Return `pack` undone: parameters, scale, start."""
    scale = Scale(*(arrays[f"scale/{name}"] for name in Scale._fields)) if "scale/mean" in arrays else None
    begun = Start(nested(arrays, "start"), nested(arrays, "rates") if rates else None, learner) if start else None
    return nested(arrays, "params"), scale, begun


def pack_support(support: Corpus, settings: ModelSpec) -> dict[str, np.ndarray]:
    """Return the content of support.npz."""
    arrays = {name: getattr(support, name) for name in support_specs(settings, 0)}
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def check(arrays: Mapping[str, np.ndarray], want: Mapping[str, Spec]) -> None:
    """Raise ValueError unless these are the arrays that are wanted, all their numbers finite."""
    check_names(arrays, want)
    for name, array in arrays.items():
        check_one(name, array.dtype, array.shape, want[name])
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
        # What is divided by, in float32. A network's outputs are bounded, and may hide it.
        if name == "scale/std" and not (array.astype(np.float32) > 0).all():
            raise ValueError(f"{name} has numbers that are not positive")


def check_names(got: Mapping[str, object], want: Mapping[str, object]) -> None:
    """Raise ValueError that names arrays that lack, or are too many."""
    for names, what in ((want.keys() - got.keys(), "lacks"), (got.keys() - want.keys(), "has, and should not have,")):
        if names:
            raise ValueError(f"it {what} {', '.join(sorted(names))}")


def most_bytes(want: Mapping[str, Spec]) -> int:
    """Return what a file of these arrays takes at most."""
    sizes = (4 * _MOST_CHARACTERS if spec.dtype is None else spec.dtype.itemsize for spec in want.values())
    numbers = (math.prod(spec.shape) for spec in want.values())
    return min(_MAX_BYTES, sum(size * n + _AROUND for size, n in zip(sizes, numbers, strict=True)))


def check_one(name: str, dtype: np.dtype, shape: tuple[int, ...], want: Spec) -> None:
    """Raise ValueError unless an array is as wanted."""
    if not want.fits(dtype, shape):
        raise ValueError(f"{name} is {_describe(dtype.name if dtype.isnative else dtype.str, shape)}, expected {want}")


def write_npz(file: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write as numpy.savez does, but the same bytes each time, never pickled, and with any names ("file" is one)."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in sorted(arrays.items()):
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


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
            members = {info.filename.removesuffix(_SUFFIX): info for info in archive.infolist()}
            if len(members) != len(archive.infolist()):
                raise ValueError("it has two arrays of the same name")
            check_names(members, want)
            arrays = {name: _read_member(archive, members[name], name, want[name]) for name in want}
    except _UNREADABLE as error:
        raise ValueError(f"it cannot be read ({error})") from error
    check(arrays, want)
    return arrays


def read_one(data: bytes, name: str, want: Spec) -> np.ndarray:
    """Return one array of an npz file, which may have others. Raises ValueError as read_npz."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_member(archive, archive.getinfo(name + _SUFFIX), name, want)
    except KeyError as error:
        raise ValueError(f"it lacks {name}") from error
    except _UNREADABLE as error:
        raise ValueError(f"it cannot be read ({error})") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, want: Spec) -> np.ndarray:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, expected it as numpy.savez stores it")
    with archive.open(info) as member:
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(np.lib.format.read_magic(member))
        if read_header is None:
            raise ValueError(f"{name} is in a version of the npy format other than 1.0 and 2.0")
        try:
            shape, fortran_order, dtype = read_header(member)
        except Exception as error:  # it is parsed as Python's: of brackets in brackets the parser has enough
            raise ValueError(f"{name} has a header that is none ({type(error).__name__})") from error
        check_one(name, dtype, shape, want)
        content = member.read()
    if len(content) != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError(f"{name} has {len(content):,} bytes, which are not those of {want}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C").copy()
    if dtype.kind == "U":  # a code point that is none is a ValueError
        return np.array([untrusted.plain(text) for text in array.ravel().tolist()], str).reshape(shape)
    return array


def _describe(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"
