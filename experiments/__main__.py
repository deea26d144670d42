"""`python -m experiments`: see `experiments.application.cli`."""

import sys

from experiments.application.cli import main

if __name__ == "__main__":
    sys.exit(main())
