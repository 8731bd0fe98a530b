"""`python -m minituner`: the rules call the sources of this checkout, installed or not."""

import sys

try:
    from minituner.cli import main
except KeyboardInterrupt:  # while still loading
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
