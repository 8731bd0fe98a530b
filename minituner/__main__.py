"""`python -m minituner`: the rules call the sources of this checkout, installed or not."""

import gc
import sys

try:
    from minituner.workflow.cli import main
except KeyboardInterrupt:  # while still loading
    sys.exit(130)

if __name__ == "__main__":
    try:
        status = main()
    finally:
        # Or Python would search all that torch loaded for garbage before it ends: half a second,
        # and seconds on a busy machine, though the job was told to end.
        gc.freeze()
    sys.exit(status)
