"""Ask models for a form: base, adapter and QLoRA side by side."""

import argparse

EXAMPLES = """\
minituner conjugate go --tense past_simple --subject she
minituner conjugate eat --tense past_participle --run base --run full_s0"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from minituner.commands.complete import add_models

    add = parser.add_argument
    add("verb", metavar="VERB", help="a lemma of the corpus: go, eat, walk, …")
    add("--tense", default="past_simple", help="default: past_simple")
    add("--subject", help="as in the corpus: she, they, … (default: its first)")
    add("--time", help="as in the corpus: yesterday, … (default: its first)")
    add_models(parser)


def run(args: argparse.Namespace) -> None:
    """Print the form's chances, and its rivals'."""
    from minituner.analysis import ask
    from minituner.commands.complete import chosen_models

    models = chosen_models(args)
    print(ask.conjugate(models, args.data, args.verb, args.tense, args.subject, args.time))
