"""What a result depends on besides its configuration: versions, platform, device."""

import functools
import platform
from pathlib import Path

from metaser_jax.extras import version

PACKAGES = ("metaser_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "librosa", "soxr")


def environment(on: str | None = None) -> dict[str, str]:
    """Return name -> version or description, for a report.

    Args:
      on: what ran it; by default the devices that jax sees here.
    """
    return {"device": on or device(), "platform": platform.platform(), **versions()}


def versions() -> dict[str, str]:
    """Return name -> version, of Python and the packages that matter."""
    return {"Python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


@functools.cache
def device() -> str:
    """Return the devices that jax sees here, a CPU by its name: "2 x cpu (Intel(R) Xeon(R) Processor)"."""
    # Here, since asking for devices starts the backend: a caller that knows its device need not.
    import jax

    devices = jax.devices()
    kind = devices[0].device_kind
    return f"{len(devices)} x {kind} ({processor() if kind == 'cpu' else devices[0].platform})"


def processor() -> str:
    """Return the name of this machine's processor, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or platform.machine())
