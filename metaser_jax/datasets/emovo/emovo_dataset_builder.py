"""EMOVO (Costantini et al., 2014): six Italian actors. See README.md and corpus.toml beside this file."""

from metaser_jax.datasets.base import CorpusBuilder


class Builder(CorpusBuilder):
    """588 utterances of 6 speakers, seven emotions."""
