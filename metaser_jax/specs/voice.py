"""Names of a voice's frame tracks and utterance statistics; audio/tracks.py computes them."""

from collections.abc import Collection
from types import MappingProxyType

from metaser_jax.errors import check_choice

N_MFCC = 5
GROUPS = MappingProxyType(
    {
        "pitch": ("f0", "voicing"),
        "loudness": ("loudness",),
        "tilt": ("alpha_ratio", "hammarberg", "slope_0_500", "slope_500_1500", "h1_h2"),
        "spectrum": ("flux", "centroid", "spread", "flatness", "rolloff", "zero_crossings"),
        "mfcc": tuple(f"mfcc_{i}" for i in range(N_MFCC)),
    }
)
TRACKS: tuple[str, ...] = tuple(name for names in GROUPS.values() for name in names)

PERCENTILES = (20, 50, 80)
FUNCTIONALS = ("mean", "deviation", *(f"percentile {p}" for p in PERCENTILES), "range", "change")
EXTREMES = (5, 95)
# Harmonics are in voiced frames alone; the spectrum's shape is that of consonants and pauses, too, or of vowels.
OVER_ALL = (*GROUPS["loudness"], *GROUPS["spectrum"], *GROUPS["mfcc"])
OVER_VOICED = ("f0", *GROUPS["tilt"], *GROUPS["spectrum"])
STATISTICS: tuple[str, ...] = (
    *(f"{name} {functional}" for name in OVER_ALL for functional in FUNCTIONALS),
    *(f"{name} voiced {functional}" for name in OVER_VOICED for functional in FUNCTIONALS),
    *(f"f0 voiced percentile {p}" for p in EXTREMES),
    "voicing mean",
)

# Of a speech encoder, beside the statistics: its vector and the means of its layers 2 and 3 (audio/encoder.py).
VECTORS = (3, 256)

# A corpus's digest reads the mean of every four frames, 46 ms, of the first 5.6 s.
POOLED, POOLED_FRAMES = 4, 120


def columns(groups: Collection[str] = tuple(GROUPS)) -> tuple[int, ...]:
    """Return which of STATISTICS are of the tracks of some groups, ascending.

    Raises:
      InputError: no such group.
    """
    names = {name for group in groups for name in GROUPS[check_choice("track_groups", group, GROUPS)]}
    return tuple(i for i, one in enumerate(STATISTICS) if one.partition(" ")[0] in names)
