"""The builder of tess."""
