"""Experiments: one file a figure family, run by `python -m experiments NAME`."""

import os
from importlib.metadata import version

# XLA before jax 0.12 logs two lines of 3,000 characters for each program that it reads from the compilation cache on
# many a CPU, about LLVM's tuning preferences, and then uses the program all the same (openxla/xla issue 44565). The
# level has to be set before jax is imported, and this file is what is imported first.
if version("jax").startswith(("0.10.", "0.11.")):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
