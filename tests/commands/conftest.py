"""Commands here compile into the tests' own cache, not into the user's."""

import pytest


@pytest.fixture(autouse=True)
def _keep_the_tests_compilation_cache(monkeypatch):
    monkeypatch.setenv("METASER_CACHE", "off")
