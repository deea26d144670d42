"""`python -m experiments`: see `experiments.application.cli`."""

import sys

from experiments.application import processes
from experiments.application.cli import main

if __name__ == "__main__":
    status = main()
    processes.leave(status)
    sys.exit(status)
