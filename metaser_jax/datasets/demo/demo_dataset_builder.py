"""The demo's corpora of synthetic voices, one per language. See README.md and corpus.toml beside this file."""

from metaser_jax.datasets.base import CorpusBuilder


class _Demo(CorpusBuilder, skip_registration=True):
    """A corpus of the demo; the language is its class's."""


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
