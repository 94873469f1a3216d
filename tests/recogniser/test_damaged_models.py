"""Folders that are no model, or not as they were written: an error that says what is there and what to do."""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_model

from metaser_jax import InputError
from metaser_jax.npz import npz_bytes
from metaser_jax.recogniser.folder import digest, load_model, save_model
from metaser_jax.recogniser.predictor import Predictor

LEARNER = {"algorithm": "maml", "order": "second", "inner_steps": 1, "inner_lr": 0.1}
LEARNER |= {"inner_optimizer": "sgd", "prototype_scale": 1.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    save_model(folder, fake_model())
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


GONE = object()


def change(folder, edit):
    """model.json, edited."""
    facts = json.loads((folder / "model.json").read_text())
    edit(facts)
    (folder / "model.json").write_text(json.dumps(facts))


def put(folder, name, content):
    """A file as somebody would make it who knows the format: with its own size and sha256 in model.json."""
    (folder / name).write_bytes(content)
    said = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change(folder, lambda facts: facts["files"].update({name: said}))


def arrays_of(folder, name="arrays.npz"):
    with np.load(folder / name) as arrays:
        return dict(arrays)


def refused(folder, said):
    with pytest.raises(InputError, match=said) as error:
        load_model(folder)
    assert "model" in str(error.value)


def test_what_is_no_model_folder(tmp_path):
    refused(tmp_path / "model", "is not there")
    (tmp_path / "empty_model").mkdir()
    refused(tmp_path / "empty_model", "there: nothing")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    refused(run, "metaser adapt --init=.*run")
    for name, said in {"m.zip": "zip archive", "m.pt": "metaser import-torch", "m.wav": "is a file"}.items():
        (tmp_path / name).touch()
        refused(tmp_path / name, said)


def test_places_that_cannot_be_read(folder, monkeypatch):
    refused(folder / ("m" * 300), "File name too long")
    really = os.open
    for name in ("model.json", "arrays.npz"):

        def refuse(path, *args, name=name, **kwargs):
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return really(path, *args, **kwargs)

        monkeypatch.setattr(os, "open", refuse)
        refused(folder, f"{name}.*Permission denied")


def test_a_half_copied_folder(folder):
    refused(folder.parent, "model is. Give that")
    (folder / "README.md").unlink()
    load_model(folder)  # the card is for people alone
    (folder / "support.npz").unlink()
    refused(folder, "damaged: .*support.npz")
    (folder / "model.json").unlink()
    refused(folder, r"there: arrays.npz\)")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\xff", b"[1]", b'{"format": ', b"[" * 100_000])
def test_model_json_that_is_none(folder, content):
    (folder / "model.json").write_bytes(content)
    refused(folder, "damaged: model.json")


def test_a_model_of_something_else_or_of_later(folder):
    change(folder, lambda facts: facts.update(format_version=4, metaser_jax="7.8.9", new="?"))
    refused(folder, r"version 4; .*, reads version 3. Install 7.8.9")
    change(folder, lambda facts: facts.update(format="keras"))
    refused(folder, "'keras', expected 'metaser_model'")


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        *(("format_version", number, "format_version") for number in (0, "1", None, True, 1.5)),
        ("format_version", 1, "encoder, labelled, together, which format version 1 has not"),
        ("gain", 2, "gain"),
        *(("temperature", GONE, "temperature"), ("temperature", -1, "temperature is -1")),
        *(("settings", 3, ""), ("files", [], ""), ("settings.dropout", 0.5, "dropout")),
        *(("settings.pooling", GONE, "lacks pooling"), ("settings.pooling", "max", "pooling: got 'max'")),
        *(("settings.normalise", "auto", "normalise is 'auto'"), ("settings.normalise", ["corpus"], "normalise")),
        *(("settings.hidden_dim", value, "") for value in (True, 0, 10**18)),
        ("settings.hidden_dim", 10**9, "arrays.npz"),
        *(
            ("settings.trim_db", value, said)
            for value, said in ((1e999, "trim_db"), (10**400, "401"), (20.0, "digest"))
        ),
        *(("settings.emotions", value, "emotions") for value in (["angry", "angry"], "angry")),
        ("features.n_mfcc", 13, "features"),
        *(("settings.features", value, "features") for value in (GONE, "tracks", ["mfcc"])),
        *(("settings.features", "voice", ""), ("settings.network", "perceptron", "network")),
        *(("settings.members", True, "members is True"), ("settings.members", 2, "members: got 2")),
        *(("settings.track_groups", value, "track_groups") for value in ("pitch", [["pitch"]], ["sighs"])),
        *(("about", "mine", "about is 'mine'"), ("about.warnings", "none", "about.warnings is 'none'")),
        ("about.cross_validation.confusion", [[1]], "confusion"),
        ("about.cross_validation.interval", [1], "interval"),
        ("support.clips", 7, "support.npz: .*8.*, expected .*7"),
        *(("support.clips", 10**18, "support.npz: "), ("support.clips", 10**30, "31 digits")),
        ("start", None, "rates/hidden/bias"),
        ("start.learner", {"settings": LEARNER | {"algorithm": "magic"}, "numbers": {}}, "'magic'"),
        ("start.learner", {"settings": LEARNER | {"inner_steps": 1001}, "numbers": {}}, "inner_steps = 1001, .* 1,000"),
        ("start.learner", {"settings": {"algorithm": "maml"}, "numbers": {}}, "lacks inner_lr"),
        ("start.learner", {"settings": LEARNER, "numbers": {"lr": [float("nan")]}}, "lr"),
        *((name, 1, f"{name} is 1, expected true") for name in ("together", "labelled")),
        ("together", True, "features mfcc"),
        ("encoder", "0" * 16, "encoder is '0000.*, expected"),
        ("files.arrays.bytes", 3, "arrays.npz .*bytes"),
    ],
)
def test_model_json_that_was_changed(folder, at, value, said):
    def edit(facts):
        *path, last = at.replace("files.arrays", "files.arrays_npz").split(".")
        for key in path:
            facts = facts[key.replace("_npz", ".npz")]
        facts.pop(last) if value is GONE else facts.update({last: value})

    change(folder, edit)
    refused(folder, f"damaged: .*{said}")


