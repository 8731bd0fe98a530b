"""Hold a rebuilt project against the recorded one."""

import argparse

PATHS = ("recorded", "made")


def run(args: argparse.Namespace) -> None:
    """Print that they are equal.

    Raises:
        UserError: if they differ, naming the first stage that does and everything that may be why.
    """
    from minituner.workflow import reproduce

    print(reproduce.compare(args.recorded, args.made), end="")
