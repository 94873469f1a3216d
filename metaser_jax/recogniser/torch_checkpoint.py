"""The authors' published PyTorch checkpoint -> parameters of models.EmotionLSTM, without PyTorch.

Their network is two layers nn.LSTM(batch_first), lstm_1 and lstm_2, the last of the 120 states, and two nn.Linear,
hidden and hidden2targ, with no non-linearity between them: the defaults of EmotionLSTM. PyTorch's weights are [out, in]
where ours are [in, out], and its LSTM adds two biases where ours has their sum:

  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,   blocks of z in the order i, f, g, o in both

Source: Chopra et al., "Meta-Learning for Low-Resource Speech Emotion Recognition", ICASSP 2021, and the authors' code.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS, emotion_named
from metaser_jax.errors import InputError, check_choice
from metaser_jax.recogniser.torch_files import ADVICE, Tensor, TorchFile, quoted, read_torch_file
from metaser_jax.types import N_MFCC, Params

# Where a checkpoint keeps the weights, if there is more in it.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_DATA_PARALLEL = "module."
# Names in an error's list.
_MOST_NAMES = 12


class Imported(NamedTuple):
    """A checkpoint of the authors' network.

    Attributes:
      params: of EmotionLSTM(hidden_dim, len(emotions)), float32 NumPy arrays; outputs in the order of `emotions`.
      emotions: FOUR_EMOTIONS if the classes are those, else as `classes`.
      classes: of the checkpoint's outputs, in their order there, as emotions.EMOTIONS names them.
      hidden_dim: hidden units of each layer.
      sha256: hexadecimal, of the file.
      left: what else the checkpoint holds and is not imported: an optimizer's state, the epoch.
    """

    params: Params
    emotions: tuple[str, ...]
    classes: tuple[str, ...]
    hidden_dim: int
    sha256: str
    left: tuple[str, ...]


def load_torch_checkpoint(path: str | os.PathLike[str], classes: Sequence[str] = FOUR_EMOTIONS) -> Params:
    """Return the parameters in a PyTorch checkpoint of the authors' network; nothing of the file is executed.

    NOTE: one bias here is the sum of PyTorch's two. The logits are the same, but gradient descent changes the sum of
    two twice as fast: fine-tuned further at the same learning rate, the LSTM's biases here adapt half as fast.

    Args:
      path: a file of torch.save (both of its formats) with a state_dict of floats of 64, 32 or 16 bits, or a dictionary
        that has one as state_dict, model_state_dict, model or net; names may begin with "module.", of DataParallel.
      classes: the emotions of the checkpoint's outputs, in order; emotions.EMOTIONS, or usual other names of them.

    Returns:
      The parameters of EmotionLSTM(H, len(classes)), float32 NumPy arrays; H is the checkpoint's. If the classes are
      the four emotions, in whatever order, the outputs are put in the order of FOUR_EMOTIONS, as everywhere here; if
      they are others, fewer or more, they stay in the order of `classes`.

    Raises:
      InputError: the file cannot be read, is damaged or of another format, or has more in it than tensors, containers,
        text and numbers (a whole module has); tensors that are missing, unknown, of another shape or type, or not
        finite; classes that are unknown, repeated, or not as many as the outputs.
    """
    return read_checkpoint(path, classes).params


def read_checkpoint(path: str | os.PathLike[str], classes: Sequence[str]) -> Imported:
    """Return load_torch_checkpoint with what else is to be known of it. Raises InputError as that does."""
    classes = _checked(classes)
    order = FOUR_EMOTIONS if sorted(classes) == sorted(FOUR_EMOTIONS) else classes
    file = read_torch_file(path)
    tensors, left = _state_dict(file)
    hidden_dim = _check_layout(file, tensors, len(classes))
    arrays = {}
    for name, tensor in tensors.items():
        try:
            arrays[name] = file.array(tensor)
        except ValueError as error:
            raise InputError(f"{file.path}: {name} {error}. {ADVICE}") from error
    rows = [classes.index(emotion) for emotion in order]
    ours = {}
    for layer in ("lstm_1", "lstm_2"):
        ours[f"{layer}/kernel_input"] = arrays[f"{layer}.weight_ih_l0"].T
        ours[f"{layer}/kernel_recurrent"] = arrays[f"{layer}.weight_hh_l0"].T
        ours[f"{layer}/bias"] = arrays[f"{layer}.bias_ih_l0"].astype(np.float64) + arrays[f"{layer}.bias_hh_l0"]
    ours |= {"hidden/kernel": arrays["hidden.weight"].T, "hidden/bias": arrays["hidden.bias"]}
    ours |= {"output/kernel": arrays["hidden2targ.weight"][rows].T, "output/bias": arrays["hidden2targ.bias"][rows]}
    params = unflatten_dict({name: _float32(file, name, array) for name, array in ours.items()}, sep="/")
    return Imported({"params": params}, order, classes, hidden_dim, file.sha256, left)


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    classes = (classes,) if isinstance(classes, str) else classes
    named = tuple(emotion_named(name) or check_choice("classes", name, EMOTIONS) for name in classes)
    if len(named) < 2 or len(set(named)) != len(named):
        got = ", ".join(map(repr, classes)) or "none"
        raise InputError(f"classes: got {got}, expected two or more different emotions, in the order of the outputs.")
    return named


def _state_dict(file: TorchFile) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the tensors by their names, and what else the checkpoint holds."""
    content, left = file.value, ()
    if type(content) is not dict:
        raise InputError(f"{file.path} holds a {type(content).__name__}, expected a state_dict. {ADVICE}")
    inside = [key for key in _WRAPPERS if type(content.get(key)) is dict]
    if len(inside) > 1:
        raise InputError(f"{file.path} holds several state_dicts: {', '.join(inside)}; expected one. {ADVICE}")
    if inside:
        left = tuple(_names(key for key in content if key != inside[0]))
        content = content[inside[0]]
    strange = [key for key, value in content.items() if not (type(key) is str and type(value) is Tensor)]
    if strange:
        raise InputError(
            f"{file.path}: {', '.join(_names(strange))} in it are no tensors, expected a state_dict, or one as "
            f"{', '.join(_WRAPPERS[:-1])} or {_WRAPPERS[-1]}. {ADVICE}"
        )
    if content and all(name.startswith(_DATA_PARALLEL) for name in content):
        content = {name.removeprefix(_DATA_PARALLEL): tensor for name, tensor in content.items()}
    return content, left


