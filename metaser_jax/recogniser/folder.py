"""A model folder: Model -> model.json, arrays.npz, support.npz, README.md, and back. docs/model_folder.md describes it.

A folder is there completely or not at all: it is written beside its place and moved there at the end. What is read was
perhaps made by somebody else: nothing of it is executed or unpickled, and sizes are checked before anything is read.
"""

import dataclasses
import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metaser_jax.audio.mfcc import MAX_FRAMES
from metaser_jax.data.corpus import CLIPS, Corpus
from metaser_jax.errors import InputError
from metaser_jax.extras import version
from metaser_jax.recogniser import arrays as npz
from metaser_jax.recogniser import model_json
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.model_files import AGAIN, FORMAT, FORMAT_VERSION, MODEL, ModelFolder, open_model, read_file
from metaser_jax.recogniser.model_json import FEATURES

ARRAYS, SUPPORT, CARD = "arrays.npz", "support.npz", "README.md"
_KEYS = {
    *("format", "format_version", "metaser_jax", "settings", "features", "temperature", "start", "support"),
    *("files", "digest", "about"),
}


def save_model(folder: str | os.PathLike[str], model: Model) -> None:
    """Write a model folder, which is then there completely or, after an error, not at all.

    Args:
      folder: new or empty.
      model: arrays float32 (scale float64), NumPy's or jax's.

    Raises:
      InputError: the folder is not empty or cannot be written; arrays that do not fit the settings.
    """
    place = Path(folder).resolve()
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        what = "is not empty" if place.is_dir() else "is a file"
        raise InputError(f"{folder} {what}, expected a new or an empty folder for the model. Give another one.")
    contents = _contents(model)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        temporary.rename(place)  # replaces an empty folder, and no other
    except OSError as error:
        hint = " Remove what is there." if error.errno == errno.ENOTEMPTY else ""
        raise InputError(
            f"{folder} cannot be written: {error.strerror}; nothing is left of it.{hint} Make room, or give another "
            "folder."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_model(folder: str | os.PathLike[str]) -> Model:
    """Read a model folder, a zip archive of one, or a start of the package by its name.

    Raises:
      InputError: it is none, of a newer version, damaged, or its arrays do not fit its settings.
    """
    return read_model(folder)[0]


def read_model(folder: str | os.PathLike[str]) -> tuple[Model, dict[str, Any]]:
    """Return a model and the content of model.json; raises InputError as load_model."""
    opened, facts = open_model(folder)
    try:
        return _read(opened, facts), facts
    except OSError as error:
        raise InputError(f"{folder} is damaged: {error.filename}: {error.strerror}. {AGAIN}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        said = f"{MODEL} lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{folder} is damaged: {said}. {AGAIN}") from error


def digest(model: Model | str | os.PathLike[str]) -> str:
    """Return 16 hexadecimal digits of what a model predicts with: settings, parameters, scale and temperature.

    Args:
      model: or its folder.

    Raises:
      InputError: as load_model.
    """
    if not isinstance(model, Model):
        return read_model(model)[1]["digest"]
    settings = json.dumps([model_json.digested(model.settings), float(model.temperature)], sort_keys=True)
    sha = hashlib.sha256(settings.encode())
    for name, array in sorted(npz.pack(dataclasses.replace(model, start=None)).items()):
        sha.update(f"\0{name}\0".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:16]


def zip_model(folder: str | os.PathLike[str]) -> bytes:
    """Return a zip archive of a model folder, to download; unpacked, it is the folder."""
    place = Path(folder).resolve()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as out:
        for name in (MODEL, ARRAYS, SUPPORT, CARD):
            if (place / name).is_file():
                out.write(place / name, f"{place.name}/{name}")
    return archive.getvalue()


def _contents(model: Model) -> dict[str, bytes]:
    """Return file -> content."""
    start, support, settings = model.start, model.support, model.settings
    rates = start is not None and start.rates is not None
    files = {ARRAYS: (npz.pack(model), npz.specs(settings, start is not None, rates))}
    if support is not None:
        wanted = npz.support_specs(settings, len(support))
        files[SUPPORT] = ({name: np.asarray(getattr(support, name)) for name in wanted}, wanted)
    contents = {}
    try:
        model_json.check_settings(model_json.settings_json(settings), FORMAT_VERSION)
        model_json.check_temperature(model.temperature)
        model_json.check_about(model.about)
        model_json.check_learner(start and start.learner)
        for name, (arrays, wanted) in files.items():
            npz.check(arrays, wanted)
            file = io.BytesIO()
            npz.write_npz(file, arrays)
            contents[name] = file.getvalue()
        if support is not None:
            _check_support(support)
    except ValueError as error:
        raise InputError(f"The model cannot be saved: {error}.") from error
    of_model = digest(model)
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "metaser_jax": version(),
        "digest": of_model,
        "settings": model_json.settings_json(settings),
        "features": FEATURES[settings.features],
        "temperature": float(model.temperature),
        "start": None if start is None else {"rates": rates, "learner": start.learner},
        "support": None if support is None else {"clips": len(support)},
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        },
        "about": model.about,
    }
    # Here: what makes pages imports scikit-learn, and a model that is only read must be there quickly.
    from metaser_jax.recogniser.card import model_card

    card = model_card(model, of_model).encode(errors="backslashreplace")
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A clip's name may have bytes that are no UTF-8.
    return {**contents, CARD: card, MODEL: text.encode(errors="backslashreplace")}


