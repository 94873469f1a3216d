"""Versions of installed packages."""

import importlib.metadata


def version(package: str = "metaser_jax") -> str:
    """Of a package, or that it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
