"""URDU (Latif et al., 2018): spontaneous Urdu speech from television talk shows. See README.md beside this file."""

from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder, Download, Published, own_names


class Builder(CorpusBuilder):
    """400 utterances of 29 speakers, 100 of each emotion."""

    HOMEPAGE = "https://github.com/siddiquelatif/URDU-Dataset"
    LICENSE = "Free for research; see the repository of the corpus."
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get https://github.com/siddiquelatif/URDU-Dataset (git clone, or its zip archive), and put its folders Angry, Happy,
    Neutral and Sad, or the archive, into MANUAL_DIR/urdu/.
    """

    LANGUAGE = "Urdu"
    LAYOUT = "**/Angry/SM1_F1_A01.wav"
    # Its README says 38 speakers, its names show 29.
    PUBLISHED = Published(400, 38, {"angry": 100, "happy": 100, "neutral": 100, "sad": 100}, 2.50, (44_100,))
    DOWNLOADS = (
        Download("https://github.com/siddiquelatif/URDU-Dataset/archive/4b546d4e0fa36d1c86c53a281631b2ab7ce2fdec.zip"),
    )
    ARCHIVES = ("URDU-Dataset*.zip",)
    STEM = r"(?P<speaker>S[MF]\d+)_F\d+_(?P<code>[A-Z])\d+"
    STEM_MEANS = "S, M or F, speaker_F, file_emotion, number, e.g. SM1_F10_A010"
    EMOTION_OF_CODE: ClassVar = own_names(A="Angry", H="Happy", N="Neutral", S="Sad")
