"""The builder of ravdess."""
