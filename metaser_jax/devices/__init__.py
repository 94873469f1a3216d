"""Devices: one per core of a CPU, meshes, many runs at once, compiled programs kept on disk."""
