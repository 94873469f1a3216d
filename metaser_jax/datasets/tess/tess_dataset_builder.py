"""TESS (Pichora-Fuller and Dupuis, 2020): two Canadian actresses. See README.md and corpus.toml."""

import re
from pathlib import PurePath

from metaser_jax.datasets.base import CorpusBuilder, Parsed


class Builder(CorpusBuilder):
    """2800 utterances of 2 speakers, seven emotions."""

    def key(self, path: PurePath, parsed: Parsed) -> str:
        """Return the speaker and the stem without its prefix."""
        return f"{parsed.speaker}/{(parsed.stem or path.stem).partition('_')[2]}"

    def speaker(self, match: re.Match[str], path: PurePath) -> str:
        """Return the actress; OA is OAF."""
        # One file of the older actress lacks the F.
        return "OAF" if match["speaker"] == "OA" else match["speaker"]
