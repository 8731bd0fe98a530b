"""Write the page."""

import argparse

# What the page shows, and so is made again for.
SETTINGS = (
    "corpus",
    "subsets",
    "model",
    "base",
    "lora",
    "tuning",
    "full",
    "sweep",
    "nf4",
    "evaluate",
    "definition_of_done",
)
PATHS = ("data", "results", "out")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    from minituner.foundation import storage
    from minituner.reporting import page
    from minituner.workflow import settings

    chosen = settings.load(args.settings, *SETTINGS)
    text = page.render(page.context(chosen, args.data, args.results))
    storage.write_text(args.out, text)
    print(f"{args.out}: open it in a browser")
