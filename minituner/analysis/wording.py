"""How numbers are written for people: one way for each metric, whatever page it is on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from minituner.checkpoints.runs import parse_run
from minituner.corpus.splits import FURTHER

SIGNIFICANT = 0.05  # a difference is one where p, corrected for their number, is below


class Format(NamedTuple):
    """Digits behind the point, and what a number is multiplied by, signed with and followed by."""

    digits: int
    factor: float = 1
    unit: str = ""
    sign: str = ""  # "+": positive numbers have a sign too

    def number(self, x: float) -> str:
        """Without the unit."""
        return f"{self.factor * x:{self.sign}.{self.digits}f}"

    def value(self, x: float) -> str:
        """With the unit."""
        return self.number(x) + self.unit

    def interval(self, row: Mapping[str, Any]) -> str:
        """`value`, `low` and `high` of a row: +3.1 points [+1.2, +5.0]."""
        low, high = self.number(row["low"]), self.number(row["high"])
        return f"{self.value(row['value'])} [{low}, {high}]"

    def interval_with_units(self, row: Mapping[str, Any]) -> str:
        """The same with the unit at each number: +1.5 % [+1.3 %, +1.7 %]."""
        low, high = self.value(row["low"]), self.value(row["high"])
        return f"{self.value(row['value'])} [{low}, {high}]"


SHARE = Format(1, 100, " %")
GAIN = Format(1, 100, " points", "+")
DRIFT = Format(2, 100, " %", "+")
NATS = Format(2, 1, "", "+")
PERPLEXITY = Format(3)

SHARES = {"accuracy", "exact_match", "control_accuracy", *(f"{n}_accuracy" for n in FURTHER)}
# Metrics as the pages quote them, the unit behind the value alone.
LEVELS = {
    "accuracy": SHARE,
    "exact_match": SHARE,
    **{f"{name}_accuracy": SHARE for name in FURTHER},
    "control_accuracy": SHARE,
    "accuracy_gain": GAIN._replace(unit=""),
    **{f"{name}_accuracy_gain": GAIN._replace(unit="") for name in FURTHER},
    "margin": Format(2),
    "form_logp": Format(2),
    "margin_gain": NATS,
    "perplexity": PERPLEXITY,
    "form_perplexity": PERPLEXITY,
    "perplexity_drift": DRIFT,
    "form_perplexity_drift": DRIFT._replace(digits=1),
}
LEVELS |= {
    f"{metric}_over_{other}": form
    for other in ("lowest", "lora")
    for metric, form in {
        "accuracy": GAIN._replace(unit=""),
        "margin": NATS,
        "form_logp": NATS,
        "perplexity_drift": DRIFT,
        "control_accuracy": GAIN._replace(unit=""),
    }.items()
}


def typographic(text: str) -> str:
    """With a true minus, and no line break between a number and its unit."""
    return text.replace("-", "−").replace(" %", "\u00a0%")


def label(unit: str, equals: str = "=") -> str:
    """A run or group as people call it: `lora_r8` → `LoRA r=8`."""
    fields = parse_run(unit)
    names = {"base": "base", "nf4": "NF4 base", "full": "full fine-tuning"}
    names |= {"lora": "LoRA", "qlora": "QLoRA"}
    rank = f" r{equals}{fields['rank']}" if fields["rank"] else ""
    return names[fields["method"]] + rank
