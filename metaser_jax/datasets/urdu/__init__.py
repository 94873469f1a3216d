"""The builder of urdu."""
