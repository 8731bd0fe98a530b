"""Stop with one line, and no trace, unless params.yaml is valid and the folders can be written."""

import atexit
import gc
import os
import sys
from pathlib import Path

# Not to search all that Snakemake has loaded for garbage again and again, nor once more at its end:
# a fifth of the time of a call with nothing to do.
gc.freeze()
atexit.register(gc.freeze)

# This checkout's package, whatever else is installed.
sys.path.insert(0, workflow.basedir)

from minituner.foundation.errors import UserError
from minituner.workflow import settings as minituner_settings

# Jobs run the Python that runs Snakemake, its environment activated or not, and in another
# folder (`--directory`) this checkout's package still.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=os.pathsep.join(filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")])),
)


def check(function, *args):
    """Call a check that raises UserError."""
    try:
        function(*args)
    except UserError as error:
        sys.exit(f"minituner: error: {error}")


check(minituner_settings.load, "params.yaml")

# Of Snakemake itself, which would show where in its own sources it failed, or of jobs, one by one.
for folder in (".", ".snakemake", "data", "logs", "results"):
    if os.path.isdir(folder) and not os.access(folder, os.W_OK):
        sys.exit(f"minituner: error: {folder}: read-only; make the folder writable and run again")
