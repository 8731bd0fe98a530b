"""Write the model card of the judged adapter."""

import argparse

SETTINGS = ("corpus", "subsets", "model", "base", "lora", "tuning", "evaluate")
PATHS = ("data", "results", "out")


def run(args: argparse.Namespace) -> None:
    """Write the card, whether or not the definition of done is met."""
    from minituner.foundation import storage
    from minituner.reporting import model_card
    from minituner.workflow import settings

    chosen = settings.load(args.settings, *SETTINGS)
    values = model_card.context(chosen, args.data, args.results)
    storage.write_text(args.out, model_card.render(values))
