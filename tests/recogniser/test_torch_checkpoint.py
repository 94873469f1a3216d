"""PyTorch's checkpoints -> parameters: logits against PyTorch's own, layouts, classes; without PyTorch."""

import itertools
from pathlib import Path

import jax
import numpy as np
import pytest
import torch_writer as writer

from metaser_jax import EmotionLSTM, InputError, load_torch_checkpoint
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.torch_checkpoint import read_checkpoint

FILES = Path(__file__).parent / "torch_files"
# What PyTorch says to writer.mfcc() (torch_files/make.py).
LOGITS = [[0.9766821, -0.1503435, 0.1853115, 0.4156217], [0.9495400, -0.2193150, 0.1861251, 0.4174776]]


def write(folder, data: bytes) -> Path:
    path = folder / "file.pt"
    path.write_bytes(data)
    return path


def params_of(weights: dict) -> dict:
    """What is expected of float32 weights."""
    layers = {}
    for layer in ("lstm_1", "lstm_2"):
        kernels = (weights[f"{layer}.weight_ih_l0"].T, weights[f"{layer}.weight_hh_l0"].T)
        bias = weights[f"{layer}.bias_ih_l0"] + weights[f"{layer}.bias_hh_l0"]
        layers[layer] = dict(zip(("kernel_input", "kernel_recurrent", "bias"), (*kernels, bias), strict=True))
    for ours, theirs in (("hidden", "hidden"), ("output", "hidden2targ")):
        layers[ours] = {"kernel": weights[f"{theirs}.weight"].T, "bias": weights[f"{theirs}.bias"]}
    return {"params": layers}


def assert_same(params, expected, rtol=1e-6):
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    for got, want in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        np.testing.assert_allclose(got, want, rtol=rtol)


@pytest.mark.parametrize("name", ["zip", "legacy", "protocol_4", "training"])
def test_logits_are_those_of_pytorch(name):
    imported = read_checkpoint(FILES / f"{name}.pt", FOUR_EMOTIONS)
    assert (imported.hidden_dim, imported.left) == (4, ("epoch", "optimizer") if name == "training" else ())
    logits = EmotionLSTM(4).apply(imported.params, writer.mfcc())
    np.testing.assert_allclose(logits, LOGITS, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["f8", "f4", "f2"])
def test_floats_of_any_size_and_byte_order(kind, tmp_path):
    weights = {name: array.astype(kind) for name, array in writer.network().items()}
    value, storages = writer.state_dict(weights)
    for order, sign in {"little": "<", "big": ">"}.items():
        data = {key: array.astype(sign + kind).tobytes() for key, array in storages.items()}
        path = write(tmp_path, writer.zip_file(writer.members(value, data, order)))
        assert_same(load_torch_checkpoint(path), params_of(weights), rtol=1e-2 if kind == "f2" else 1e-6)
    # Files of before are little-endian, and each storage has a type of its own.
    kinds = itertools.cycle((f"<{kind}", "<f4"))
    weights = {name: array.astype(next(kinds)) for name, array in writer.network().items()}
    path = write(tmp_path, writer.legacy_file(*writer.state_dict(weights)))
    assert_same(load_torch_checkpoint(path), params_of(weights), rtol=1e-2 if kind == "f2" else 1e-6)


def test_bfloat16(tmp_path):
    bits = {name: (array.view(np.uint32) >> 16).astype("<u2") for name, array in writer.network().items()}
    weights = {name: (array.astype(np.uint32) << 16).view(np.float32) for name, array in bits.items()}
    assert_same(load_torch_checkpoint(write(tmp_path, writer.saved(bits))), params_of(weights))


def test_views_of_one_storage(tmp_path):
    """One after another, with gaps between; those of two axes stored transposed, as by .t() of a parameter."""
    weights = writer.network()
    flat, tensors = [np.full(3, np.nan, np.float32)], {}
    numel = 3 + sum(array.size + 1 for array in weights.values())
    shared = writer.storage("all", "FloatStorage", numel)
    for name, array in weights.items():
        offset = sum(map(len, flat))
        stride = (1, array.shape[0]) if array.ndim == 2 else (1,)
        tensors[name] = writer.tensor(shared, array.shape, stride, offset)
        flat += [array.ravel("F"), np.full(1, np.nan, np.float32)]
    content = writer.members(writer.ordered(tensors), {"all": np.concatenate(flat).tobytes()})
    assert_same(load_torch_checkpoint(write(tmp_path, writer.zip_file(content))), params_of(weights))


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "net"])
def test_parameters_and_wrappers(wrapper, tmp_path):
    """As DataParallel names them, as nn.Parameter, in a dictionary of a training."""
    weights = writer.network()
    rebuild = writer.named("torch._utils", "_rebuild_parameter")
    tensors = {
        f"module.{name}": writer.call(rebuild, writer.plain(name, array), b"\x88", writer.ordered({}))
        for name, array in weights.items()
    }
    value = b"}(" + writer.text(wrapper) + writer.ordered(tensors) + writer.text("epoch") + b"K\x07" + b"u"
    data = {name: array.tobytes() for name, array in weights.items()}
    imported = read_checkpoint(write(tmp_path, writer.zip_file(writer.members(value, data))), FOUR_EMOTIONS)
    assert_same(imported.params, params_of(weights))
    assert imported.left == ("epoch",)


