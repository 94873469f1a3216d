"""URDU (Latif et al., 2018): spontaneous Urdu speech from television talk shows.

See README.md and corpus.toml beside this file.
"""

from metaser_jax.datasets.base import CorpusBuilder


class Builder(CorpusBuilder):
    """400 utterances of 29 speakers, 100 of each emotion."""
