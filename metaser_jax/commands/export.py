"""Export a model for other programs, or make a start of a run of training.

metaser export --model=MODEL --to=stablehlo|npz --out=FILE
metaser export --init=RUN --to=start --out=FOLDER

stablehlo: one function of MFCC, or of statistics of the voice, for any number of utterances, with its parameters inside
and FILE.json beside it; needs jax alone. npz: the arrays, for NumPy and everything that reads them. start: of a run of
metaser meta-train or pretrain, a model folder that was adapted to no clips: metaser adapt --init=FOLDER starts from it,
and metaser predict --model=FOLDER predicts with it. docs/model_folder.md describes them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metaser_jax.commands.table import TRAINS
from metaser_jax.errors import InputError
from metaser_jax.extras import require_extras
from metaser_jax.recogniser.folder import save_model
from metaser_jax.specs.commands import ExportConfig


def main(config: ExportConfig, arguments: Sequence[str]) -> int:
    """Write it. Raises InputError: no model folder or run, or what the exports say."""
    if config.model is None:
        _export_start(config)
    else:
        # Imported here: after a look at what was typed.
        from metaser_jax.recogniser.export import export_npz, export_stablehlo
        from metaser_jax.recogniser.predictor import Predictor

        model = Predictor.load(config.model).model
        if config.to == "npz":
            export_npz(model, config.out)
        else:
            export_stablehlo(model, config.out, config.platforms)
    print(config.out)
    return 0


def _export_start(config: ExportConfig) -> None:
    from metaser_jax.adaptation.few_clips import check_out
    from metaser_jax.adaptation.make_start import make_start

    require_extras("metaser export --to=start", *TRAINS)
    check_out(config.out)
    about = _about(config.about) if config.about else {}
    start = make_start(str(config.init), config.data_dir, about=about, calibrate=config.calibrate)
    save_model(config.out, start)


def _about(file: str) -> dict[str, Any]:
    try:
        about = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--about={file}: {error}, expected a JSON file with an object.") from error
    if not isinstance(about, dict):
        raise InputError(f"--about={file}: got a JSON {type(about).__name__}, expected an object.")
    return about
