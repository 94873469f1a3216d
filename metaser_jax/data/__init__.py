"""Corpora in memory: splits, normalisation, what a network is given; knows no jax."""
