"""A model folder: Model -> model.json, arrays.npz, support.npz, README.md, and back. docs/model_folder.md describes it.

A folder is there completely or not at all: it is written beside its place and moved there at the end. What is read was
perhaps made by somebody else: nothing of it is executed or unpickled, and sizes are checked before anything is read.
"""

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metaser_jax import npz, untrusted
from metaser_jax.audio import encoder
from metaser_jax.audio.encoder import Encoder
from metaser_jax.audio.mfcc import MAX_FRAMES
from metaser_jax.data import together
from metaser_jax.data.corpus import CLIPS, Corpus
from metaser_jax.errors import InputError
from metaser_jax.extras import version
from metaser_jax.recogniser import arrays as packed
from metaser_jax.recogniser import model_files
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.recogniser.model_files import ARRAYS, CARD, FEATURES, MODEL, SUPPORT, ModelFolder


def save_model(folder: str | os.PathLike[str], model: Model) -> None:
    """Write a model folder, which is then there completely or, after an error, not at all.

    Args:
      folder: new or empty.
      model: arrays float32 (scale float64), NumPy's or jax's.

    Raises:
      InputError: the folder is not empty or cannot be written; arrays that do not fit the settings.
    """
    place = Path(folder).resolve()
    if place.is_file() or (place.is_dir() and any(place.iterdir())):
        what = "is a file" if place.is_file() else "is not empty"
        raise InputError(f"{folder} {what}, expected a new or an empty folder for the model.")
    contents = _contents(model)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        temporary.rename(place)  # replaces an empty folder, and no other
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Make room, or give another folder.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_model(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder, a zip archive of one, or a start of the package by its name.

    Raises:
      InputError: it is none, of a newer version, damaged, or its arrays do not fit its settings.
    """
    opened, facts = model_files.open_model(folder)
    with model_files.damage_told(folder):
        return _read(opened, facts)


def digest(model: Model | str | os.PathLike[str]) -> str:
    """Return 16 hexadecimal digits of what a model predicts with: settings, parameters, scale and temperature.

    Of a model with a shape or an encoder also of these, labelled clips, learner and support: versions 1 and 2 had none
    of the first, and their digests stay.

    Args:
      model: or its folder.

    Raises:
      InputError: as load_model.
    """
    if not isinstance(model, Model):
        return digest(load_model(model))
    said: list[Any] = [model_files.digested(model.settings), float(model.temperature)]
    arrays = packed.pack(dataclasses.replace(model, start=None))
    if model.shape is not None or model.encoder is not None:
        said += [model.encoder and model.encoder.digest, model.start and model.start.learner]
        arrays |= {f"support/{name}": array for name, array in _support_of(model).items()}
    sha = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        if array.dtype.kind == "U":  # as it is read again, and as wide
            array = np.array([untrusted.plain(text) for text in array.tolist()], str)
        sha.update(f"\0{name}\0".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:16]


def describe(model: Model) -> dict[str, Any]:
    """Return the content of a model's model.json, but for what is in its files of arrays."""
    start, support = model.start, model.support
    return {
        "format": model_files.FORMAT,
        "format_version": model_files.FORMAT_VERSION,
        "metaser_jax": version(),
        "digest": digest(model),
        "settings": model_files.settings_json(model.settings),
        "features": FEATURES[model.settings.features],
        "temperature": float(model.temperature),
        "start": None if start is None else _start_of(model, start),
        "together": model.shape is not None,
        "labelled": model.labelled is not None,
        "encoder": model.encoder and model.encoder.digest,
        "support": None if support is None else {"clips": len(support)},
        "files": {},
        "about": model.about,
    }


def _start_of(model: Model, start: Start) -> dict[str, Any]:
    same = packed.starts_as_it_is(model)
    return {"rates": start.rates is not None, "learner": start.learner, "same": same}


def _support_of(model: Model) -> dict[str, np.ndarray]:
    """Return the arrays of SUPPORT."""
    if model.support is None:
        return {}
    wanted = packed.support_specs(model.settings, len(model.support))
    return {name: np.asarray(getattr(model.support, name)) for name in wanted}


def _contents(model: Model) -> dict[str, bytes]:
    """Return file -> content."""
    facts, support = describe(model), model.support
    files = {ARRAYS: (packed.pack(model), packed.specs(model.settings, facts))}
    if support is not None:
        files[SUPPORT] = (_support_of(model), packed.support_specs(model.settings, len(support)))
    contents = {}
    try:
        model_files.check_content(facts)
        for name, (arrays, wanted) in files.items():
            npz.check(arrays, wanted, packed.POSITIVE)
            contents[name] = npz.npz_bytes(arrays)
            facts["files"][name] = _identity(contents[name])
        together.check(model.shape, model.labelled)
        if support is not None:
            _check_support(support)
    except ValueError as error:
        raise InputError(f"The model cannot be saved: {error}.") from error
    if model.encoder is not None:
        from metaser_jax.recogniser.encoder_files import files_of

        contents |= files_of(model.encoder)
    # Here: a model that is only read must be there quickly.
    from metaser_jax.recogniser.card import model_card

    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A clip's name may have bytes that are no UTF-8.
    texts = {CARD: model_card(facts), MODEL: text}
    return contents | {name: text.encode(errors="backslashreplace") for name, text in texts.items()}


def _identity(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read(folder: ModelFolder, facts: Mapping[str, Any]) -> Model:
    """Raise OSError, ValueError, KeyError, TypeError, AttributeError or OverflowError where it is not as written."""
    settings, start, clips = model_files.settings_of(facts), facts["start"], facts["support"]
    arrays = _read_arrays(folder, ARRAYS, facts["files"], packed.specs(settings, facts))
    support = None
    if clips is not None:
        wanted = packed.support_specs(settings, clips["clips"])
        columns: dict[str, Any] = _read_arrays(folder, SUPPORT, facts["files"], wanted)
        columns["vectors_of"] = facts["encoder"] or settings.embeddings_name
        support = Corpus(CLIPS, "", emotions=settings.emotions, **columns)
        _check_support(support)
    model = Model(
        settings=settings,
        temperature=float(facts["temperature"]),
        support=support,
        about=facts["about"],
        encoder=_read_encoder(folder, facts["encoder"]) if settings.features == "encoder" else None,
        **packed.unpack(arrays, start),
    )
    together.check(model.shape, model.labelled)
    if digest(model) != facts["digest"]:
        raise ValueError(f"{MODEL} has digest {facts['digest']!r}, but what it predicts with says {digest(model)}")
    return model


def _read_encoder(folder: ModelFolder, wanted: str) -> Encoder:
    """Return the encoder beside a model, or where there is none, as in the starts of the package, the one fetched."""
    if not (folder / encoder.FILE).is_file():
        return encoder.require_encoder(str(folder), wanted)
    data = model_files.read_file(folder, encoder.FILE, npz.most_bytes(encoder.SPECS))
    try:
        found = encoder.read_encoder(data)
    except ValueError as error:
        raise ValueError(f"{encoder.FILE}: {error}") from error
    if found.digest != wanted:
        raise ValueError(f"{encoder.FILE} has digest {found.digest}, and the model hears with {wanted}")
    return found


def _read_arrays(
    folder: ModelFolder, name: str, files: Mapping[str, Any], wanted: Mapping[str, npz.Spec]
) -> dict[str, np.ndarray]:
    data = model_files.read_file(folder, name, npz.most_bytes(wanted))
    for what, value in _identity(data).items():
        if files[name][what] != value:
            raise ValueError(f"{name} is not as it was written ({what}: {value}, and was {files[name][what]})")
    try:
        return npz.read_npz(data, wanted, packed.POSITIVE)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_support(support: Corpus) -> None:
    ranges = {"label": (0, len(support.emotions) - 1), "n_frames": (1, MAX_FRAMES)}
    for name, (least, most) in ranges.items():
        values = getattr(support, name)
        if len(values) and not (least <= values.min() and values.max() <= most):
            raise ValueError(f"{SUPPORT}: {name} has numbers outside {least} to {most}")
