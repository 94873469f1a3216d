"""IEMOCAP (Busso et al., 2008): ten American actors in pairs. See README.md beside this file."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from metaser_jax.datasets.base import CorpusBuilder, CorpusFile, Excluded, Published, Said, own_names
from metaser_jax.errors import InputError

_DIALOG = r"(?P<session>Ses0[1-5])[FM]_(?:impro\d\d|script\d\d_\d)[a-z]?"
_LABEL_FILE = re.compile(r"Ses\d\d[FM]_\w+\.txt", re.ASCII)
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
_TURN = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(?P<turn>\w+)\t(?P<code>\w+)\t\[", re.MULTILINE | re.ASCII)
_NO_AGREEMENT = "xxx"


class Builder(CorpusBuilder):
    """7532 labelled utterances of 10 speakers, nine emotions and "other"."""

    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="excited_apart", description="Excited is an emotion of its own."),
        tfds.core.BuilderConfig(name="excited_as_happy", description="Excited counts as happy, as many papers do."),
    ]
    HOMEPAGE = "https://sail.usc.edu/iemocap/"
    LICENSE = "For research, after signing the release form; see the site of the corpus."
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Sign the release form at https://sail.usc.edu/iemocap/iemocap_release.htm, get IEMOCAP_full_release.tar.gz, unpack
    it, and put its folders Session1 to Session5 into MANUAL_DIR/iemocap/; of each are read dialog/EmoEvaluation/*.txt
    and sentences/wav/.
    """

    LANGUAGE = "English"
    LAYOUT = "**/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    # Of 10,039 turns, without the 2,507 (xxx) on which the listeners did not agree.
    PUBLISHED = Published(7532, 10, {"angry": 1103, "happy": 595, "neutral": 1708, "sad": 1084}, 4.5, (16_000,))
    ARCHIVES = ("IEMOCAP*.zip",)
    # The dialog's F or M says who wears the markers; who speaks is in the last field.
    STEM = rf"{_DIALOG}_(?P<letter>[FM])\d\d\d"
    STEM_MEANS = "session, dialog, speaker and turn, e.g. Ses01F_impro01_M000 or Ses05M_script01_1b_F011"
    NOT_OURS: ClassVar = {_DIALOG: "a whole dialog, of which the sentences are read"}
    EMOTION_OF_CODE: ClassVar = own_names(
        ang="anger",
        hap="happiness",
        neu="neutral",
        sad="sadness",
        exc="excited",
        fru="frustration",
        fea="fear",
        sur="surprise",
        dis="disgust",
        oth="other",
    )

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
        if code == _NO_AGREEMENT:
            return Excluded(f"the listeners did not agree ({code})")
        return super().parsed(speaker, code)
