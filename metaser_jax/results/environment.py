"""What a result depends on besides its configuration: versions, platform, device."""

import platform

from metaser_jax.versions import version

PACKAGES = ("metaser_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "librosa", "soxr")


def environment(device: str | None = None) -> dict[str, str]:
    """Return name -> version or description, for a report.

    Args:
      device: what ran it; by default the devices that jax sees here.
    """
    return {
        "device": device or _devices(),
        "platform": platform.platform(),
        **versions(),
    }


def versions() -> dict[str, str]:
    """Return name -> version, of Python and the packages that matter."""
    return {"Python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def _devices() -> str:
    # Here, since asking for devices starts the backend: a caller that knows its device need not.
    import jax

    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"
