"""What `minituner --help` prints: the commands in groups, and examples; no job loads this."""

import shutil
import textwrap

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
