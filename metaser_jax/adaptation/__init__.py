"""Adaptation to a target: where it starts, which clips it learns from, one program for all its runs."""
