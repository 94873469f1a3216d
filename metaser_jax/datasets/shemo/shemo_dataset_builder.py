"""ShEMO (Mohamad Nezami, Jamshid Lou and Karami, 2019): Persian radio plays. See README.md beside this file."""

from collections.abc import Sequence
from typing import ClassVar

import tensorflow_datasets as tfds

from metaser_jax.datasets.base import VOICE_TOO, CorpusBuilder
from metaser_jax.datasets.downloads import Download
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.shemo import corrected
from metaser_jax.datasets.statistics import Published

_RAW = "https://github.com/mansourehk/ShEMO/raw/master"


class Builder(CorpusBuilder):
    """3000 utterances of 87 speakers, six emotions."""

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "2.0.0": VOICE_TOO,
        "1.0.0": "MFCC [120, 20] of female.zip and male.zip.",
    }
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="file_names", description="Emotions as the file names say."),
        tfds.core.BuilderConfig(name="corrected", description="Emotions of mShEMO's label list."),
    ]
    HOMEPAGE = "https://github.com/mansourehk/ShEMO"
    LICENSE = "Free for academic use; see the site of the corpus."
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Get female.zip (374,368,830 bytes) and male.zip (496,606,401 bytes) from https://github.com/mansourehk/ShEMO (git
    LFS), and put both, or their folders female and male, into MANUAL_DIR/shemo/. For shemo/corrected put
    {corrected.LABEL_FILES[0]} of https://github.com/aliyzd95/modified_shemo there, too.
    """

    LANGUAGE = "Persian"
    LAYOUT = "**/female/F01A01.wav"
    PUBLISHED = Published(3000, 87, {"angry": 1059, "happy": 201, "neutral": 1028, "sad": 449}, 4.10, (44_100, 22_050))
    DOWNLOADS = (Download(f"{_RAW}/female.zip"), Download(f"{_RAW}/male.zip"))  # sha256 in checksums.tsv
    ARCHIVES = ("female.zip", "male.zip")
    STEM = r"(?P<speaker>[FM]\d\d)(?P<code>[A-Z])\d\d"
    STEM_MEANS = "speaker (F or M, 2 digits), emotion (a letter), number (2 digits), e.g. F01A01"
    EMOTION_OF_CODE: ClassVar = {
        "A": ("anger", "angry"),
        "H": ("happiness", "happy"),
        "N": ("neutral", "neutral"),
        "S": ("sadness", "sad"),
        "W": ("surprise", "surprise"),
        "F": ("fear", "fear"),
    }

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The archives; the corrected labels are not among them."""
        # The label list is not among them.
        return self.DOWNLOADS if self.builder_config.name == "file_names" else ()

    def labels(self, found: Sequence[CorpusFile]) -> dict[str, str] | None:
        """Read the corrected labels, for the configuration that wants them."""
        if self.builder_config.name == "file_names":
            return None
        return corrected.read(found, self.instructions)