def _read(folder: ModelFolder, facts: Mapping[str, Any]) -> Model:
    """Raise OSError, ValueError, KeyError, TypeError, AttributeError or OverflowError where it is not as written."""
    unknown = sorted(facts.keys() - _KEYS)
    if unknown:
        raise ValueError(f"{MODEL} has {', '.join(unknown)}, which format version {FORMAT_VERSION} has not")
    settings = model_json.check_settings(facts["settings"], facts["format_version"])
    if facts["features"] != FEATURES[settings.features]:
        raise ValueError(f"{MODEL} has features {facts['features']}, expected {FEATURES[settings.features]}")
    temperature = model_json.check_temperature(facts["temperature"])
    start, clips = facts["start"], facts["support"]
    learner = model_json.check_learner((start or {}).get("learner"))
    model_json.check_about(facts["about"])
    wanted = npz.specs(settings, start is not None, start is not None and start["rates"] is True)
    params, scale, begun = npz.unpack(_read_arrays(folder, ARRAYS, facts["files"], wanted), learner)
    support = None
    if clips is not None:
        arrays = _read_arrays(folder, SUPPORT, facts["files"], npz.support_specs(settings, clips["clips"]))
        support = Corpus(CLIPS, "", emotions=settings.emotions, **arrays)
        _check_support(support)
    model = Model(
        settings=settings,
        params=params,
        scale=scale,
        temperature=temperature,
        start=begun,
        support=support,
        about=facts["about"],
    )
    if digest(model) != facts["digest"]:
        raise ValueError(
            f"{MODEL} has digest {facts['digest']!r}, but what the folder predicts with has {digest(model)}"
        )
    return model


def _read_arrays(
    folder: ModelFolder, name: str, files: Mapping[str, Any], wanted: Mapping[str, npz.Spec]
) -> dict[str, np.ndarray]:
    said = files[name]
    data = read_file(folder, name, npz.most_bytes(wanted))
    if len(data) != said["bytes"]:
        raise ValueError(f"{name} has {len(data):,} bytes, and was written with {said['bytes']:,}")
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise ValueError(f"{name} is not as it was written (sha256)")
    try:
        return npz.read_npz(data, wanted)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_support(support: Corpus) -> None:
    for name, values, least, most in (
        ("label", support.label, 0, len(support.emotions) - 1),
        ("n_frames", support.n_frames, 1, MAX_FRAMES),
    ):
        if len(values) and not (least <= values.min() and values.max() <= most):
            raise ValueError(f"{SUPPORT}: {name} has numbers outside {least} to {most}")
