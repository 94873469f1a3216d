"""Export a model for other programs.

metaser export --model=MODEL --to=stablehlo --out=FILE

stablehlo: one function of MFCC, or of statistics of the voice, for any number of utterances, with its parameters inside
and FILE.json beside it; needs jax alone. npz: the arrays, for NumPy and everything that reads them.
docs/model_folder.md describes both.
"""

from collections.abc import Sequence

from metaser_jax.config.commands import ExportConfig
from metaser_jax.recogniser.folder import load_model


def main(config: ExportConfig, arguments: Sequence[str]) -> int:
    """Write it. Raises InputError: no model folder, or what the exports say."""
    model = load_model(config.model)
    # Imported here: after a look at what was typed.
    from metaser_jax.interop.export import export_npz, export_stablehlo

    if config.to == "npz":
        export_npz(model, config.out)
    else:
        export_stablehlo(model, config.out, config.platforms)
    print(config.out)
    return 0
