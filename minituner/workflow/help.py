"""What `minituner --help` and `minituner COMMAND --help` print; no job loads this.

A stage is run again when a file that it loads changes. So the words that explain a stage's command
and its options stand here, and a better word runs nothing again. Other commands explain themselves.
"""

import argparse
import shutil
import textwrap
from collections.abc import Sequence

INTRODUCTION = (
    "LoRA and QLoRA on a GPT small enough to study. `make all` or `snakemake all` makes every "
    "result; the commands below ask what came out, and are what the workflow's rules call."
)
GROUPS = {
    "Ask the models": ("conjugate", "complete", "compare"),
    "Work through the course": ("check",),
    "Look things up and use what was made": (
        *("counts", "merge", "provenance", "validate", "completion"),
    ),
    "Stages, called by the rules of the same names": (
        *("corpus", "subsets", "base", "calibration", "train", "quantize", "memory", "evaluate"),
        *(
            "agreement",
            "summarize",
            "plot",
            "judge",
            "spectra",
            "codes",
            "completions",
            "card",
            "report",
            "gate",
        ),
        *("values", "fill", "step", "scaling", "study", "studies", "showcase", "throughput"),
        *("environment", "reproduce"),
    ),
}
EXAMPLES = """\
  minituner conjugate go --tense past_simple --subject she
  minituner complete "eat: yesterday she "
  minituner compare lora_r1 lora_r8
  minituner counts --shape llama-7b --rank 8
  minituner validate && snakemake all"""

THREADS = "that compute a batch's shards side by side (default: one a shard)"
STAGES = {
    # command: {option or argument, "" being the command itself: what it is for}
    "corpus": {
        "": "generate the learner corpus",
        "--verbs": "the forms, as CSV",
        "--templates": "the rest, as CSV",
        "--file": "or the sentences themselves",
    },
    "subsets": {
        "": "draw the irregular-verb subset and the regular-verb control set",
        "--verbs": "what the corpus is made from",
    },
    "base": {"": "pretrain MiniGPT on the corpus", "--threads": THREADS},
    "calibration": {"": "hold what a base expects against how often its corpus writes it"},
    "train": {
        "": "tune one run",
        "--rank": "of the adapter; not for --method full",
        "--threads": THREADS,
    },
    "quantize": {"": "store the base in NF4"},
    "memory": {"": "measure a step's memory"},
    "counts": {
        "": "count parameters and bytes by formula",
        "--base": "the MiniGPT to count",
        "--out": "folder of the tables",
        "--shape": "another model: a preset, n_layer=…,d_model=…,… or a config.json",
        "--list": "print the presets",
        "--rank": "of the adapter (default: 8)",
        "--targets": "all, or q_proj,v_proj,… (default: all)",
        "--blocksize": "of NF4: 32, 64, 128 … 4096 (default: 64)",
        "--double-quant": "of NF4's absmax",
        "--bytes": "of a float (2)",
        "--batch": "sequences, for activations",
        "--tokens": "a sequence (default: 512)",
        "examples": """\
minituner counts --shape llama-7b --rank 8          a preset; --list shows them all
minituner counts --shape qwen/config.json           a dense model of the Hugging Face hub
minituner counts --shape llama-7b,n_layer=40        a preset with other sizes""",
    },
    "evaluate": {"": "score one run on what was held out", "--adapter": "on top of the base"},
    "agreement": {
        "": "compare logits: LoRA on the base and on the NF4 base, and QLoRA runs with LoRA runs",
        "--trained": "the QLoRA runs' adapters, each of the rank and seed of one of --adapters",
    },
    "summarize": {"": "summarize all runs, with intervals"},
    "plot": {"": "draw the figures"},
    "judge": {"": "judge the results by the definition of done"},
    "spectra": {"": "decompose what the adapters learned"},
    "codes": {"": "count NF4's codes"},
    "completions": {"": "continue example prompts"},
    "card": {"": "write the model card of the judged adapter"},
    "report": {"": "write the page"},
    "gate": {"": "fail if a criterion is missed"},
    "values": {"": "collect the figures that the pages quote"},
}


def complete(parser: argparse.ArgumentParser, sections: Sequence[str]) -> None:
    """Give a command's options the words that stand here.

    Args:
        parser: of the command.
        sections: of the settings, which it reads.
    """
    words = STAGES.get(parser.prog.split()[-1], {}) | {
        "--log": "add what is printed to this file; only errors are shown as well"
    }
    if sections:
        words["--settings"] = f"sections {', '.join(sections)} (default: params.yaml)"
    for option in parser._actions:
        name = option.option_strings[0] if option.option_strings else option.dest
        option.help = words.get(name, option.help)
    if "examples" in words:
        parser.epilog = f"examples:\n{textwrap.indent(words['examples'], '  ')}"


def in_groups(names: list[str]) -> list[str]:
    """The commands in the groups' order, those of no group behind them."""
    listed = [name for group in GROUPS.values() for name in group]
    return [*(n for n in listed if n in names), *(n for n in names if n not in listed)]


def explanation(helps: dict[str, str]) -> str:
    """The page, of each command's help in the order that `in_groups` gives."""
    grouped = {name for group in GROUPS.values() for name in group}
    *others, stages = GROUPS
    groups = {title: GROUPS[title] for title in others}
    groups[stages] = (*GROUPS[stages], *(name for name in helps if name not in grouped))
    width = min(shutil.get_terminal_size().columns, 100)
    wide = max(map(len, helps)) + 4
    lines = ["usage: minituner COMMAND …", "", *textwrap.wrap(INTRODUCTION, width)]
    for title, names in groups.items():
        lines += ["", f"{title}:"]
        for name in names:
            lead = f"  {name}".ljust(wide)
            lines += textwrap.wrap(lead + helps[name], width, subsequent_indent=" " * wide)
    lines += ["", "Examples:", EXAMPLES, "", "`minituner COMMAND --help` explains one of them."]
    return "\n".join(lines) + "\n"
