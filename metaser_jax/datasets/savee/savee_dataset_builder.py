"""SAVEE (Haq and Jackson, 2010): four English men. See README.md and corpus.toml beside this file."""

import re
from pathlib import PurePath

from metaser_jax.datasets.base import CorpusBuilder, Parsed


class Builder(CorpusBuilder):
    """480 utterances of 4 speakers, seven emotions."""

    def key(self, path: PurePath, parsed: Parsed) -> str:
        """Return the speaker and the stem without its prefix."""
        # With and without the prefix it is the same.
        return f"{parsed.speaker}/{(parsed.stem or path.stem).rpartition('_')[2]}"

    def speaker(self, match: re.Match[str], path: PurePath) -> str | None:
        """Return the speaker of the file name's prefix, or of its folder."""
        folders = [name.upper() for name in path.parts[:-1] if name.upper() in ("DC", "JE", "JK", "KL")]
        said = {*folders[-1:], match["speaker"]} - {None}
        return said.pop() if len(said) == 1 else None
