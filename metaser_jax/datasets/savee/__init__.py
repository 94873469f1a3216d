"""The builder of savee."""
