"""IEMOCAP (Busso et al., 2008): ten American actors in pairs. See README.md beside this file."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import ClassVar

import tensorflow_datasets as tfds

from metaser_jax.datasets.base import VOICE_TOO, CorpusBuilder, Said
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.iemocap import evaluations
from metaser_jax.datasets.recordings import Excluded
from metaser_jax.datasets.statistics import Published

_DIALOG = r"(?P<session>Ses0[1-5])[FM]_(?:impro\d\d|script\d\d_\d)[a-z]?"


class Builder(CorpusBuilder):
    """7532 labelled utterances of 10 speakers, nine emotions and "other"."""

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "2.0.0": VOICE_TOO,
        "1.0.0": "MFCC [120, 20] of IEMOCAP_full_release, its sentences.",
    }
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
    EMOTION_OF_CODE: ClassVar = {
        "ang": ("anger", "angry"),
        "hap": ("happiness", "happy"),
        "neu": ("neutral", "neutral"),
        "sad": ("sadness", "sad"),
        "exc": ("excited", "excited"),
        "fru": ("frustration", "frustrated"),
        "fea": ("fear", "fear"),
        "sur": ("surprise", "surprise"),
        "dis": ("disgust", "disgust"),
        "oth": ("other", "other"),
    }

    @property
    def published(self) -> Published:
        """Counts of the documentation, for the labels of this configuration."""
        happy = {"happy": 595 + 1041} if self.builder_config.name == "excited_as_happy" else {}
        return self.PUBLISHED._replace(emotions=self.PUBLISHED.emotions | happy)

    @property
    def emotion_of_code(self) -> dict[str, tuple[str, str]]:
        """The emotion of each code, excited merged into happy where the configuration says so."""
        merged = {"exc": ("excited", "happy")} if self.builder_config.name == "excited_as_happy" else {}
        return self.EMOTION_OF_CODE | merged

    def labels(self, found: Sequence[CorpusFile]) -> dict[str, str]:
        """Read the label of each turn from the evaluation files."""
        return evaluations.read(found)

    def speaker(self, match: re.Match[str], path: PurePath) -> str:
        """Return the session and the last field's letter."""
        return match["session"] + match["letter"]

    def parsed(self, speaker: str, code: str) -> Said:
        """Return what is said of a turn; one without agreement is left out."""
        if code == evaluations.NO_AGREEMENT:
            return Excluded(f"the listeners did not agree ({code})")
        return super().parsed(speaker, code)
