"""The demo's corpora of synthetic voices, one per language. See README.md beside this file."""

from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder
from metaser_jax.emotions import FOUR_EMOTIONS


class _Demo(CorpusBuilder, skip_registration=True):
    LICENSE = "Made by this project's own demo; nobody's recordings."
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Run the demo: it makes the recordings in MANUAL_DIR/demo_LANGUAGE/."

    LAYOUT = "f1_angry_03.wav"
    STEM = r"(?P<speaker>[fm]\d+)_(?P<code>[a-z]+)_\d+"
    STEM_MEANS = "speaker_emotion_number, e.g. f1_angry_03"
    EMOTION_OF_CODE: ClassVar = {emotion: (emotion, emotion) for emotion in FOUR_EMOTIONS}


class DemoEnglish(_Demo):
    """The source language with the most recordings, with German."""

    LANGUAGE = "English"


class DemoGerman(_Demo):
    """A source language."""

    LANGUAGE = "German"


class DemoItalian(_Demo):
    """A target language."""

    LANGUAGE = "Italian"


class DemoPersian(_Demo):
    """A target language."""

    LANGUAGE = "Persian"


class DemoUrdu(_Demo):
    """A target language."""

    LANGUAGE = "Urdu"
