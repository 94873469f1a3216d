"""The builder of emovo."""
