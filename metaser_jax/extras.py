"""Installed packages: their versions, and which extra of setup.py brings what some programs alone need."""

import importlib.metadata
import importlib.util

import metaser_jax
from metaser_jax.errors import InputError

# What is imported -> what it is installed as, and the extra that has it.
EXTRAS = {
    "array_record": ("array_record", "train"),
    "importlib_resources": ("importlib_resources", "train"),
    "matplotlib": ("matplotlib", "train"),
    "orbax.checkpoint": ("orbax-checkpoint", "train"),
    "tensorboardX": ("tensorboardX", "train"),
    "espeakng_loader": ("espeakng-loader", "demo"),
    "starlette": ("starlette", "serve"),
    "uvicorn": ("uvicorn", "serve"),
}


def require_extras(program: str, *modules: str) -> None:
    """Raise an InputError that names what is not installed, and the extras that bring it; nothing is imported.

    Args:
      program: that needs it, for the message.
      modules: names of EXTRAS.
    """
    missing = [EXTRAS[module] for module in modules if not _is_there(module)]
    if missing:
        *packages, last = [package for package, _ in missing]
        named = f"{', '.join(packages)} and {last}" if packages else last
        extras = dict.fromkeys(extra for _, extra in missing)
        # The demo's extra has what training needs.
        wanted = ",".join(extra for extra in extras if extra != "train" or "demo" not in extras)
        is_not = "which is not" if len(missing) == 1 else "which are not"
        raise InputError(f"{program} needs {named}, {is_not} installed: pip install 'metaser_jax[{wanted}]'")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package that it is in is missing, or was put out of reach
        return False


def version(package: str = "metaser_jax") -> str:
    """Return the version of a package, or that it is not installed."""
    if package == "metaser_jax":
        return metaser_jax.__version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
