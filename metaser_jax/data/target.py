"""A corpus and its parts: what training and adaptation learn from and are scored on."""

from typing import NamedTuple

import numpy as np

from metaser_jax.data.corpus import Corpus
from metaser_jax.data.inputs import make_input
from metaser_jax.data.splits import Parts
from metaser_jax.specs import FrontEnd


class Target(NamedTuple):
    """A corpus and its parts.

    Attributes:
      corpus: its emotions selected.
      split: of it; a Split where it is drawn by seed.
      digest: of the corpus as it was prepared; "" where it was not.
    """

    corpus: Corpus
    split: Parts
    digest: str = ""

    def as_input(self, front_end: FrontEnd, fit: np.ndarray | None = None) -> "Target":
        """Return the target as a network is given it.

        Args:
          front_end: what that is.
          fit: [m] int, the utterances whose statistics "corpus" normalises by; by default the split's training part.
        """
        return self._replace(corpus=make_input(self.corpus, front_end, self.split.train if fit is None else fit))