@pytest.mark.parametrize("name", ["arrays.npz", "support.npz"])
def test_a_flipped_bit(folder, name):
    change(folder, lambda facts: facts["about"].update(colour="green", init=None))
    assert load_model(folder).about["colour"] == "green", "what is not known is kept"
    content = bytearray((folder / name).read_bytes())
    content[100] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, f"damaged: {name} .*sha256")


BIAS = "params/output/bias"


@pytest.mark.parametrize(
    ("features", "name", "edit", "said"),
    [
        ("mfcc", "arrays.npz", lambda a: a.pop(BIAS), f"lacks {BIAS}"),
        ("mfcc", "arrays.npz", lambda a: a.update(extra=np.zeros(3)), "extra"),
        ("mfcc", "arrays.npz", lambda a: a.update({BIAS: a[BIAS][:, None]}), r"\[4, 1\], expected float32\[4\]"),
        ("mfcc", "arrays.npz", lambda a: a.update({BIAS: np.zeros(4, ">f4")}), ">f4"),
        ("mfcc", "arrays.npz", lambda a: a[BIAS].put(2, np.inf), f"{BIAS} .*not finite"),
        ("mfcc", "arrays.npz", lambda a: a[BIAS].put(2, 1), "digest"),
        ("mfcc", "support.npz", lambda a: a["label"].put(0, 4), "label .* 0 to 3"),
        ("mfcc", "support.npz", lambda a: a["n_frames"].put(0, 0), "n_frames .* 1 to 120"),
        ("mfcc", "support.npz", lambda a: a["mfcc"].put(0, np.nan), "mfcc .*not finite"),
        ("mfcc", "support.npz", lambda a: a.update(file=a["label"]), "file is int32"),
        ("voice", "arrays.npz", lambda a: a.update({"scale/std": np.ones(20)}), r"scale/std is float64\[20\]"),
        ("voice", "arrays.npz", lambda a: a.pop("shape/mean"), "lacks shape/mean"),
        ("voice", "arrays.npz", lambda a: a["shape/whitener"].put(0, np.nan), "shape/whitener .*not finite"),
        ("voice", "arrays.npz", lambda a: a["shape/whitener"].put(0, 3), "shape/whitener .*outside -1.84 to 1.84"),
        ("voice", "arrays.npz", lambda a: a["shape/variance"].put(0, -1), "shape/variance .*outside 0 to 25"),
        ("voice", "arrays.npz", lambda a: a["shape/mean"].put(0, 11), "shape/mean .*outside -10 to 10"),
        ("voice", "arrays.npz", lambda a: a["shape/mean"].put(0, 1), "digest"),
        ("voice", "arrays.npz", lambda a: a["labelled/count"].put(0, -1), "labelled/count .*outside 0"),
        ("voice", "arrays.npz", lambda a: a["labelled/total"].put(0, 99), "labelled/total .*outside -5 to 5"),
        ("voice", "support.npz", lambda a: a["voice"].put(0, 9), "digest"),
        ("encoder", "support.npz", lambda a: a.pop("vectors"), "lacks vectors"),
        ("voice", "support.npz", lambda a: a.pop("voice"), "lacks voice"),
        ("voice", "support.npz", lambda a: a.update(voice=a["voice"][:, :9]), r"voice is float32\[8, 9\]"),
    ],
)
def test_other_arrays_than_there_can_be(tmp_path, features, name, edit, said):
    save_model(tmp_path / "model", fake_model(features=features))
    arrays = arrays_of(tmp_path / "model", name)
    edit(arrays)
    put(tmp_path / "model", name, npz_bytes(arrays))
    refused(tmp_path / "model", said)


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("lstm_1/bias", lambda a: a[:-1], r"lstm_1/bias is float16\[1023\]"),
        ("lstm_1/bias", lambda a: np.full_like(a, np.inf), "lstm_1/bias .*not finite"),
        ("lstm_2/input/scale", lambda a: 0 * a, "lstm_2/input/scale"),
        ("linear/bias", lambda a: a + 1, "encoder.npz has digest [0-9a-f]{16}, and the model hears with"),
    ],
)
def test_an_encoder_that_is_another(tmp_path, name, edit, said):
    save_model(tmp_path / "model", fake_model(features="encoder"))
    arrays = arrays_of(tmp_path / "model", "encoder.npz")
    (tmp_path / "model" / "encoder.npz").write_bytes(npz_bytes(arrays | {name: edit(arrays[name])}))
    refused(tmp_path / "model", f"encoder.npz.*{said}" if "encoder.npz" not in said else said)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_is_unpickled(folder, capsys):
    arrays = arrays_of(folder)
    arrays[BIAS] = np.array([Evil()] * 4, object)
    file = io.BytesIO()
    np.savez(file, **arrays)
    put(folder, "arrays.npz", file.getvalue())
    refused(folder, "arrays.npz: .*allow_pickle")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("shape", ["(1099511627776,)", "(" * 4500 + ")" * 4500, "-" * 9000 + "1", "'", "(1,\n  2"])
