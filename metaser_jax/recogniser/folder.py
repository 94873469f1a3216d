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

from metaser_jax import untrusted
from metaser_jax.audio import mfcc as features
from metaser_jax.audio import tracks
from metaser_jax.data.corpus import CLIPS, Corpus
from metaser_jax.errors import InputError
from metaser_jax.recogniser import arrays as npz
from metaser_jax.recogniser.mistaken import MODEL
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.model_files import ModelFiles
from metaser_jax.recogniser.provenance import check_about
from metaser_jax.recogniser.settings import check_learner, check_settings, check_temperature, digested, settings_json
from metaser_jax.recogniser.starts import located
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import STATISTICS, TRACKS
from metaser_jax.versions import version

FORMAT = "metaser_model"
FORMAT_VERSION = 2

ARRAYS, SUPPORT, CARD = "arrays.npz", "support.npz", "README.md"
# What a model was trained on, for readers that make their own features: librosa's defaults, see features.py; or
# statistics of tracks.py.
FEATURES: dict[str, dict[str, Any]] = {
    "mfcc": {
        "sample_rate": features.SAMPLE_RATE,
        "hop_length": features.HOP_LENGTH,
        "n_mfcc": features.N_MFCC,
        "max_frames": features.MAX_FRAMES,
        "n_fft": 2048,
        "n_mels": 128,
    },
    "voice": {
        "sample_rate": features.SAMPLE_RATE,
        "hop_length": tracks.HOP,
        "window_length": tracks.WINDOW,
        "tracks": list(TRACKS),
        "statistics": list(STATISTICS),
    },
}
_KEYS = {
    *("format", "format_version", "metaser_jax", "settings", "features", "temperature", "start", "support"),
    *("files", "digest", "about"),
}
_MAX_JSON = 2**24
_AGAIN = "Copy or download it again from where it came, or adapt again (metaser adapt)."


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
    """Read a model folder, a zip archive of one, or a start of the package by its name (starts.py); try it once.

    Raises:
      InputError: it is none, of a newer version, damaged, its arrays do not fit its settings, or its answer to a fixed
        input is not finite.
    """
    model, _ = read_model(folder)
    # Here: it imports jax, which who describes a model has no need of.
    from metaser_jax.recogniser.predictor import check_answers

    try:
        check_answers(model)
    except ValueError as error:
        raise InputError(f"{folder} is no model to use: {error}. {_AGAIN}") from error
    return model


def read_model(folder: str | os.PathLike[str]) -> tuple[Model, dict[str, Any]]:
    """Return a model and the content of model.json, without trying the model; raises InputError as load_model."""
    folder = located(folder)
    files = _opened(folder)
    facts = _read_json(folder, files)
    try:
        model = _read_model(files, facts)
    except OSError as error:
        raise InputError(f"{folder} is damaged: {error.filename}: {error.strerror}. {_AGAIN}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{MODEL} lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{folder} is damaged: {said}. {_AGAIN}") from error
    return model, facts


def digest(model: Model | str | os.PathLike[str]) -> str:
    """Return 16 hexadecimal digits of what a model predicts with: settings, parameters, scale and temperature.

    Args:
      model: or its folder.

    Raises:
      InputError: as load_model.
    """
    if not isinstance(model, Model):
        return read_model(model)[1]["digest"]
    settings = json.dumps([digested(model.settings), float(model.temperature)], sort_keys=True)
    sha = hashlib.sha256(settings.encode())
    for name, array in sorted(npz.pack(dataclasses.replace(model, start=None)).items()):
        sha.update(f"\0{name}\0".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:16]