def _check_layout(file: TorchFile, tensors: Mapping[str, Tensor], n_classes: int) -> int:
    """Return the number of hidden units."""
    recurrent = tensors["lstm_1.weight_hh_l0"].shape if "lstm_1.weight_hh_l0" in tensors else ()
    hidden_dim = recurrent[1] if len(recurrent) == 2 else 0
    shapes = _shapes(hidden_dim, n_classes)
    wrong = [f"{name} is missing" for name in shapes if name not in tensors]
    wrong += [f"{name} is unknown" for name in _names(name for name in tensors if name not in shapes)]
    for name, shape in shapes.items():
        got = tensors[name].shape if name in tensors else shape
        if got != shape or hidden_dim < 1:
            wrong.append(f"{name} has shape {got[:8]}, expected {shape}")
    if wrong:
        raise InputError(
            f"{file.path} is not the authors' network, two LSTM layers and two dense ones, with {n_classes} classes "
            f"and H = {hidden_dim}, as lstm_1.weight_hh_l0 (4 H, H) says: {'; '.join(wrong)}."
        )
    return hidden_dim


def _shapes(hidden_dim: int, n_classes: int) -> dict[str, tuple[int, ...]]:
    gates, shapes = 4 * hidden_dim, {}
    for layer, inputs in (("lstm_1", N_MFCC), ("lstm_2", hidden_dim)):
        shapes |= {f"{layer}.weight_ih_l0": (gates, inputs), f"{layer}.weight_hh_l0": (gates, hidden_dim)}
        shapes |= {f"{layer}.bias_ih_l0": (gates,), f"{layer}.bias_hh_l0": (gates,)}
    for layer, outputs in (("hidden", hidden_dim), ("hidden2targ", n_classes)):
        shapes |= {f"{layer}.weight": (outputs, hidden_dim), f"{layer}.bias": (outputs,)}
    return shapes


def _float32(file: TorchFile, name: str, array: np.ndarray) -> np.ndarray:
    """Return float32, which may not hold what float64 did. Raises InputError: numbers that are not finite."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        said = f"{file.path}: {bad} of the {array.size} numbers of {name} are not finite in float32"
        raise InputError(f"{said}: the training has diverged. Give a checkpoint from before.")
    return array


def _names(keys: Any) -> list[str]:
    """Return keys for a message; text as it is where it is a name, and not too many."""
    keys = list(keys)
    names = [key if key.isprintable() and len(key) <= 60 else quoted(key) for key in map(str, keys[:_MOST_NAMES])]
    return names + ([f"and {len(keys) - _MOST_NAMES} more"] if len(keys) > _MOST_NAMES else [])
