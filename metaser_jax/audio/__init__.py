"""Recordings: bytes to samples to MFCC, by worker processes; knows no jax."""