def test_headers_that_are_none(folder, shape):
    """NumPy parses them as Python's; the first asks for four terabytes."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(2**10)
    arrays = npz_bytes({name: array for name, array in arrays_of(folder).items() if name != BIAS})
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO(arrays)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(f"{BIAS}.npy", data, method)
        put(folder, "arrays.npz", file.getvalue())
        refused(folder, "arrays.npz: ")


@pytest.mark.parametrize(("name", "what"), [("model.json", "fifo"), ("arrays.npz", "zero"), ("support.npz", "sparse")])
def test_files_that_would_never_end_or_fill_the_memory(folder, name, what):
    path = folder / name
    path.unlink()
    if what == "fifo":
        os.mkfifo(path)
    elif what == "zero":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(6 * 2**30)
    refused(folder, rf"{name}.*: (6,442,450,944 bytes|no regular file)")


@pytest.mark.parametrize("features", ["mfcc", "voice"])
@pytest.mark.parametrize("of", ["model", "start"])
def test_finite_arrays_that_make_no_finite_answers(tmp_path, features, of):
    model = fake_model(features=features)
    huge = jax.tree.map(lambda a: np.full_like(a, 3e38), model.params)
    changes = {"params": huge} if of == "model" else {"start": model.start._replace(params=huge)}
    save_model(tmp_path / "model", dataclasses.replace(model, **changes))
    with pytest.raises(InputError, match=f"model.*the {of}'s answer is not finite"):
        Predictor.load(tmp_path / "model")


@pytest.mark.parametrize("std", [0.0, -1.0, 1e-300])
def test_a_deviation_that_is_none(tmp_path, std):
    model = fake_model(features="voice")
    model.scale.std[3] = std
    with pytest.raises(InputError, match="scale/std"):
        save_model(tmp_path / "model", model)


@pytest.mark.parametrize("features", ["mfcc", "voice"])
def test_what_a_terminal_would_obey_and_utf_8_lacks(tmp_path, features):
    """Escape sequences and halves of surrogate pairs, which names of files may have."""
    model = fake_model(features=features)
    model.support.file[:] = model.support.file.astype("<U40")
    model.support.file[0] = "\x1b[2J\udcff.wav"
    left_out = [{"file": "\udcff.wav", "reason": "\x1b]0;"}]
    about = model.about | {"name": "\x1b[31m", "left_out": left_out, "\udc80": "\x9b"}
    folder = tmp_path / "model"
    save_model(folder, dataclasses.replace(model, about=about))
    change(folder, lambda facts: facts["about"].update(name="\x1b[31m\ud800", language="اردو\n\t"))
    model = load_model(folder)
    assert model.support.file[0] == "\\x1b[2J\\udcff.wav"
    assert (model.about["name"], model.about["language"]) == ("\\x1b[31m\\ud800", "اردو\n\t")
    assert model.about["left_out"][0]["file"] == "\\udcff.wav"
    (folder / "README.md").read_text()
    change(folder, lambda facts: facts["settings"]["emotions"].__setitem__(0, "\x1b[31mangry"))
    refused(folder, "has digest")
    change(folder, lambda facts: facts.update(format_version=9, metaser_jax="\x1b[31m"))
    with pytest.raises(InputError) as error:
        load_model(folder)
    assert "\x1b" not in str(error.value)


def test_arrays_that_are_no_npz(folder):
    twice = io.BytesIO(npz_bytes(arrays_of(folder)))
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"{BIAS}.npy", b"")
    for content in (b"", b"PK\x03\x04", bytes(1000), twice.getvalue()):
        put(folder, "arrays.npz", content)
        refused(folder, "arrays.npz: ")


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_archive_is_read_as_its_folder(whole, tmp_path):
    path = tmp_path / "download.zip"
    shutil.make_archive(tmp_path / "download", "zip", whole.parent, "model")
    assert digest(path) == digest(whole)
    np.testing.assert_array_equal(load_model(path).support.mfcc, load_model(whole).support.mfcc)
    flat = zipped(tmp_path / "flat.zip", {one.name: one.read_bytes() for one in whole.iterdir()})
    assert digest(flat) == digest(whole)


def test_archives_that_are_no_model_are_refused(whole, tmp_path):
    files = {f"model/{one.name}": one.read_bytes() for one in whole.iterdir()}
    refused(zipped(tmp_path / "none.zip", {"model/notes.txt": "x"}), "none.zip has no model.json")
    two = files | {"other/model.json": "{}"}
    refused(zipped(tmp_path / "two.zip", two), r"has 2 models \(model, other\)")
    (tmp_path / "text.zip").write_text("no archive")
    refused(tmp_path / "text.zip", "text.zip")
    lacking = {name: content for name, content in files.items() if "arrays" not in name}
    refused(zipped(tmp_path / "model_lacking.zip", lacking), "damaged: arrays.npz")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    path = zipped(tmp_path / "bomb.zip", {"model/model.json": b" " * 20_000_000})
    assert path.stat().st_size < 100_000
    refused(path, "model.json is larger than 16,777,216 bytes")
