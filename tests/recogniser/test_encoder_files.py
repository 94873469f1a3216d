"""The speech encoder: converted, packed, kept and found; what it hears, by NumPy, jax and PyTorch; what is refused.

The real weights are never fetched here: what needs them runs where `metaser fetch-encoder` has kept them.
"""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_writer as torch
from encoder_reference import frames, made_state
from fakes import made_encoder

from metaser_jax.audio import encoder as E
from metaser_jax.errors import InputError
from metaser_jax.recogniser import encoder_files
from metaser_jax.recogniser.encoder_files import convert, files_of, read_weights
from metaser_jax.recogniser.hearing import hear

REFERENCE = np.load(Path(__file__).parents[1] / "encoder_reference.npz")
# Where `metaser fetch-encoder` keeps it, whatever the tests' own cache is.
REAL = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metaser_jax" / E.FILE


def pt(state: dict[str, np.ndarray]) -> bytes:
    """A file like pretrained.pt: the format before PyTorch 1.6, all tensors views at offsets into one storage."""
    flat, tensors, at = np.concatenate([array.ravel() for array in state.values()]), {}, 0
    for name, array in state.items():
        stride = tuple(step // array.itemsize for step in array.strides)
        of = torch.storage("0", "FloatStorage", flat.size)
        tensors[name] = torch.tensor(of, array.shape, stride, at)
        at += array.size
    return torch.legacy_file(torch.ordered({"model_state": torch.ordered(tensors)}), {"0": flat})


@pytest.fixture
def made_pt(tmp_path) -> Path:
    path = tmp_path / "pretrained.pt"
    path.write_bytes(pt(made_state()))
    return path


def of_parts(weights, hear=E.layers_of_parts):
    return hear(weights, frames())


def test_as_pytorch_before_it_is_packed(made_pt):
    np.testing.assert_allclose(of_parts(read_weights(made_pt)), REFERENCE["made"], atol=1e-4)


def test_packed_it_is_small_and_nearly_the_same(made_pt):
    encoder = convert(made_pt, sha256=None)
    assert len(E.encoder_bytes(encoder)) < 1.9e6
    assert {array.dtype for array in encoder.packed.values()} == {np.dtype("int8"), np.dtype("float16")}
    np.testing.assert_allclose(of_parts(encoder.weights), REFERENCE["made"], atol=0.02)
    again = E.read_encoder(E.encoder_bytes(encoder))
    assert again.digest == encoder.digest == made_encoder().digest
    assert made_encoder(1).digest != encoder.digest


@pytest.mark.skipif(not REAL.is_file(), reason="metaser fetch-encoder has not kept the encoder here")
def test_the_published_encoder_is_as_pytorchs():
    encoder = E.read_encoder(REAL.read_bytes())
    assert encoder.digest == E.PUBLISHED
    np.testing.assert_allclose(of_parts(encoder.weights), REFERENCE["real"], atol=0.02)


@pytest.mark.parametrize("long", [False, True])
def test_numpy_and_jax_hear_the_same_of_clips_of_any_length(long):
    encoder, noise = made_encoder(), np.concatenate(list(frames(3, 20)))
    clips = [noise[:40], noise[40:400], noise[400:700], *([noise[100:1500]] * 2 if long else [])]
    found, one = hear(encoder, clips), [E.layers(encoder, [clip])[0] for clip in clips]
    np.testing.assert_allclose(found, np.stack(one), atol=1e-5)
    assert found.shape == (len(clips), 3, 256)
    np.testing.assert_allclose(np.linalg.norm(found[:, 0], axis=1), 1, atol=1e-6)
    assert hear(encoder, []).shape == (0, 3, 256)


def test_parts_overlap_and_the_last_is_left_out_unless_it_is_nearly_full():
    for time, number in ((30, 1), (160, 1), (196, 1), (197, 2), (273, 2), (274, 3)):
        x = np.arange(time)[:, None] * np.ones(40)
        got = E.parts(x)[:, :, 0]
        assert len(got) == number, (time, len(got))
        assert [*got[:, 0]] == [77 * i for i in range(number)]


def test_silence_is_no_speech_and_loudness_does_not_matter():
    rng, rate = np.random.default_rng(0), 16000
    loud = rng.normal(scale=0.1, size=rate).astype(np.float32)
    quiet = np.concatenate([np.zeros(rate, np.float32), loud, np.zeros(rate, np.float32)])
    mel = E.mel_of(quiet, rate)
    assert mel.frames.shape == (301, 40)
    spoken = np.flatnonzero(mel.kept)
    assert 80 <= spoken.min() <= 100 <= 200 <= spoken.max() <= 220
    np.testing.assert_allclose(E.mel_of(1e-4 * quiet, rate).frames, E.mel_of(1e-3 * quiet, rate).frames, rtol=1e-3)
    assert E.mel_of(0 * quiet, rate).kept.all()


def test_mel_bands_are_librosas():
    import librosa

    x = np.random.default_rng(0).normal(scale=0.1, size=8000).astype(np.float32)
    want = librosa.feature.melspectrogram(y=x, sr=16000, n_fft=400, hop_length=160, n_mels=40, pad_mode="constant").T
    np.testing.assert_allclose(E.mel_of(x, 16000).frames, want, rtol=1e-3, atol=1e-5)


class TestFinding:
    """Where it is looked for, and what is said where there is none."""

    def test_the_file_of_the_environment(self, tmp_path, monkeypatch):
        path = tmp_path / "mine.npz"
        path.write_bytes(E.encoder_bytes(made_encoder()))
        monkeypatch.setenv("METASER_ENCODER", str(path))
        found = E.require_encoder("It")
        assert found.digest == made_encoder().digest
        with pytest.raises(InputError, match=r"needs the speech encoder 0000"):
            E.require_encoder("It", "0" * 16)

    def test_none(self, tmp_path, monkeypatch):
        monkeypatch.delenv("METASER_ENCODER", raising=False)
        monkeypatch.setenv("METASER_CACHE", str(tmp_path))
        assert E.find_encoder() is None
        with pytest.raises(InputError, match=r"^--init=x needs .* metaser fetch-encoder"):
            E.require_encoder("--init=x")

    @pytest.mark.parametrize("change", ["missing", "cut", "other", "nan", "shape"])
    def test_a_damaged_file(self, tmp_path, monkeypatch, change):
        path, packed = tmp_path / "mine.npz", dict(made_encoder().packed)
        data = E.encoder_bytes(made_encoder())
        if change == "cut":
            data = data[:-1000]
        elif change == "other":
            data = E.npz.npz_bytes({"x": np.zeros(3)})
        elif change in ("nan", "shape"):
            array = packed["linear/bias"]
            packed["linear/bias"] = array[:-1] if change == "shape" else np.full_like(array, np.nan)
            data = E.npz.npz_bytes(packed)
        if change != "missing":
            path.write_bytes(data)
        monkeypatch.setenv("METASER_ENCODER", str(path))
        with pytest.raises(InputError, match=f"METASER_ENCODER={path}"):
            E.find_encoder()


def wheel_of(content: bytes, monkeypatch, licence=b"Apache") -> bytes:
    """A wheel with these weights, taken for that of Resemblyzer."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(encoder_files.WEIGHTS, content)
        archive.writestr(encoder_files.LICENCE_MEMBER, licence)
    data = file.getvalue()
    for name, value in (("WHEEL", data), ("WEIGHTS", content)):
        monkeypatch.setattr(encoder_files, f"{name}_BYTES", len(value))
        monkeypatch.setattr(encoder_files, f"{name}_SHA256", hashlib.sha256(value).hexdigest())
    monkeypatch.setattr(convert, "__defaults__", (hashlib.sha256(content).hexdigest(),))
    return data


class TestFetching:
    """Of a wheel, or of its weights; never from the network."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path, monkeypatch):
        monkeypatch.setenv("METASER_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    def test_a_wheel_is_converted_and_kept(self, tmp_path, monkeypatch, place):
        wheel = tmp_path / "resemblyzer.whl"
        wheel.write_bytes(wheel_of(pt(made_state()), monkeypatch))
        found, path, before = encoder_files.fetch(str(wheel))
        assert (path, before, found.digest) == (place / "encoder.npz", False, made_encoder().digest)
        carried = files_of(E.require_encoder("It"))
        assert carried["LICENSE.Resemblyzer"] == b"Apache"
        assert found.digest in carried["NOTICE"].decode()
        assert E.read_encoder(carried["encoder.npz"]).digest == found.digest
        monkeypatch.setattr(E, "PUBLISHED", found.digest)
        monkeypatch.setattr(encoder_files, "_download", lambda place: pytest.fail("it is there"))
        assert encoder_files.fetch()[2]

    def test_pip_that_cannot_is_told_with_what_to_do(self, monkeypatch):
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"):
            monkeypatch.setenv(name, "/dev/null" if name == "PIP_CONFIG_FILE" else "")
        with pytest.raises(InputError, match=r"resemblyzer==0.1.4: .*--from=WHEEL"):
            encoder_files.fetch()

    @pytest.mark.parametrize("change", ["cut", "another", "missing", "pickled module", "shape", "not finite"])
    def test_another_file(self, tmp_path, monkeypatch, place, change):
        state = made_state()
        if change == "shape":
            state["linear.weight"] = state["linear.weight"][:, :9].copy()
        if change == "not finite":
            state["linear.bias"][3] = np.inf
        content = pt(state) if change != "pickled module" else b"cos\nsystem\n(S'x'\ntR."
        data = wheel_of(content, monkeypatch)
        path = tmp_path / "a.whl"
        if change != "missing":
            path.write_bytes({"cut": data[:-9], "another": data[:-1] + b"x"}.get(change, data))
        with pytest.raises(InputError) as error:
            encoder_files.fetch(str(path))
        assert {"cut": "got", "another": "sha256", "missing": "cannot be read"}.get(change, "pretrained.pt") in str(
            error.value
        )
        assert not (place / "encoder.npz").exists()


def test_the_weights_alone_will_do(made_pt, tmp_path, monkeypatch):
    monkeypatch.setenv("METASER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="expected 17,090,379"):
        encoder_files.fetch(str(made_pt))
    wheel_of(made_pt.read_bytes(), monkeypatch)
    assert encoder_files.fetch(str(made_pt))[0].digest == made_encoder().digest
