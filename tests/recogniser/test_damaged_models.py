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
from metaser_jax.recogniser.arrays import write_npz
from metaser_jax.recogniser.folder import digest, load_model, save_model, zip_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    save_model(folder, fake_model())
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


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


def npz(arrays):
    file = io.BytesIO()
    write_npz(file, arrays)
    return file.getvalue()


def refused(folder, said):
    with pytest.raises(InputError, match=said) as error:
        load_model(folder)
    assert "model" in str(error.value)


def test_what_is_no_model_folder(tmp_path):
    refused(tmp_path / "model", "is not there, expected a model folder, which metaser adapt writes")
    (tmp_path / "empty_model").mkdir()
    refused(tmp_path / "empty_model", r"model.json is missing \(there: nothing\)")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    refused(run, "run is a training run .*metaser adapt --init=.*run --support=CLIPS --out=MODEL")
    for name, said in {
        "m.zip": "cannot be read as a zip archive",
        "m.pt": "metaser import-torch",
        "m.wav": "is a file",
    }.items():
        (tmp_path / name).touch()
        refused(tmp_path / name, said)


def test_places_that_cannot_be_read(folder, monkeypatch):
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        load_model(folder / ("m" * 300))

    really = os.open
    for name, said in (("model.json", "model.json cannot be read"), ("arrays.npz", "arrays.npz")):

        def refuse(path, *args, name=name, **kwargs):
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return really(path, *args, **kwargs)

        monkeypatch.setattr(os, "open", refuse)
        refused(folder, f"{said}: Permission denied")


def test_a_folder_around_the_folder(folder):
    refused(folder.parent, r"is no model folder; .*model is. Give that")


def test_a_half_copied_folder(folder):
    (folder / "support.npz").unlink()
    refused(folder, r"damaged: .*support.npz: No such file or directory. Copy or download it again")
    (folder / "model.json").unlink()
    refused(folder, r"model.json is missing \(there: README.md, arrays.npz\)")


def test_the_card_is_for_people_alone(folder):
    (folder / "README.md").unlink()
    load_model(folder)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\xff", b"[1]", b'{"format": ', b"[" * 100_000])
def test_model_json_that_is_none(folder, content):
    (folder / "model.json").write_bytes(content)
    refused(folder, "is damaged: model.json is not as it was written")


def test_a_model_of_something_else(folder):
    change(folder, lambda facts: facts.update(format="keras"))
    refused(folder, "a model of something else: model.json has format 'keras', expected 'metaser_model'")
    (folder / "model.json").write_text('{"architectures": ["Wav2Vec2ForCTC"]}')
    refused(folder, "has format None, expected 'metaser_model'")


def test_a_newer_one_names_both_versions(folder):
    change(folder, lambda facts: facts.update(format_version=3, metaser_jax="7.8.9", new="?"))
    refused(folder, r"format version 3, written by metaser_jax 7.8.9; this is metaser_jax \S+, which reads version 2")


@pytest.mark.parametrize("number", [0, -1, "1", None, True, 1.5])
def test_a_format_version_that_is_none(folder, number):
    change(folder, lambda facts: facts.update(format_version=number))
    refused(folder, "has format_version .*, expected a number")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda f: f.update(gain=2), "model.json has gain, which format version 2 has not"),
        (lambda f: f.pop("temperature"), "model.json lacks 'temperature'"),
        (lambda f: f.update(settings=3), "damaged"),
        (lambda f: f.update(files=[]), "damaged"),
        (lambda f: f["settings"].update(dropout=0.5), "it has, and should not have, dropout"),
        (lambda f: f["settings"].pop("pooling"), "it lacks pooling"),
        (lambda f: f["settings"].update(pooling="max"), "pooling: got 'max', expected one of: last, mean, mean_std"),
        (lambda f: f["settings"].update(normalise="auto"), "normalise is 'auto'"),
        (lambda f: f["settings"].update(normalise=["corpus"]), "damaged"),
        (lambda f: f["settings"].update(hidden_dim=True), "hidden_dim is True, expected int"),
        (lambda f: f["settings"].update(hidden_dim=0), "hidden_dim: got 0, expected 1 or more"),
        (lambda f: f["settings"].update(trim_db=float("inf")), "trim_db: got inf, expected 0"),
        (lambda f: f["settings"].update(emotions=["angry", "angry"]), "expected two or more different names"),
        (lambda f: f["settings"].update(emotions="angry"), "expected two or more different names"),
        (lambda f: f["features"].update(n_mfcc=13), "model.json has features"),
        (lambda f: f.update(format_version=1), "it has, and should not have, features, members, network, track_groups"),
        (lambda f: f["settings"].pop("features"), "it lacks features"),
        (lambda f: f["settings"].update(features="tracks"), "features are 'tracks', expected one of: mfcc, voice"),
        (lambda f: f["settings"].update(features=["mfcc"]), "features are"),
        (lambda f: f["settings"].update(features="voice"), "damaged"),
        (lambda f: f["settings"].update(network="perceptron"), "expected voice with --network=perceptron"),
        (lambda f: f["settings"].update(members=True), "members is True, expected int"),
        (lambda f: f["settings"].update(members=2), "members: got 2, expected 1 without"),
        (lambda f: f["settings"].update(track_groups="pitch"), "track_groups are 'pitch', expected a list of names"),
        (lambda f: f["settings"].update(track_groups=[["pitch"]]), "track_groups are"),
        (
            lambda f: f["settings"].update(track_groups=["sighs"]),
            "track_groups: got 'sighs', expected one of: loudness",
        ),
        (lambda f: f.update(temperature=-1), "temperature is -1, expected a positive number"),
        (lambda f: f.update(temperature=2.0), "has digest .*, but what the folder predicts with has"),
        (lambda f: f["settings"].update(trim_db=20.0), "has digest"),
        (lambda f: f.update(about="mine"), "about is 'mine', expected an object"),
        (lambda f: f["about"].update(warnings="none"), "about.warnings is 'none', expected a list"),
        (lambda f: f["about"]["cross_validation"].update(confusion=[[1]]), "expected a line and a column per emotion"),
        (lambda f: f["about"]["cross_validation"].update(interval=[1]), r"expected \[low, high\]"),
        (lambda f: f["support"].update(clips=7), "support.npz: .* is .*8.*, expected .*7"),
        (lambda f: f["support"].update(clips=10**18), "support.npz: "),
        (lambda f: f["support"].update(clips=10**30), "a whole number of 31 digits, expected at most 19"),
        (lambda f: f["settings"].update(trim_db=10**400), "a whole number of 401 digits"),
        (lambda f: f.update(start=None), "arrays.npz: it has, and should not have, rates/hidden/bias"),
        (lambda f: f["files"]["arrays.npz"].update(bytes=3), "arrays.npz has .* bytes, and was written with 3"),
    ],
)
def test_model_json_that_was_changed(folder, edit, said):
    change(folder, edit)
    refused(folder, said)


