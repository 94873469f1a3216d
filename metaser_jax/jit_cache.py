"""On-disk cache of compiled programs, by JAX's persistent compilation cache, and of tables.

Where: METASER_CACHE, else $XDG_CACHE_HOME/metaser_jax/jax, else ~/.cache/metaser_jax/jax. METASER_CACHE=off keeps
nothing. An existing JAX_COMPILATION_CACHE_DIR is respected. JAX tells programs of other versions of jaxlib,
other flags of XLA and other devices apart. They are machine code: each kind of processor has a folder of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# What is there when a program starts; beyond that, those go that were used longest ago.
MOST_BYTES = 2**30


def keep_compiled(most_bytes: int = MOST_BYTES) -> Path | None:
    """Have JAX keep what it compiles, from now on; where nothing can be written, nothing is kept.

    Does not import jax: it is told by the environment, or if it is there already, itself.

    Args:
      most_bytes: that what was kept before may take.

    Returns:
      The folder, or None where nothing is kept or JAX was told of another.
    """
    jax, place = sys.modules.get("jax"), _place()
    told = os.environ.get("JAX_COMPILATION_CACHE_DIR") or (jax and jax.config.jax_compilation_cache_dir)
    if place is None or told:
        return None
    folder = place / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _bound(place, most_bytes)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    # Most of our programs compile in less than a second, below what JAX keeps by default.
    for name, value in (("compilation_cache_dir", str(folder)), ("persistent_cache_min_compile_time_secs", 0.0)):
        os.environ[f"JAX_{name.upper()}"] = str(value)
        if jax:
            jax.config.update(f"jax_{name}", value)
    return folder


def kept_table(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return a table that takes a large library to make, kept beside the programs where anything is.

    Args:
      name: of the file, without suffix; with the library's version.
      make: makes it.
    """
    # Imported here: every program's flags come this way.
    import numpy as np

    place = _place()
    if place is None:
        return make()
    path = place / f"{name}.npy"
    with contextlib.suppress(OSError, EOFError, ValueError):  # it is not there, not readable, or damaged
        return np.load(path)
    table = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, table)  # a part of it is damaged, and made again
    return table


def _place() -> Path | None:
    """Return the folder that everything is in; None where nothing is to be kept."""
    given = os.environ.get("METASER_CACHE")
    if given:
        return None if given == "off" else Path(given)
    folder = cache_folder()
    return folder and folder / "jax"


def cache_folder() -> Path | None:
    """Return the folder of all that is kept, and of what was downloaded even where METASER_CACHE=off; None: unknown."""
    given = os.environ.get("METASER_CACHE")
    if given and given != "off":
        return Path(given)
    # As the XDG Base Directory Specification says: a path that is not absolute is ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "metaser_jax"
    except RuntimeError:  # it is not known whose home
        return None


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return a name for what this machine's processor can do."""
    said = [platform.machine(), platform.processor()]
    if cpuinfo.is_file():
        first = cpuinfo.read_text().split("\n\n", 1)[0].splitlines()
        said += [line for line in first if line.partition("\t")[0] in ("model name", "flags", "Features")]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


def _bound(place: Path, most_bytes: int) -> None:
    """Remove what was used longest ago, until the rest takes no more than that."""
    # Not by jax_compilation_cache_max_size: it needs filelock, and a kill between its two writes ends all writing.
    kept = []
    for path in place.rglob("*-cache"):
        with contextlib.suppress(OSError):  # another program has removed it
            stat = path.stat()
            kept.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
    left = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if left <= most_bytes:
            return
        path.unlink(missing_ok=True)
        left -= size
