"""The demo's corpora of synthetic voices, one per language. See README.md beside this file."""

from typing import ClassVar

import tensorflow_datasets as tfds

from metaser_jax.datasets.base import VOICE_TOO, CorpusBuilder
from metaser_jax.emotions import FOUR_EMOTIONS


class _Demo(CorpusBuilder, skip_registration=True):
    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "2.0.0": VOICE_TOO,
        "1.1.0": "The same, stored as bytes, with language and options.",
        "1.0.0": "MFCC [120, 20] of the synthetic voices.",
    }
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
