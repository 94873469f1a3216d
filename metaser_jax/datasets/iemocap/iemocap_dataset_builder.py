"""IEMOCAP (Busso et al., 2008): ten American actors in pairs. See README.md and corpus.toml beside this file."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from metaser_jax.datasets.base import CorpusBuilder, CorpusFile, Excluded, Said
from metaser_jax.errors import InputError

_LABEL_FILE = re.compile(r"Ses\d\d[FM]_\w+\.txt", re.ASCII)
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
_TURN = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(?P<turn>\w+)\t(?P<code>\w+)\t\[", re.MULTILINE | re.ASCII)


class Builder(CorpusBuilder):
    """7532 labelled utterances of 10 speakers, nine emotions and "other"."""

    def __init__(self, **kwargs: Any):
        """Make the builder. Args: CorpusBuilder's."""
        super().__init__(**kwargs)
        if self.builder_config.name == "excited_as_happy":
            self.emotion_of_code = self.EMOTION_OF_CODE | {"exc": ("excited", "happy")}
            self.published = self.PUBLISHED._replace(emotions={**self.PUBLISHED.emotions, "happy": 595 + 1041})

    def labels(self, found: Sequence[CorpusFile]) -> dict[str, str]:
        """Return the code of each turn, from SessionN/dialog/EmoEvaluation/DIALOG.txt.

        Raises:
          InputError: there is no label file, one has no labels or cannot be read, or two contradict each other.
        """
        # The folders below EmoEvaluation hold what single listeners said.
        files = [one for one in found if one.relative.parent.name.lower() == "emoevaluation"]
        files = [one for one in files if _LABEL_FILE.fullmatch(one.relative.name)]
        if not files:
            raise InputError(
                "iemocap: no label file found, expected SessionN/dialog/EmoEvaluation/*.txt. Unpack the whole release."
            )
        code_of_turn: dict[str, str] = {}
        for one in files:
            text = one.read_text(errors="replace").replace("\r", "")
            turns = [match.group("turn", "code") for match in _TURN.finditer(text)]
            if not turns:
                raise InputError(f"iemocap: {one} has no labels in the form of the release. Fetch it again.")
            for turn, code in turns:
                if (other := code_of_turn.setdefault(turn, code)) != code:
                    raise InputError(f"iemocap: {one} says {code} of {turn}, another {other}. Keep one of them.")
        return code_of_turn

    def speaker(self, match: re.Match[str], path: PurePath) -> str:
        """Return the session and the last field's letter."""
        return match["session"] + match["letter"]

    def parsed(self, speaker: str, code: str) -> Said:
        """Return what is said of a turn; one without agreement is left out."""
        if code == "xxx":
            return Excluded(f"the listeners did not agree ({code})")
        return super().parsed(speaker, code)
