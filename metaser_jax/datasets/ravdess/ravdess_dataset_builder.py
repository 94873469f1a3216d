"""RAVDESS (Livingstone and Russo, 2018), its speech part: 24 North American actors.

See README.md and corpus.toml beside this file.
"""

from metaser_jax.datasets.base import CorpusBuilder


class Builder(CorpusBuilder):
    """1440 utterances of 24 speakers, eight emotions."""
