"""Runs of meta-training and pre-training: checkpoints, monitoring, grids of runs."""
