"""Experiments with `ebmjax`; `python -m experiments NAME` runs one, `python -m experiments list` lists them.

Each experiment is a module in the room of its family: `ellipse`, `horn`, `spins`, `codes`, `networks` or
`samplers`. Three more rooms serve all of them: `application` (the command line, the catalogue, the report), `drawing`
and `data`. To add an experiment, write its module in a room, and one line in `application/catalogue.py`.
"""

import os
from importlib.metadata import version

# On many CPUs, XLA before jax 0.12 logs two lines of 3,000 characters for each program that it reads from the
# compilation cache. They are about LLVM's tuning preferences and change nothing (openxla/xla issue 44565). The log
# level must be set before jax is imported, and this file is imported first.
if version("jax").startswith(("0.10.", "0.11.")):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
