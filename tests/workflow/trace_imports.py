"""As `sitecustomize`: each `python -m minituner` notes what it loaded, the heavy packages too."""

import atexit
import json
import os
import sys
from pathlib import Path

HEAVY = ("torch", "numba", "pandas", "pyarrow", "matplotlib")


def _note():
    if Path(sys.argv[0]).parts[-2:] == ("minituner", "__main__.py"):
        root = Path(sys.modules["minituner"].__file__).parent
        loaded = {
            f"minituner/{Path(module.__file__).relative_to(root).as_posix()}"
            for name, module in sys.modules.items()
            if name.partition(".")[0] == "minituner"
        }
        heavy = [name for name in HEAVY if name in sys.modules]
        record = {"command": sys.argv[1], "loaded": sorted(loaded), "heavy": heavy}
        path = Path(os.environ["MINITUNER_TRACE"]) / f"{sys.argv[1]}-{os.getpid()}.json"
        path.write_text(json.dumps(record))


atexit.register(_note)
