"""SAVEE (Haq and Jackson, 2010): four English men. See README.md beside this file."""

import re
from pathlib import PurePath
from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder, Parsed, Published, own_names


class Builder(CorpusBuilder):
    """480 utterances of 4 speakers, seven emotions."""

    HOMEPAGE = "http://kahlan.eps.surrey.ac.uk/savee/"
    LICENSE = "For research, after registration; see the site of the corpus."
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Register at http://kahlan.eps.surrey.ac.uk/savee/Register.html, get AudioData.zip, and put it, or its folders DC,
    JE, JK and KL, into MANUAL_DIR/savee/.
    """

    LANGUAGE = "English"
    LAYOUT = "**/DC/a01.wav"
    PUBLISHED = Published(480, 4, {"angry": 60, "happy": 60, "neutral": 120, "sad": 60}, 3.84, (44_100,))
    ARCHIVES = ("AudioData.zip",)
    # The speaker is the folder, or, in copies with all files in one folder, a prefix.
    STEM = r"(?:(?P<speaker>DC|JE|JK|KL)_)?(?P<code>[a-z]{1,2})\d\d"
    STEM_MEANS = "emotion and number in a folder DC, JE, JK or KL (DC/a01), or after the speaker, e.g. DC_a01"
    EMOTION_OF_CODE: ClassVar = own_names(
        a="anger", h="happiness", n="neutral", sa="sadness", d="disgust", f="fear", su="surprise"
    )

    def key(self, path: PurePath, parsed: Parsed) -> str:
        """Return the speaker and the stem without its prefix."""
        # With and without the prefix it is the same.
        return f"{parsed.speaker}/{(parsed.stem or path.stem).rpartition('_')[2]}"

    def speaker(self, match: re.Match[str], path: PurePath) -> str | None:
        """Return the speaker of the file name's prefix, or of its folder."""
        folders = [name.upper() for name in path.parts[:-1] if name.upper() in ("DC", "JE", "JK", "KL")]
        said = {*folders[-1:], match["speaker"]} - {None}
        return said.pop() if len(said) == 1 else None
