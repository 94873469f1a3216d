"""What is known of a corpus by its name."""

import pytest

from metaser_jax import InputError
from metaser_jax.datasets.registry import NAMES, terms


def test_languages_and_licences():
    assert terms("ravdess") == {"language": "English", "licence": "CC BY-NC-SA 4.0"}
    assert terms("shemo/corrected") == terms("shemo")
    assert terms("folder/mine") == {"language": None, "licence": "That of the recordings."}
    assert all(all(terms(name).values()) for name in NAMES)


def test_a_corpus_that_there_is_not():
    with pytest.raises(InputError, match="Did you mean 'emodb'"):
        terms("emodbb")
