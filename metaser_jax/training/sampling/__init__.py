"""Corpora on the device: episodes and minibatches drawn inside jit."""
