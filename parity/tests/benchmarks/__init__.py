"""Benchmarks: each prints ratios, and is run by hand: `python -m parity.tests.benchmarks.NAME`."""
