"""Writes encoder_reference.npz beside this file: what PyTorch's LSTM hears of mel frames of seeded noise.

  python tests/encoder_reference.py [pretrained.pt of Resemblyzer 0.1.4]

Needs torch. `made` is of made weights (made_state), `real` of Resemblyzer's; mel frames are those of `frames`.
"""

import sys
from pathlib import Path

import numpy as np


def frames(seed=0, parts=2) -> np.ndarray:
    """Mel frames [parts, 160, 40] of seeded noise, as large as those of speech."""
    return np.random.default_rng(seed).gamma(0.3, 2.0, size=(parts, 160, 40)).astype(np.float32)


def made_state(seed=0) -> dict[str, np.ndarray]:
    """Made weights under the names of pretrained.pt's model_state."""
    rng = np.random.default_rng(seed)
    state = {"similarity_weight": np.full(1, 10.0), "similarity_bias": np.full(1, -5.0)}
    for layer in range(3):
        for kind, width in (("ih", 256 if layer else 40), ("hh", 256)):
            state[f"lstm.weight_{kind}_l{layer}"] = rng.normal(scale=0.08, size=(1024, width))
            state[f"lstm.bias_{kind}_l{layer}"] = rng.normal(scale=0.2, size=1024)
    state |= {"linear.weight": rng.normal(scale=0.1, size=(256, 256)), "linear.bias": rng.normal(scale=0.1, size=256)}
    return {name: array.astype(np.float32) for name, array in state.items()}


def by_torch(state, x: np.ndarray) -> np.ndarray:
    """What is heard of parts [n, 160, 40]: vectors of length 1 and the means of layers 2 and 3, [n, 3, 256]."""
    import torch

    found, h = [], torch.from_numpy(x)
    with torch.no_grad():
        for layer in range(3):
            lstm = torch.nn.LSTM(h.shape[-1], 256, 1, batch_first=True)
            own = {
                n.replace(f"_l{layer}", "_l0").removeprefix("lstm."): v for n, v in state.items() if f"_l{layer}" in n
            }
            lstm.load_state_dict({name: torch.as_tensor(value) for name, value in own.items()})
            h, (last, _) = lstm(h)
            found.append(h.mean(1))
        vector = torch.relu(
            last[-1] @ torch.as_tensor(state["linear.weight"]).T + torch.as_tensor(state["linear.bias"])
        )
        vector = vector / (vector.norm(dim=1, keepdim=True) + 1e-9)
    return torch.stack([vector, *found[1:]], 1).numpy()


if __name__ == "__main__":
    import torch

    outputs = {"made": by_torch(made_state(), frames())}
    if len(sys.argv) > 1:
        real = torch.load(sys.argv[1], map_location="cpu", weights_only=False)["model_state"]
        outputs["real"] = by_torch({name: value.numpy() for name, value in real.items()}, frames())
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **outputs)
