"""What the programs' configurations share, besides what specs/ declares."""

from metaser_jax.specs.base import require


def require_folds(folds: int, by_speaker: bool) -> None:
    """Raise an InputError unless folds are 0, or 2 or more of a split by speaker."""
    require(folds == 0 or folds >= 2, "folds", folds, "0 (one split) or 2 or more")
    require(folds == 0 or by_speaker, "folds", folds, "0 without --split=speaker")
