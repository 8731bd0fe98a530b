"""Write a run's results between the markers of a page."""

import argparse

PATHS = ("results", "page")


def run(args: argparse.Namespace) -> None:
    """Write the block of the page anew."""
    from minituner.reporting import fill, showcase

    fill.fill_block(args.page, lambda: showcase.block(args.results))
