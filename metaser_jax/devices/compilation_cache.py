"""Compiled programs are kept on disk, so that a command that was run before starts without compiling."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def keep_compiled(update: Callable[[str, Any], None] | None = None) -> None:
    """Set JAX's persistent compilation cache: a folder of the user's, unless METASER_CACHE=off.

    It is $XDG_CACHE_HOME/metaser_jax/jax, or ~/.cache/metaser_jax/jax. Where it cannot be written, nothing is kept.

    Args:
      update: (name, value); jax.config.update by default.
    """
    if os.environ.get("METASER_CACHE") == "off":
        return
    # As the XDG Base Directory Specification says: a path that is not absolute is ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        folder = (base if base.is_absolute() else Path.home() / ".cache") / "metaser_jax" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # Path.home() does not know one
        return
    if not os.access(folder, os.W_OK):
        return
    if update is None:
        import jax

        update = jax.config.update
    update("jax_compilation_cache_dir", str(folder))
    # Our programs compile in less than a second, below what JAX keeps by default.
    update("jax_persistent_cache_min_compile_time_secs", 0.0)
