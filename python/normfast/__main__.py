"""``python -m normfast``: the command line."""

import sys

from normfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