def test_unknown_facts_about_a_model_are_kept(folder):
    change(folder, lambda facts: facts["about"].update(colour="green", init=None))
    assert load_model(folder).about["colour"] == "green"


@pytest.mark.parametrize("name", ["arrays.npz", "support.npz"])
@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_flipped_bit(folder, name, at):
    content = bytearray((folder / name).read_bytes())
    content[at] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, rf"damaged: {name} is not as it was written \(sha256\). Copy or download it again")


def test_a_file_that_ends_early(folder):
    (folder / "arrays.npz").write_bytes((folder / "arrays.npz").read_bytes()[:-10])
    refused(folder, "arrays.npz has .* bytes, and was written with")


BIAS = "params/output/bias"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda a: a.pop(BIAS), f"it lacks {BIAS}"),
        (lambda a: a.update(extra=np.zeros(3)), "it has, and should not have, extra"),
        (lambda a: a.update({BIAS: np.zeros(5, np.float32)}), rf"{BIAS} is float32\[5\], expected float32\[4\]"),
        (lambda a: a.update({BIAS: np.zeros((4, 1), np.float32)}), rf"{BIAS} is float32\[4, 1\]"),
        (lambda a: a.update({BIAS: np.zeros(4)}), rf"{BIAS} is float64\[4\], expected float32\[4\]"),
        (lambda a: a.update({BIAS: np.zeros(4, ">f4")}), rf"{BIAS} is >f4\[4\], expected float32"),
        (
            lambda a: a.update({BIAS: np.array([1, 2, np.inf, 3], np.float32)}),
            f"{BIAS} has numbers that are not finite",
        ),
        (lambda a: a.update({BIAS: np.ones(4, np.float32)}), "has digest"),
    ],
)
def test_other_arrays_than_the_settings_say(folder, edit, said):
    arrays = arrays_of(folder)
    edit(arrays)
    put(folder, "arrays.npz", npz(arrays))
    refused(folder, said)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda a: a["label"].put(0, 4), "label has numbers outside 0 to 3"),
        (lambda a: a["n_frames"].put(0, 0), "n_frames has numbers outside 1 to 120"),
        (lambda a: a["mfcc"].put(0, np.nan), "mfcc has numbers that are not finite"),
        (lambda a: a.update(file=a["label"]), r"file is int32\[8\], expected text\[8\]"),
    ],
)
def test_other_clips_than_there_can_be(folder, edit, said):
    arrays = arrays_of(folder, "support.npz")
    edit(arrays)
    put(folder, "support.npz", npz(arrays))
    refused(folder, said)


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("arrays.npz", lambda a: a.pop("params/voice/bias"), "it lacks params/voice/bias"),
        (
            "arrays.npz",
            lambda a: a.update({"scale/std": np.ones(20)}),
            r"scale/std is float64\[20\], expected float64\[171\]",
        ),
        (
            "arrays.npz",
            lambda a: a.update({"start/output/kernel": np.ones((2, 4, 3), np.float32)}),
            r"start/output/kernel is float32\[2, 4, 3\], expected float32\[2, 4, 4\]",
        ),
        ("arrays.npz", lambda a: a["params/voice/kernel"].put(7, np.inf), "voice/kernel has numbers that are not fin"),
        ("arrays.npz", lambda a: a["params/voice/kernel"].put(7, 9), "has digest"),
        ("support.npz", lambda a: a.pop("voice"), "it lacks voice"),
        ("support.npz", lambda a: a["voice"].put(0, np.nan), "voice has numbers that are not finite"),
        ("support.npz", lambda a: a.update(voice=a["voice"][:, :9]), r"voice is float32\[8, 9\], expected float32\[8,"),
    ],
)
def test_a_voice_models_arrays(tmp_path, name, edit, said):
    save_model(tmp_path / "model", fake_model(features="voice"))
    arrays = arrays_of(tmp_path / "model", name)
    edit(arrays)
    put(tmp_path / "model", name, npz(arrays))
    refused(tmp_path / "model", said)


