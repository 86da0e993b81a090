"""Measurements, run by hand: ``python -m benchmarks.lrp_speed --help``."""
