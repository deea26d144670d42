"""Benchmarks: ours against real peers, in one run. `python -m benchmarks GROUP`."""
