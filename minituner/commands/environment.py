"""Write down packages, CPU and numerics mode."""

import argparse
import json

PATHS = ("out",)


def run(args: argparse.Namespace) -> None:
    """Write it as JSON, for later comparisons."""
    from minituner.foundation import storage
    from minituner.workflow import provenance

    storage.write_text(args.out, json.dumps(provenance.made_with(), indent=2) + "\n")
