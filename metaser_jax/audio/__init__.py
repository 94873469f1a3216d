"""Recordings: bytes to samples to MFCC or frame tracks, by worker processes; knows no jax."""
