"""Make a model folder of the authors' PyTorch checkpoint; needs no PyTorch, and runs no code from the file.

metaser import-torch weights.pt --classes=angry,happy,neutral,sad --out=imported

weights.pt is of torch.save(model.state_dict(), ...). --classes says which emotion each output is, in their order: the
file does not, and a wrong order makes every answer wrong. The model predicts, and serves as --init of metaser adapt.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path

from metaser_jax.messages import say
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.model import Model, Start
from metaser_jax.recogniser.torch_checkpoint import Imported, read_checkpoint
from metaser_jax.results.environment import versions
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.commands import ImportTorchConfig


def main(config: ImportTorchConfig, arguments: Sequence[str]) -> int:
    """Write the folder. Raises InputError as read_checkpoint and save_model."""
    (path,) = arguments
    imported = read_checkpoint(path, config.classes)
    save_model(config.out, _model(imported, Path(path).name, Path(config.out).resolve().name))
    if imported.left:
        say(f"Not imported, because predicting needs none of it: {', '.join(imported.left)}.")
    print(
        f"Imported {path}: {imported.hidden_dim} hidden units, {', '.join(imported.emotions)}; not calibrated.\n"
        f"The model and its card are in {config.out}. Next: metaser adapt --init={config.out} --support=CLIPS "
        f"--out=MODEL, or metaser predict --model={config.out} RECORDING ..."
    )
    return 0


def _model(imported: Imported, file: str, name: str) -> Model:
    """Return the settings, with the input of the paper: 120 frames of 20 MFCC as they are."""
    settings = ModelSpec(
        emotions=imported.emotions,
        hidden_dim=imported.hidden_dim,
        pooling="last",
        activation="none",
        input_statistics=False,
        trim_db=0.0,
        deltas=False,
        normalise="none",
    )
    said = ", ".join(imported.classes)
    about = {
        "name": name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "init": {
            "method": f"imported from the PyTorch checkpoint {file}",
            "checkpoint": {"file": file, "sha256": imported.sha256, "classes": list(imported.classes)},
            "sources": [],
        },
        "limits": [
            f"Imported from {file} (sha256 {imported.sha256}) by somebody who said that its outputs are {said}, in "
            "this order. The file does not tell; if it is wrong, so is every answer.",
            "What the checkpoint was trained on is not known here, nor whether its MFCC were made as they are here.",
        ],
    }
    return Model(
        settings=settings,
        params=imported.params,
        scale=None,
        temperature=1.0,
        start=Start(imported.params, None),
        support=None,
        about=about,
    )
