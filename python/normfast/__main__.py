"""``python -m normfast``: the command line."""

import sys

from normfast.cli import main

sys.exit(main())
