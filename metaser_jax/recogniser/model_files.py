"""The files of a model, and the content of model.json, checked as it is read; docs/model_folder.md explains it.

A model is in a folder, in a zip archive of one, or a start of the package by its name. Nothing here imports jax: what
model.json says is known before anything is computed.
"""

import contextlib
import dataclasses
import io
import math
import os
import re
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from metaser_jax import untrusted
from metaser_jax.audio import mfcc, tracks
from metaser_jax.errors import InputError
from metaser_jax.extras import version
from metaser_jax.npz import check_names
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.voice import GROUPS, STATISTICS, TRACKS

MODEL = "model.json"
"""A folder is a model folder by this file."""

ARRAYS, SUPPORT, CARD = "arrays.npz", "support.npz", "README.md"
FORMAT = "metaser_model"
FORMAT_VERSION = 3
STARTS = Path(__file__).parents[1] / "starts"
AGAIN = "Copy or download it again from where it came, or adapt again (metaser adapt)."
_KEYS = {
    *("format", "format_version", "metaser_jax", "settings", "features", "temperature", "start", "support"),
    *("files", "digest", "about", "together", "labelled", "encoder"),
}
_SINCE_3 = MappingProxyType({"together": False, "labelled": False, "encoder": None})
# What makes a folder of the user's one that a start could be taken for: a model, or a run of training.
_OWN = (MODEL, "config.json")
_MAX_JSON = 2**24

ModelFolder = Path | zipfile.Path
# Settings that version 1 had not: what it always was.
SINCE_2 = MappingProxyType({"features": "mfcc", "track_groups": list(GROUPS), "network": "lstm", "members": 1})
# Settings that version 2 had not.
SINCE_3 = MappingProxyType({"embedding_dim": 0, "embeddings_name": ""})
# What a model was trained on, for readers that make their own features: librosa's defaults, or statistics of tracks.
_SOUND = {"sample_rate": mfcc.SAMPLE_RATE}
FEATURES: dict[str, dict[str, Any]] = {
    "mfcc": _SOUND
    | {"hop_length": mfcc.HOP_LENGTH, "n_mfcc": mfcc.N_MFCC, "max_frames": mfcc.MAX_FRAMES}
    | {"n_fft": 2048, "n_mels": 128},
    **dict.fromkeys(
        ("voice", "encoder", "embeddings"),
        _SOUND
        | {"hop_length": tracks.HOP, "window_length": tracks.WINDOW}
        | {"tracks": list(TRACKS), "statistics": list(STATISTICS)},
    ),
}


def start_names() -> tuple[str, ...]:
    """Return what the starts that come with the package are called."""
    return tuple(sorted(path.parent.name for path in STARTS.glob(f"*/{MODEL}")))


def locate(folder: str | os.PathLike[str]) -> Path:
    """Return the place of a folder that a user named: of a start's name, the start inside the package.

    Raises:
      InputError: a model or a run of that name is in the current directory, too.
    """
    name = os.fspath(folder)
    if name not in start_names():
        return Path(name)
    if any((Path(name) / file).is_file() for file in _OWN):
        raise InputError(
            f"{name} is a start that comes with metaser_jax, and a folder here. Give .{os.sep}{name} for the folder, "
            f"or {STARTS / name} for the start."
        )
    return STARTS / name


def open_model(folder: str | os.PathLike[str]) -> tuple[ModelFolder, dict[str, Any]]:
    """Return a model's folder, or that in a zip archive, and the content of model.json, which was checked.

    Raises:
      InputError: it is no model, is damaged, or of a newer version; a file of arrays is missing.
    """
    place = locate(folder)
    with damage_told(folder):
        if place.suffix == ".zip" and place.is_file():
            opened = _open_archive(place)
        elif (place / MODEL).exists():
            opened = place
        else:
            raise InputError(_what_is_there(place))
        try:
            facts = untrusted.parse_json(read_file(opened, MODEL, _MAX_JSON))
            got, number, made_by = (facts.get(key) for key in ("format", "format_version", "metaser_jax"))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{MODEL} is not as it was written ({error})") from error
        if got != FORMAT:
            raise InputError(f"{folder} is a model of something else: format {got!r}, expected {FORMAT!r}.")
        if type(number) is not int or number < 1:
            raise ValueError(f"{MODEL} has format_version {number!r}, expected a number")
        if number > FORMAT_VERSION:
            raise InputError(
                f"{folder} is a model of format version {number}; this metaser_jax, {version()}, reads version "
                f"{FORMAT_VERSION}. Install {made_by} or newer."
            )
        if number < 3:
            if new := sorted(facts.keys() & _SINCE_3.keys()):
                raise ValueError(f"{MODEL} has {', '.join(new)}, which format version {number} has not")
            facts = facts | _SINCE_3
        if unknown := sorted(facts.keys() - _KEYS):
            raise ValueError(f"{MODEL} has {', '.join(unknown)}, which format version {FORMAT_VERSION} has not")
        check_content(facts)
        for name in (ARRAYS, *([SUPPORT] if facts["support"] else [])):
            if not (opened / name).exists():
                raise FileNotFoundError(2, "No such file", name)
    return opened, facts


