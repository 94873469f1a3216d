"""TESS (Pichora-Fuller and Dupuis, 2020): two Canadian actresses. See README.md beside this file."""

import re
from pathlib import PurePath
from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder, Download, Parsed, Published, own_names


class Builder(CorpusBuilder):
    """2800 utterances of 2 speakers, seven emotions."""

    HOMEPAGE = "https://doi.org/10.5683/SP2/E8H2MF"
    LICENSE = "CC BY-NC 4.0"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Open https://doi.org/10.5683/SP2/E8H2MF, choose "Access Dataset", and put the zip archive, or what is in it, into
    MANUAL_DIR/tess/.
    """

    LANGUAGE = "English"
    LAYOUT = "**/OAF_back_angry.wav"
    PUBLISHED = Published(2800, 2, {"angry": 400, "happy": 400, "neutral": 400, "sad": 400}, 2.05, (24_414, 96_000))
    DOWNLOADS = (
        Download("https://borealisdata.ca/api/access/dataset/:persistentId/?persistentId=doi:10.5683/SP2/E8H2MF"),
    )
    ARCHIVES = ("TESS*.zip", "doi-10.5683-sp2-e8h2mf*.zip")
    # Folders are named in several ways and cases, so the file's own name is read.
    STEM = r"(?P<speaker>OAF|OA|YAF)_[a-z]+_(?P<code>[a-z]+)"
    STEM_MEANS = "OAF (or OA) or YAF, a word, an emotion, e.g. OAF_back_angry"
    EMOTION_OF_CODE: ClassVar = own_names(
        **{code: code for code in ("angry", "happy", "neutral", "sad", "disgust", "fear")}, ps="pleasant surprise"
    )

    def key(self, path: PurePath, parsed: Parsed) -> str:
        """Return the speaker and the stem without its prefix."""
        return f"{parsed.speaker}/{(parsed.stem or path.stem).partition('_')[2]}"

    def speaker(self, match: re.Match[str], path: PurePath) -> str:
        """Return the actress; OA is OAF."""
        # One file of the older actress lacks the F.
        return "OAF" if match["speaker"] == "OA" else match["speaker"]
