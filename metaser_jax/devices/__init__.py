"""Devices: one per core of a CPU, meshes, many runs at once, compiling."""
