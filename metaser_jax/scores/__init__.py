"""Metrics, intervals, tests and calibration."""