def test_outputs_are_in_our_order(tmp_path):
    path = write(tmp_path, writer.saved(writer.network()))
    kept = load_torch_checkpoint(path)["params"]
    theirs = ("sad", "angry", "neutral", "happy")
    ours = load_torch_checkpoint(path, theirs)["params"]
    for i, emotion in enumerate(FOUR_EMOTIONS):
        at = theirs.index(emotion)
        np.testing.assert_array_equal(ours["output"]["kernel"][:, i], kept["output"]["kernel"][:, at])
        assert ours["output"]["bias"][i] == kept["output"]["bias"][at]
    assert_same({"params": {**ours, "output": kept["output"]}}, {"params": kept})
    imported = read_checkpoint(path, ("Sadness", "anger", "neutral", "joy"))
    assert imported.emotions == FOUR_EMOTIONS
    assert_same(imported.params, {"params": ours})
    for classes in (("sad", "angry"), ("fear", "sad", "neutral", "happy", "angry")):
        weights = writer.network(n_classes=len(classes))
        imported = read_checkpoint(write(tmp_path, writer.saved(weights)), classes)
        assert imported.emotions == classes
        assert_same(imported.params, params_of(weights))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("angry", "happy", "neutral", "sadd"), "Did you mean 'sad'"),
        (("angry", "happy", "neutral", "anger"), "expected two or more different"),
        (("angry",), "expected two or more different"),
        ((), "got none"),
        ("angry", "expected two or more different"),
        (("angry", "happy", "sad"), r"3 classes.*hidden2targ.weight has shape \(4, 4\)"),
    ],
)
def test_classes_that_cannot_be(classes, message):
    with pytest.raises(InputError, match=message):
        load_torch_checkpoint(FILES / "zip.pt", classes)


def test_tensors_that_are_missing_unknown_or_of_another_shape(tmp_path):
    weights = writer.network(3)

    def error(changed: dict) -> str:
        with pytest.raises(InputError) as raised:
            load_torch_checkpoint(write(tmp_path, writer.saved(changed)))
        return str(raised.value)

    said = error({name: array for name, array in weights.items() if "bias_hh" not in name} | {"fc.bias": np.ones(1)})
    assert "lstm_1.bias_hh_l0 is missing; lstm_2.bias_hh_l0 is missing; fc.bias is unknown." in said
    said = error(weights | {"hidden.weight": np.ones((4, 3)), "lstm_1.weight_ih_l0": np.ones((12, 40))})
    assert "H = 3" in said
    assert "(12, 40), expected (12, 20); hidden.weight has shape (4, 3), expected (3, 3)." in said
    for shape in ((12,), (12, 4), (0, 0), ()):
        assert "lstm_1.weight_hh_l0 has shape" in error(weights | {"lstm_1.weight_hh_l0": np.ones(shape)})
    assert "and 80 more" in error(weights | {f"extra{i}": np.ones(1) for i in range(92)})
    assert "missing" in error({})


def test_numbers_that_are_no_finite_floats(tmp_path):
    weights = writer.network()

    def error(name: str, array: np.ndarray) -> str:
        with pytest.raises(InputError) as raised:
            load_torch_checkpoint(write(tmp_path, writer.saved({**weights, name: array})))
        return str(raised.value)

    assert "2 of the 4 numbers of hidden/kernel" in error("hidden.weight", np.array([[1, np.nan]] * 2))
    assert "hidden/bias are not finite in float32" in error("hidden.bias", np.array([1, 1e300]))
    assert "hidden.bias holds int64, expected floats" in error("hidden.bias", np.array([1, 2]))
    assert "'\\udc80" in error("\udc80\n" + "x" * 100, np.ones(1))
    weights["lstm_2.bias_ih_l0"] = largest = np.full(8, np.finfo(np.float32).max)
    assert "lstm_2/bias are not finite" in error("lstm_2.bias_hh_l0", largest)


def test_what_is_no_state_dict(tmp_path):
    state, storages = writer.state_dict(writer.network())
    data = {key: array.tobytes() for key, array in storages.items()}
    for value, message in (
        (b"K\x01", "holds a int, expected a state_dict"),
        (b"](" + state + b"e", "holds a list, expected a state_dict"),
        (writer.ordered({"epoch": b"K\x01", "weights": state}), "epoch, weights in it are no tensors"),
        (writer.ordered({"net": state, "model": state}), "several state_dicts: model, net"),
        (b"}(K\x01" + state + b"u", "1 in it are no tensors"),
    ):
        with pytest.raises(InputError, match=message):
            load_torch_checkpoint(write(tmp_path, writer.zip_file(writer.members(value, data))))
