"""Collect the figures that the pages quote."""

import argparse

SETTINGS = ("definition_of_done",)
PATHS = ("results", "out")


def run(args: argparse.Namespace) -> None:
    """Write the values, and the hashes of the figures that pages show, as JSON."""
    from minituner.foundation import storage
    from minituner.reporting import values
    from minituner.workflow import settings

    bars = settings.load(args.settings, *SETTINGS)["definition_of_done"]
    figures = {
        name: storage.sha256(storage.reading(args.results / name)) for name in values.FIGURES
    }
    content = {"figures": figures, "values": values.collect(bars, args.results)}
    storage.write_json(args.out, content)