@contextlib.contextmanager
def damage_told(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Raise InputError for what a model's files raise that are not as they were written."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{folder} is damaged: {error.filename}: {error.strerror}. {AGAIN}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        said = f"{MODEL} lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{folder} is damaged: {said}. {AGAIN}") from error


def read_file(folder: ModelFolder, name: str, max_bytes: int) -> bytes:
    """Return the content of one file.

    Raises:
      OSError, or ValueError: it is larger, no regular file, or the archive is damaged.
    """
    if isinstance(folder, Path):
        return untrusted.read_bytes(folder / name, max_bytes)
    try:
        with (folder / name).open("rb") as file:
            data = file.read(max_bytes + 1)  # with a number, so that what is beyond stays packed
    except untrusted.BAD_ARCHIVE as error:
        raise ValueError(f"{name} cannot be unpacked ({error})") from error
    if len(data) > max_bytes:
        raise ValueError(f"{name} is larger than {max_bytes:,} bytes")
    return data


def settings_of_model(folder: str | os.PathLike[str]) -> ModelSpec:
    """Return the settings of a model, by model.json alone, before the rest is read; InputError as open_model."""
    return settings_of(open_model(folder)[1])


def _open_archive(path: Path) -> zipfile.Path:
    """Return the folder in an archive that has MODEL; in memory, so that nobody need close it."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(untrusted.read_bytes(path)))
        files = map(PurePosixPath, archive.namelist())
    except untrusted.BAD_ARCHIVE as error:
        raise InputError(f"{path} cannot be read as a zip archive of a model ({error}). Download it again.") from error
    folders = sorted({str(file.parent) for file in files if file.name == MODEL})
    if len(folders) != 1:
        what = f"has {len(folders)} models ({', '.join(folders[:5])})" if folders else f"has no {MODEL}"
        raise InputError(f"{path} {what}, expected a zip archive of one model folder, as metaser serve gives it.")
    return zipfile.Path(archive, "" if folders[0] == "." else f"{folders[0]}/")


def _what_is_there(folder: Path) -> str:
    """Return a message for the user, of a place that is no model."""
    said = "is not there"
    if folder.is_file():
        is_pytorch = folder.suffix in (".pt", ".pth")
        said = "is a checkpoint of PyTorch, of which metaser import-torch makes a model" if is_pytorch else "is a file"
    elif (folder / "config.json").is_file():
        said = f"is a training run, of which metaser adapt --init={folder} --support=CLIPS --out=MODEL makes a model"
    elif folder.is_dir():
        if inside := sorted(str(path.parent) for path in folder.glob(f"*/{MODEL}")):
            return f"{folder} is no model folder; {', '.join(inside)} is. Give that."
        here = sorted(path.name for path in folder.iterdir())
        said = f"is no model folder: {MODEL} is missing (there: {', '.join(here[:5]) or 'nothing'})"
    return f"{folder} {said}; expected a model folder, which metaser adapt writes."


def settings_json(settings: ModelSpec) -> dict[str, Any]:
    """Return the settings as in model.json."""
    values = dataclasses.asdict(settings)
    lists = {"emotions": list(settings.emotions), "track_groups": list(settings.track_groups)}
    return values | lists | {"trim_db": float(settings.trim_db)}


def digested(settings: ModelSpec) -> dict[str, Any]:
    """Return what of settings_json a digest is of: of a model as versions 1 and 2 had it, whose digests stay."""
    values = settings_json(settings)
    added = {"mfcc": {**SINCE_2, **SINCE_3}, "voice": SINCE_3}.get(settings.features, {})
    return {name: value for name, value in values.items() if name not in added}


def settings_of(facts: Mapping[str, Any]) -> ModelSpec:
    """Return the settings in the content of model.json, of any format version.

    Raises:
      ValueError, KeyError, TypeError or AttributeError: keys, types or values that a model does not have.
    """
    said, version = facts["settings"], facts["format_version"]
    added = {1: {**SINCE_2, **SINCE_3}, 2: SINCE_3}.get(version, {})
    fields = {field.name: type(field.default) for field in dataclasses.fields(ModelSpec)}
    check_names(said, fields.keys() - added.keys())
    said = {**said, **added}
    values = {}
    for name, kind in fields.items():
        value = said[name]
        if kind is tuple and isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            values[name] = tuple(value)
        elif kind is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is kind and kind is not tuple:
            values[name] = value
        else:
            expected = "a list of names" if kind is tuple else kind.__name__
            raise ValueError(f"{name} is {value!r}, expected {expected}")
    if values["normalise"] == "auto":
        raise ValueError("normalise is 'auto', expected what it was resolved to")
    try:
        return ModelSpec(**values)
    except InputError as error:
        raise ValueError(str(error).removeprefix("--")) from error


def check_content(facts: Mapping[str, Any]) -> None:
    """Raise ValueError, KeyError, TypeError or AttributeError unless settings, start and provenance are a model's."""
    features, temperature = FEATURES[settings_of(facts).features], facts["temperature"]
    if facts["features"] != features:
        raise ValueError(f"{MODEL} has features {facts['features']}, expected {features}")
    if isinstance(temperature, bool) or not 0 < float(temperature) < math.inf:
        raise ValueError(f"temperature is {temperature!r}, expected a positive number")
    for name in ("together", "labelled"):
        if type(facts[name]) is not bool:
            raise ValueError(f"{name} is {facts[name]!r}, expected true or false")
    if settings_of(facts).features == "mfcc" and (facts["together"] or facts["labelled"]):
        raise ValueError("together and labelled are true, expected false with features mfcc")
    heard, encoder = settings_of(facts).features == "encoder", facts["encoder"]
    if (type(encoder) is str) != heard or (heard and not re.fullmatch("[0-9a-f]{16}", encoder)):
        raise ValueError(f"encoder is {encoder!r}, expected 16 hexadecimal digits with features encoder, else null")
    _check_learner((facts["start"] or {}).get("learner"))
    _check_about(facts["about"])


def _check_learner(said: Any) -> None:
    if said is None:
        return
    check_names(said, ("settings", "numbers"))
    for name, number in said["numbers"].items():
        numbers = number if isinstance(number, list) else [number]
        if not numbers or any(type(one) not in (int, float) or not math.isfinite(one) for one in numbers):
            raise ValueError(f"start.learner has {name} = {number!r}, expected finite numbers")
    check_names(said["settings"], LEARNER_SETTINGS)
    for name, value in said["settings"].items():
        expected, fits = LEARNER_SETTINGS[name]
        if not fits(value):
            raise ValueError(f"start.learner has {name} = {value!r}, expected {expected}")


def _number(low: float, high: float, kind: type = float) -> tuple[str, Callable[[Any], bool]]:
    kinds = (int,) if kind is int else (int, float)
    said = f"{'a whole number' if kind is int else 'a number'}, {low:,} to {high:,}"
    return said, lambda value: type(value) in kinds and low <= value <= high


def _one_of(choices: Iterable[str]) -> tuple[str, Callable[[Any], bool]]:
    names = list(choices)
    return f"one of {', '.join(names)}", lambda value: value in names


LEARNER_SETTINGS: Mapping[str, tuple[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "algorithm": _one_of(ALGORITHMS),
        "order": _one_of(("first", "second")),
        "inner_steps": _number(1, 1000, int),
        "inner_lr": _number(0, 1000),
        "inner_optimizer": _one_of(("sgd", "momentum", "adam")),
        "prototype_scale": _number(0, 1e6),
    }
)
"""The settings of a meta-training that say how a start adapts: what is expected of each, and a test of it."""


ABOUT: dict[str, Any] = tomllib.loads(Path(__file__).with_name("about.toml").read_text(encoding="utf-8"))
"""Types of what a model's `about` may hold: its provenance, for people.

Any key may be missing or null, and further keys are kept; what is here has the type that is said here, so that the card
and the page can rely on it.
"""
_TYPES = {"text": str, "integer": int, "number": int | float}


def _check_about(about: Any) -> None:
    _check(about, ABOUT, "about")
    scored = about.get("cross_validation") or {}
    confusion, emotions, interval = (scored.get(key) for key in ("confusion", "emotions", "interval"))
    if confusion and emotions and {len(confusion), *map(len, confusion)} != {len(emotions)}:
        raise ValueError(f"about.cross_validation.confusion is {confusion!r}, expected a line and a column per emotion")
    if interval and len(interval) != 2:
        raise ValueError(f"about.cross_validation.interval is {interval!r}, expected [low, high]")


def _check(value: Any, expected: Any, where: str) -> None:
    """Raise ValueError unless the value is of the type that ABOUT says."""
    kind = {dict: Mapping, list: list | tuple}.get(type(expected)) or _TYPES[expected]
    if not isinstance(value, kind) or isinstance(value, bool) or (expected == "number" and not math.isfinite(value)):
        said = {dict: "an object", list: "a list"}.get(type(expected), expected)
        raise ValueError(f"{where} is {value!r}, expected {said}")
    if isinstance(expected, list):
        for number, item in enumerate(value):
            _check(item, expected[0], f"{where}[{number}]")
    elif isinstance(expected, dict):
        for key, item in value.items():
            of = expected.get(key, expected.get("*"))
            # null says no more than a key that is missing.
            if item is not None and of is not None:
                _check(item, of, f"{where}.{key}")
