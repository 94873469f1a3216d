"""EMO-DB (Burkhardt et al., 2005): ten German actors. See README.md and corpus.toml beside this file."""

from metaser_jax.datasets.base import CorpusBuilder


class Builder(CorpusBuilder):
    """535 utterances of 10 speakers, seven emotions."""
