"""RAVDESS (Livingstone and Russo, 2018), its speech part: 24 North American actors. See README.md beside this file."""

from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder, Download, Published, own_names

# In the order of their codes. Calm is not neutral: the corpus has both.
_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


class Builder(CorpusBuilder):
    """1440 utterances of 24 speakers, eight emotions."""

    HOMEPAGE = "https://zenodo.org/record/1188976"
    LICENSE = "CC BY-NC-SA 4.0"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get Audio_Speech_Actors_01-24.zip (208,468,073 bytes, md5 bc696df654c87fed845eb13823edef8a) from
    https://zenodo.org/record/1188976, and put it, or its folders Actor_01 to Actor_24, into MANUAL_DIR/ravdess/.
    """

    LANGUAGE = "English"
    LAYOUT = "**/Actor_01/03-01-05-01-02-01-01.wav"
    PUBLISHED = Published(1440, 24, {"angry": 192, "happy": 192, "neutral": 96, "sad": 192}, 3.70, (48_000,))
    DOWNLOADS = (
        Download(
            "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
            size=208_468_073,
            md5="bc696df654c87fed845eb13823edef8a",
        ),
    )
    ARCHIVES = ("Audio_Speech_Actors_01-24.zip",)
    STEM = r"03-01-(?P<code>\d\d)-0[12]-0[12]-0[12]-(?P<speaker>0[1-9]|1\d|2[0-4])"
    STEM_MEANS = (
        "seven numbers of two digits: 03 (audio), 01 (speech), emotion, intensity, statement, repetition (each 01 or "
        "02), actor (01 to 24), e.g. 03-01-05-01-02-01-12"
    )
    NOT_OURS: ClassVar = {
        r"0[12](-\d\d){6}": "from a video recording (modality 01 or 02)",
        r"03-02(-\d\d){5}": "a song (vocal channel 02)",
    }
    EMOTION_OF_CODE: ClassVar = own_names(**{f"{i:02d}": name for i, name in enumerate(_EMOTIONS, start=1)})
