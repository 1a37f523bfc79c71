"""``python -m agentreg``: the same as the command ``agentreg``."""

import sys

from agentreg.cli import main

if __name__ == "__main__":
    sys.exit(main())