def test_a_voice_models_settings(tmp_path):
    save_model(tmp_path / "model", fake_model(features="voice"))
    change(tmp_path / "model", lambda facts: facts["settings"].update(members=10**9))
    refused(tmp_path / "model", r"arrays.npz: .* is float32\[2, .*expected float32\[1000000000, ")
    change(tmp_path / "model", lambda facts: facts["features"].update(hop_length=512))
    change(tmp_path / "model", lambda facts: facts["settings"].update(members=2))
    refused(tmp_path / "model", "model.json has features .*, expected")


def test_networks_that_clips_are_not_adapted_to_are_not_saved(tmp_path):
    model = fake_model(clips=0)
    spec = dataclasses.replace(model.settings, features="tracks", trim_db=0.0, deltas=False, input_statistics=False)
    with pytest.raises(InputError, match="cannot be saved: features are 'tracks', expected one of: mfcc, voice"):
        save_model(tmp_path / "model", dataclasses.replace(model, settings=spec))


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_is_unpickled(folder, capsys):
    arrays = arrays_of(folder)
    arrays[BIAS] = np.array([Evil()] * 4, object)
    file = io.BytesIO()
    np.savez(file, **arrays)
    put(folder, "arrays.npz", file.getvalue())
    refused(folder, rf"{BIAS} is object\[4\], expected float32\[4\]")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (zipfile.ZIP_DEFLATED, "is compressed, expected it as numpy.savez stores it"),
        (zipfile.ZIP_STORED, r"is float32\[1099511627776\], expected float32\[4\]"),
    ],
)
def test_a_small_file_that_is_large_in_memory(folder, method, said):
    """Refused by what the archive and the header say, before anything is decompressed or allocated."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40,)})
    file = io.BytesIO(npz({name: array for name, array in arrays_of(folder).items() if name != BIAS}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{BIAS}.npy", header.getvalue() + bytes(2**10), method)
    put(folder, "arrays.npz", file.getvalue())
    refused(folder, f"{BIAS} {said}")


def test_sizes_that_the_archive_lies_about(folder):
    content = bytearray(npz(arrays_of(folder)))
    at = content.rfind(b"PK\x01\x02")  # the last member, in the central directory
    content[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    put(folder, "arrays.npz", bytes(content))
    refused(folder, "arrays.npz: ")


def test_two_arrays_of_one_name(folder):
    file = io.BytesIO(npz(arrays_of(folder)))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"{BIAS}.npy", b"")
    put(folder, "arrays.npz", file.getvalue())
    refused(folder, "two arrays of the same name")


@pytest.mark.parametrize("name", ["model.json", "arrays.npz", "support.npz"])
@pytest.mark.parametrize("what", ["fifo", "zero", "sparse"])
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
    refused(folder, f"{name}.*: (6,442,450,944 bytes, expected at most|no regular file)")


@pytest.mark.parametrize("shape", ["(" * 4500 + ")" * 4500, "-" * 9000 + "1", "'", "{", "(1,\n  2"])
def test_headers_that_are_none(folder, shape):
    """NumPy parses them as Python's."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    file = io.BytesIO(npz({name: array for name, array in arrays_of(folder).items() if name != BIAS}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{BIAS}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    put(folder, "arrays.npz", file.getvalue())
    refused(folder, f"{BIAS} has a header that is none")


