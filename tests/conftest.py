"""Shared fixtures. jax is configured before its first use: two CPU devices, strict dtype promotion."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """Folder of real recordings: METASER_CORPORA, or ../shared/corpora beside the project."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "corpora"
    folder = Path(os.environ.get("METASER_CORPORA", default))
    if not folder.is_dir():
        pytest.skip(f"real recordings are not at {folder}; METASER_CORPORA may point to them")
    return folder
