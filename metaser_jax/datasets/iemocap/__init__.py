"""The builder of iemocap."""
