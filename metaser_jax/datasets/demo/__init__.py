"""The builder of demo."""