def saved_anew(folder, model, **changes):
    """A model with other arrays, and everything else as it must be: its digest, sizes and checksums."""
    shutil.rmtree(folder)
    save_model(folder, dataclasses.replace(model, **changes))


@pytest.mark.parametrize("features", ["mfcc", "voice"])
@pytest.mark.parametrize("of", ["params", "start"])
def test_finite_arrays_that_make_no_finite_answers(folder, features, of):
    model = fake_model(features=features)
    huge = jax.tree.map(lambda a: np.full_like(a, 3e38), model.params)
    start = dataclasses.replace(model, start=model.start._replace(params=huge)).start
    saved_anew(folder, model, **({"params": huge} if of == "params" else {"start": start}))
    what = "model" if of == "params" else "start"
    refused(folder, f"is no model to use: the {what}'s answer to a recording is not finite")


@pytest.mark.parametrize("std", [0.0, -1.0, 1e-300])
def test_a_deviation_that_is_none(folder, std):
    model = fake_model(features="voice")
    model.scale.std[3] = std
    with pytest.raises(InputError, match="scale/std has numbers that are not positive"):
        saved_anew(folder, model)


def test_what_a_terminal_would_obey_and_utf_8_lacks(folder):
    """Escape sequences and halves of surrogate pairs, which names of files may have."""
    model = fake_model()
    model.support.file[0] = "\x1b[2J\udcff.wav"
    left_out = [{"file": "\udcff.wav", "reason": "\x1b]0;"}]
    saved_anew(folder, model, about=model.about | {"name": "\x1b[31m", "left_out": left_out, "\udc80": "\x9b"})
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


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip archive", bytes(1000)])
def test_arrays_that_are_no_npz(folder, content):
    put(folder, "arrays.npz", content)
    refused(folder, r"arrays.npz: it cannot be read \(File is not a zip file\)")


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_archive_is_read_as_its_folder(whole, tmp_path):
    path = tmp_path / "download.zip"
    path.write_bytes(zip_model(whole))
    assert digest(path) == digest(whole)
    np.testing.assert_array_equal(load_model(path).support.mfcc, load_model(whole).support.mfcc)
    flat = zipped(tmp_path / "flat.zip", {one.name: one.read_bytes() for one in whole.iterdir()})
    assert digest(flat) == digest(whole)


def test_archives_that_are_no_model_are_refused(whole, tmp_path):
    files = {f"model/{one.name}": one.read_bytes() for one in whole.iterdir()}
    refused(
        zipped(tmp_path / "none.zip", {"model/notes.txt": "x"}), "none.zip has no model.json, expected a zip archive of"
    )
    two = files | {"other/model.json": "{}"}
    refused(zipped(tmp_path / "two.zip", two), r"has 2 models \(model, other\)")
    (tmp_path / "text.zip").write_text("no archive")
    refused(tmp_path / "text.zip", "text.zip cannot be read as a zip archive")
    lacking = {name: content for name, content in files.items() if "arrays" not in name}
    refused(zipped(tmp_path / "model_lacking.zip", lacking), "is damaged: arrays.npz: No such file in the archive")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    path = zipped(tmp_path / "bomb.zip", {"model/model.json": b" " * 20_000_000})
    assert path.stat().st_size < 100_000
    refused(path, "model.json has 20,000,000 bytes, expected at most 16,777,216 in an archive")


def test_an_archive_that_lies_about_a_size_is_refused(whole, tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(zip_model(whole))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        size = next(info.file_size for info in archive.infolist() if info.filename.endswith("arrays.npz"))
    for at in range(len(data) - 4):
        if data[at : at + 4] == struct.pack("<I", size):
            data[at : at + 4] = struct.pack("<I", size - 1)
    path.write_bytes(data)
    refused(path, "is damaged: arrays.npz")
