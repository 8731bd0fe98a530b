"""What each subcommand that is a stage of the workflow calls, and the settings that it may see.

A stage's module is imported inside its function, so that making the corpus never loads torch and a
change to one stage's sources reruns that stage alone (see sources.py).
"""

import argparse

from minituner.foundation.errors import UserError
from minituner.workflow import settings

# What the report shows, and so is made again for.
EVERYTHING = (
    *("corpus", "subsets", "model", "base", "lora", "tuning", "full", "sweep", "nf4", "evaluate"),
    "definition_of_done",
)
# Subcommand → the sections of params.yaml that it may see; the rules pass exactly these.
SECTIONS: dict[str, tuple[str, ...]] = {
    "corpus": ("corpus",),
    "subsets": ("subsets",),
    "base": ("model", "base"),
    "counts": ("lora.target_modules", "tuning.batch_size", "nf4", "sweep.ranks"),
    "train": ("lora", "tuning"),
    "train_full": (
        "full",
        "tuning.steps",
        "tuning.batch_size",
        "tuning.shards",
        "tuning.warmup",
        "tuning.eval_every",
    ),
    "quantize": ("nf4",),
    "memory": ("lora", "tuning.batch_size", "sweep.qlora_ranks"),
    "study": ("science", "lora", "tuning"),
    "studies": (
        "science",
        "evaluate",
        "tuning.learning_rate",
        "subsets.train",
        "definition_of_done",
    ),
    "summarize": ("evaluate",),
    "plot": ("definition_of_done", "sweep"),
    "judge": ("definition_of_done", "sweep"),
    "completions": ("sweep",),
    "report": EVERYTHING,
    "values": ("definition_of_done",),
}


def corpus(args: argparse.Namespace) -> None:
    """Generate the learner corpus."""
    from minituner.corpus import generate as corpus

    if args.file:
        corpus.build_from_file(_settings(args), args.file, args.out)
    elif args.verbs and args.templates:
        corpus.build(_settings(args), args.verbs, args.templates, args.out)
    else:
        raise UserError("corpus: say --file, or --verbs and --templates")


def subsets(args: argparse.Namespace) -> None:
    """Draw the irregular-verb subset and the regular-verb control set."""
    from minituner.corpus import subsets

    subsets.build(_settings(args), args.corpus, args.verbs, args.irregular, args.control)


def base(args: argparse.Namespace) -> None:
    """Pretrain MiniGPT on the corpus."""
    from minituner import train

    train.pretrain(_settings(args), args.corpus, args.out, args.threads)


def counts(args: argparse.Namespace) -> None:
    """Count parameters and bytes by formula."""
    from minituner.budget import calculator
    from minituner.budget import formula as counts

    if args.list:
        print(calculator.presets(), end="")
    elif args.shape:
        nf4 = (args.blocksize, args.double_quant, args.bytes)
        step = (args.batch, args.tokens)
        print(calculator.table(args.shape, args.rank, args.targets, *nf4, *step), end="")
    elif args.base and args.out:
        counts.report(_settings(args), args.base, args.out)
    else:
        raise UserError("counts: say --shape NAME, or --base and --out")


def train(args: argparse.Namespace) -> None:
    """Tune one run."""
    from minituner import train

    if (args.rank is None) != (args.method == "full"):
        raise UserError(
            f"--rank: {'missing for' if args.rank is None else 'has no meaning for'} "
            f"--method {args.method}; {'add' if args.rank is None else 'drop'} it"
        )
    if args.method == "full":
        args.sections = SECTIONS["train_full"]
    values = _settings(args)
    given = args.method, args.base, args.irregular, args.seed, args.out, args.rank, args.threads
    train.tune(values, *given)


def quantize(args: argparse.Namespace) -> None:
    """Store the base in NF4."""
    from minituner import qlora

    qlora.quantize_checkpoint(_settings(args), args.base, args.out)


def memory(args: argparse.Namespace) -> None:
    """Measure a step's memory."""
    from minituner.budget import measure as memory

    memory.report(_settings(args), args.base, args.nf4, args.irregular, args.out)


def evaluate(args: argparse.Namespace) -> None:
    """Score one run on held-out frames."""
    from minituner import evaluate

    evaluate.evaluate_run(args.base, args.adapter, args.irregular, args.control, args.out)


def agreement(args: argparse.Namespace) -> None:
    """Compare LoRA on the NF4 base with LoRA on the base."""
    from minituner import evaluate

    evaluate.agreement(args.base, args.nf4, args.adapters, args.irregular, args.control, args.out)


def summarize(args: argparse.Namespace) -> None:
    """Summarize all runs, with intervals."""
    from minituner.analysis import summary as summarize

    summarize.summarize(_settings(args), args.runs, args.out)


def plot(args: argparse.Namespace) -> None:
    """Draw the figures."""
    from minituner.reporting import figures

    figures.draw(_settings(args), args.evaluate, args.train, args.base, args.out)


def judge(args: argparse.Namespace) -> None:
    """Judge the results by the definition of done."""
    from minituner.analysis import verdict as judge

    judge.judge(_settings(args), args.results, args.out)


def spectra(args: argparse.Namespace) -> None:
    """Decompose what the adapters learned."""
    from minituner.analysis import spectra

    spectra.report(args.base, args.adapters, args.irregular, args.evaluate, args.out)


def codes(args: argparse.Namespace) -> None:
    """Count NF4's codes."""
    from minituner.analysis import codes

    codes.report(args.base, args.nf4, args.out)


def completions(args: argparse.Namespace) -> None:
    """Continue example prompts."""
    from minituner.analysis import completions

    completions.report(_settings(args), args.results, args.irregular, args.control, args.out)


def report(args: argparse.Namespace) -> None:
    """Write the page."""
    from minituner.reporting import page as report

    report.report(_settings(args), args.data, args.results, args.templates, args.out)
    print(f"{args.out}: open it in a browser")


def gate(args: argparse.Namespace) -> None:
    """Fail if a criterion is missed."""
    from minituner.analysis import verdict as judge

    judge.gate(args.judged, args.out)


def values(args: argparse.Namespace) -> None:
    """Collect the figures that the pages quote."""
    from minituner.reporting import values

    values.write(_settings(args), args.results, args.out)


def _settings(args: argparse.Namespace) -> dict:
    return settings.load(args.settings, *args.sections)
