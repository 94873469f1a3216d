"""EMO-DB (Burkhardt et al., 2005): ten German actors. See README.md beside this file."""

from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder, Download, Published, own_names


class Builder(CorpusBuilder):
    """535 utterances of 10 speakers, seven emotions."""

    HOMEPAGE = "http://emodb.bilderbar.info"
    LICENSE = "See the site of the corpus, which asks to cite Burkhardt et al., 2005."
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get http://emodb.bilderbar.info/download/download.zip (about 40 MB), and put it, or its folder wav, into
    MANUAL_DIR/emodb/.
    """

    LANGUAGE = "German"
    LAYOUT = "**/wav/03a01Fa.wav"
    PUBLISHED = Published(535, 10, {"angry": 127, "happy": 71, "neutral": 79, "sad": 62}, 2.78, (16_000,))
    DOWNLOADS = (Download("http://emodb.bilderbar.info/download/download.zip"),)
    MORE_THAN_PUBLISHED = (
        "The 2.0 release adds 281 recordings that listeners did not agree on, under names of the same form; use the "
        "first release, http://emodb.bilderbar.info/download/download.zip."
    )
    ARCHIVES = ("download.zip",)
    STEM = r"(?P<speaker>03|08|09|1[0-6])[ab]\d\d(?P<code>[A-Z])[a-f]"
    STEM_MEANS = "speaker (03, 08 to 16), text (a or b, 2 digits), emotion (a letter), take (a to f), e.g. 03a01Fa"
    # Initials of the German words.
    EMOTION_OF_CODE: ClassVar = own_names(
        W="anger", F="happiness", N="neutral", T="sadness", L="boredom", E="disgust", A="anxiety/fear"
    )
