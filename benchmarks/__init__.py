"""Benchmarks: this library and its peers, timed in one run by `python -m benchmarks GROUP`."""
