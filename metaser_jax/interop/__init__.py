"""Other programs: PyTorch checkpoints, StableHLO, NumPy."""
