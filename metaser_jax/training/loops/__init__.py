"""Loops over episodes and epochs, as pure functions to jit."""
