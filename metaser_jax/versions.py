"""Versions of installed packages."""

import importlib.metadata

import metaser_jax


def version(package: str = "metaser_jax") -> str:
    """Return the version of a package, or that it is not installed."""
    if package == "metaser_jax":
        return metaser_jax.__version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
