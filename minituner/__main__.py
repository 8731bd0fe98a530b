"""`python -m minituner`: the rules call the sources of this checkout, installed or not."""

import sys

from minituner.cli import main

if __name__ == "__main__":
    sys.exit(main())
