"""The builder of folder."""
