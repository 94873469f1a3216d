"""Shared fixtures. jax is configured before its first use: two CPU devices, and quick compilation."""

import os
import tempfile
from pathlib import Path

import jax
import pytest

# Fixtures that several folders use.
pytest_plugins = ["made_up_rows", "small_runs"]

# Most of the suite's time is compilation, and what is compiled here computes little: code as it comes, without
# optimisation. Where rounding or the compiler itself is looked at, textbook.optimised compiles as for users; XLA_FLAGS=
# in the environment does so for all tests.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
jax.config.update("jax_num_cpu_devices", 2)
# Many tests compile the same programs.
_cache = tempfile.TemporaryDirectory(prefix="metaser_jax_tests_")
# A folder that stays, for who runs them often.
_kept = os.environ.get("METASER_TESTS_CACHE", _cache.name)
jax.config.update("jax_compilation_cache_dir", _kept)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Programs that tests start keep theirs there, and not with the user's.
os.environ["METASER_CACHE"] = _kept


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """Folder of real recordings: METASER_CORPORA, or ../shared/corpora beside the project."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "corpora"
    folder = Path(os.environ.get("METASER_CORPORA", default))
    if not folder.is_dir():
        pytest.skip(f"real recordings are not at {folder}; METASER_CORPORA may point to them")
    return folder


@pytest.fixture
def without_formats(monkeypatch):
    """As where the extra `formats` (PyAV) is not installed."""
    monkeypatch.setattr("metaser_jax.audio.formats.is_installed", lambda: False)


@pytest.fixture
def strict_promotion():
    """No implicit mixing of dtypes in our own code (optax's Adam does not run under it)."""
    with jax.numpy_dtype_promotion("strict"):
        yield
