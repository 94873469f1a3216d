"""Tell what a model was made of, the licences inside, what it scores, what it cannot do, its digest.

metaser info MODEL

MODEL is a folder that metaser adapt wrote, or a zip archive of it, as the page of metaser serve gives it.
--format=json prints the content of its model.json.
"""

import json
from collections.abc import Sequence

from metaser_jax.recogniser.card import content
from metaser_jax.recogniser.folder import read_model
from metaser_jax.report.text_page import text_page
from metaser_jax.specs.commands import InfoConfig


def main(config: InfoConfig, arguments: Sequence[str]) -> int:
    """Print it. Raises InputError: no model folder."""
    (folder,) = arguments
    model, facts = read_model(folder)
    if config.format == "json":
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(text_page(content(model, facts["digest"])), end="")
    return 0