def read_facts(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of model.json, after all was checked as read_model does. Raises InputError as load_model."""
    return read_model(folder)[1]


def hears_voice(folder: str | os.PathLike[str]) -> bool:
    """Return whether a model is given what is heard of the voice, by model.json alone, before the rest is read.

    Raises InputError as load_model: it is no model folder, or of a newer version.
    """
    settings = _read_json(located(folder)).get("settings")
    return isinstance(settings, Mapping) and settings.get("features") == "voice"


def zip_model(folder: str | os.PathLike[str]) -> bytes:
    """Return a zip archive of a model folder, to download; unpacked, it is the folder.

    Raises:
      InputError: as load_model.
    """
    place = located(folder).resolve()
    load_model(place)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as out:
        for name in (MODEL, ARRAYS, SUPPORT, CARD):
            if (place / name).is_file():
                out.write(place / name, f"{place.name}/{name}")
    return archive.getvalue()


def _contents(model: Model) -> dict[str, bytes]:
    """Return file -> content."""
    rates = model.start is not None and model.start.rates is not None
    checked = {ARRAYS: (npz.pack(model), npz.specs(model.settings, model.start is not None, rates))}
    if model.support is not None:
        of_support = npz.support_specs(model.settings, len(model.support))
        checked[SUPPORT] = (npz.pack_support(model.support, model.settings), of_support)
    contents = {}
    try:
        check_settings(settings_json(model.settings), FORMAT_VERSION)
        check_temperature(model.temperature)
        check_about(model.about)
        check_learner(model.start and model.start.learner)
        for name, (arrays, want) in checked.items():
            npz.check(arrays, want)
            file = io.BytesIO()
            npz.write_npz(file, arrays)
            contents[name] = file.getvalue()
        if model.support is not None:
            _check_support(model.support, model.settings)
    except ValueError as error:
        raise InputError(f"The model cannot be saved: {error}.") from error
    of_model = digest(model)
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "metaser_jax": version(),
        "digest": of_model,
        "settings": settings_json(model.settings),
        "features": FEATURES[model.settings.features],
        "temperature": float(model.temperature),
        "start": None if model.start is None else {"rates": rates, "learner": model.start.learner},
        "support": None if model.support is None else {"clips": len(model.support)},
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


def _opened(folder: Path) -> ModelFiles:
    try:
        return ModelFiles(folder)
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be read: {error.strerror}.") from error


def _read_json(folder: Path, files: ModelFiles | None = None) -> dict[str, Any]:
    """Return model.json, of this format and version; `files` are those of the folder, if they are open."""
    files = files or _opened(folder)
    try:
        facts = untrusted.parse_json(files.read(MODEL, _MAX_JSON))
        if not isinstance(facts, dict):
            raise ValueError(f"a JSON {type(facts).__name__}, expected an object")
    except OSError as error:
        raise InputError(f"{error.filename or folder / MODEL} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{folder} is damaged: {MODEL} is not as it was written ({error}). {_AGAIN}") from error
    got, number, made_by = facts.get("format"), facts.get("format_version"), facts.get("metaser_jax")
    if got != FORMAT:
        raise InputError(
            f"{folder} is a model of something else: {MODEL} has format {got!r}, expected {FORMAT!r}. Give a folder "
            "that metaser adapt wrote."
        )
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InputError(f"{folder} is damaged: {MODEL} has format_version {number!r}, expected a number. {_AGAIN}")
    if number > FORMAT_VERSION:
        raise InputError(
            f"{folder} is a model of format version {number}, written by metaser_jax {made_by}; this is metaser_jax "
            f"{version()}, which reads version {FORMAT_VERSION}. Install metaser_jax {made_by} or newer."
        )
    return facts


def _read_model(opened: ModelFiles, facts: Mapping[str, Any]) -> Model:
    """Raise OSError, ValueError, KeyError, TypeError or AttributeError where something is not as written."""
    unknown = sorted(facts.keys() - _KEYS)
    if unknown:
        raise ValueError(f"{MODEL} has {', '.join(unknown)}, which format version {FORMAT_VERSION} has not")
    settings = check_settings(facts["settings"], facts["format_version"])
    if facts["features"] != FEATURES[settings.features]:
        raise ValueError(f"{MODEL} has features {facts['features']}, expected {FEATURES[settings.features]}")
    check_temperature(facts["temperature"])
    start, rates = facts["start"] is not None, facts["start"] is not None and facts["start"]["rates"] is True
    arrays = _read_arrays(opened, ARRAYS, facts["files"], npz.specs(settings, start, rates))
    learner = check_learner((facts["start"] or {}).get("learner"))
    params, scale, begun = npz.unpack(arrays, start, rates, learner)
    support = None
    if facts["support"] is not None:
        clips = facts["support"]["clips"]
        of_support = npz.support_specs(settings, clips)
        arrays = _read_arrays(opened, SUPPORT, facts["files"], of_support)
        support = Corpus(CLIPS, "", emotions=settings.emotions, **arrays)
        _check_support(support, settings)
    check_about(facts["about"])
    model = Model(
        settings=settings,
        params=params,
        scale=scale,
        temperature=float(facts["temperature"]),
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
    opened: ModelFiles, name: str, files: Mapping[str, Any], want: Mapping[str, npz.Spec]
) -> dict[str, np.ndarray]:
    said = files[name]
    data = opened.read(name, npz.most_bytes(want))
    if len(data) != said["bytes"]:
        raise ValueError(f"{name} has {len(data):,} bytes, and was written with {said['bytes']:,}")
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise ValueError(f"{name} is not as it was written (sha256)")
    try:
        return npz.read_npz(data, want)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_support(support: Corpus, settings: ModelSpec) -> None:
    for name, values, least, most in (
        ("label", support.label, 0, len(settings.emotions) - 1),
        ("n_frames", support.n_frames, 1, features.MAX_FRAMES),
    ):
        if len(values) and not (least <= values.min() and values.max() <= most):
            raise ValueError(f"{SUPPORT}: {name} has numbers outside {least} to {most}")
