"""What the numbers say, a few sentences a topic, made of the tables and not by hand.

Two runs are called different where their paired difference is significant at 5 %, corrected for
how many the summary compares (Holm 1979).
"""

import pandas as pd

from minituner.analysis.habits import off
from minituner.analysis.summary import lookup
from minituner.analysis.wording import DRIFT, GAIN, NATS, SHARE, SIGNIFICANT, typographic


def percent(x: float, digits: int = 1) -> str:
    """0.767 → 76.7 %."""
    return typographic(SHARE._replace(digits=digits).value(x))


def signed_percent(x: float) -> str:
    """0.0185 → +1.85 %."""
    return typographic(DRIFT.value(x))


def points(x: float) -> str:
    """0.0185 → +1.9 points."""
    return typographic(GAIN.value(x))


def nats(x: float) -> str:
    """2.2 → +2.20."""
    return typographic(NATS.value(x))


SHOW = {
    "accuracy": percent,
    "margin": nats,
    "perplexity_drift": signed_percent,
    "control_accuracy": percent,
}
CHANGE = {"accuracy": points, "margin": nats, "perplexity_drift": signed_percent}
NAMES = {
    "accuracy": "Accuracy",
    "margin": "The log-odds margin",
    "perplexity_drift": "The control's drift",
}


def with_interval(row: pd.Series, show) -> str:
    """A value with its interval in brackets."""
    return f"{show(row['value'])} [{show(row['low'])}, {show(row['high'])}]"


def differs(moved: pd.Series) -> bool:
    """Whether a paired difference is significant, corrected for how many are compared."""
    return bool(moved["p"] < SIGNIFICANT)


def against_rank(summary: pd.DataFrame, ranks: list[int], metric: str) -> str:
    """How a metric moves from the lowest to the highest rank, paired by prompt and seed."""
    show, name = SHOW[metric], NAMES[metric]
    units = [f"lora_r{rank}" for rank in ranks]
    low, high = (lookup(summary, unit, metric) for unit in (units[0], units[-1]))
    if len(ranks) == 1:
        return f"{name} is {show(low['value'])} at r = {ranks[0]}, the only rank."
    ends = f"{show(low['value'])} at r = {ranks[0]} and {show(high['value'])} at r = {ranks[-1]}"
    moved = lookup(summary, units[-1], f"{metric}_over_lowest")
    change = with_interval(moved, CHANGE[metric])
    word = "differs" if differs(moved) else "does not differ"
    return f"{name} {word} significantly: {ends}; the paired difference is {change}."


def compared(summary: pd.DataFrame, one: str, other: str, names: tuple[str, str]) -> str:
    """Two methods' margin, drift and control accuracy, and which of them differ.

    `one` is QLoRA and `other` LoRA of its rank, or `other` is LoRA of the lowest rank.
    """
    against = "over_lora" if one == f"q{other}" else "over_lowest"
    words = {
        "margin": ("a larger margin", "a smaller margin", "the same margin"),
        "perplexity_drift": ("more drift", "less drift", "as much drift"),
        "control_accuracy": (
            "more of the control's forms right",
            "fewer of the control's forms right",
            "as many of the control's forms right",
        ),
    }
    parts = []
    for metric, (more, less, same) in words.items():
        a, b = lookup(summary, one, metric), lookup(summary, other, metric)
        significant = differs(lookup(summary, one, f"{metric}_{against}"))
        word = (more if a["value"] > b["value"] else less) if significant else same
        parts.append(f"{word} ({SHOW[metric](a['value'])} against {SHOW[metric](b['value'])})")
    return (
        f"{names[0]} against {names[1]}: {', '.join(parts)}; “same” and “as” mean that the paired "
        "difference is not significant."
    )


def verbs(cells: list[dict]) -> str:
    """In how many irregular cells the correct form leads, before and after."""
    irregular = [cell for cell in cells if cell["irregular"]]
    before, after = (sum(cell[m] > 0 for cell in irregular) for m in ("base", "lora"))
    control = [cell for cell in cells if not cell["irregular"]]
    kept = sum(cell["lora"] > 0 for cell in control)
    return (
        f"On average over its sentences the correct form leads in {before} of {len(irregular)} "
        f"irregular cells before tuning and in {after} after; of the regular control verbs' "
        f"{len(control)} it leads in {kept} after tuning."
    )


def memory(rows: pd.DataFrame, rank: int) -> str:
    """What LoRA and NF4 save of a step."""
    by = {r["method"]: r for _, r in rows.iterrows() if r["method"] == "full" or r["rank"] == rank}
    total = "total_bytes_measured"
    states = {
        m: by[m]["gradients_bytes_measured"] + by[m]["optimizer_bytes_measured"]
        for m in ("full", "lora")
    }
    held = by["lora"]["weights_bytes_measured"] / by["qlora"]["weights_bytes_measured"]
    return (
        f"LoRA at rank {rank} needs {states['full'] / states['lora']:.0f} × fewer bytes of "
        "gradients and optimizer state than full fine-tuning; NF4 holds the weights in "
        f"{held:.1f} × fewer. Over the whole step, activations included, LoRA takes "
        f"{percent(by['lora'][total] / by['full'][total], 0)} and QLoRA "
        f"{percent(by['qlora'][total] / by['full'][total], 0)} of full fine-tuning's bytes."
    )


def calibration(table: pd.DataFrame) -> str:
    """How near the base's choices are to its corpus's, and what is furthest off."""
    apart = (table["probability"] - table["share"]).abs()
    worst = table.loc[apart.idxmax()]
    return (
        f"Behind prompts that it never saw, {percent(off(table), 0)} of the base's choices between "
        f"forms differ from its corpus's. Furthest off is “{worst['form']}” of "
        f"{worst['verb_lemma']}: {percent(worst['share'], 0)} of the corpus, "
        f"{percent(worst['probability'], 0)} of the base."
    )


def codes(table: pd.DataFrame, summary: pd.DataFrame) -> str:
    """How evenly the codes are used, and what rounding to them costs."""
    share = table["weights"] / table["weights"].sum()
    low, high = share.idxmin(), share.idxmax()
    drift = lookup(summary, "nf4", "perplexity_drift")
    return (
        f"The codes are used unevenly: code {high} ({table['value'][high]:.2f}) by "
        f"{percent(share[high])} of the weights, code {low} ({table['value'][low]:.2f}) by "
        f"{percent(share[low])}, where an even share would be {percent(1 / 16)}. "
        "Rounding the base to them moves the control's perplexity by "
        f"{with_interval(drift, signed_percent)}."
    )


def spectra(table: pd.DataFrame, truncated: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Whether rank 1 suffices, and why."""
    ranks = sorted(map(int, table["rank"].unique()))
    widest = ranks[-1]
    if widest == 1:
        return ["Only rank 1 was swept, so there is nothing to compare it with."]
    first = table[(table["rank"] == widest) & (table["index"] == 1)]
    share = first.groupby("layer")["share"].mean()
    cut = truncated[(truncated["rank"] == widest) & (truncated["kept"] == 1)]
    whole = truncated[(truncated["rank"] == widest) & (truncated["kept"] == widest)]
    sentences = [
        f"At r = {widest} the first of {widest} directions holds {percent(share.min(), 0)} to "
        f"{percent(share.max(), 0)} of an update's squared norm, depending on the layer, where "
        f"{percent(1 / widest, 0)} would be an even share."
    ]
    start = truncated.loc[truncated["kept"] == 0, "margin"].mean()
    left = (cut["margin"].mean() - start) / (whole["margin"].mean() - start)
    sentences.append(
        "Cut down to that direction, without further training, the adapter still prefers the "
        f"correct form in {percent(cut['accuracy'].mean())} of the test sentences (whole: "
        f"{percent(whole['accuracy'].mean())}) and keeps {percent(left, 0)} of its gain in margin."
    )
    if 1 in ranks:
        base, one, most = (
            lookup(summary, unit, "accuracy") for unit in ("base", "lora_r1", f"lora_r{widest}")
        )
        alone = lookup(summary, "lora_r1", "margin")["value"]
        margin = (alone - start) / (whole["margin"].mean() - start)
        more = differs(lookup(summary, f"lora_r{widest}", "accuracy_over_lowest"))
        if one["low"] > base["high"] and not more:
            verdict = "So rank 1 suffices for the choice between the forms"
        elif one["low"] > base["high"]:
            verdict = "So rank 1 goes most of the way"
        else:
            verdict = "Rank 1 does not suffice here"
        sentences.append(
            f"{verdict}: trained at r = 1, accuracy is {with_interval(one, percent)} against "
            f"{with_interval(most, percent)} at r = {widest}. Its one direction reaches "
            f"{percent(margin, 0)} of the gain in margin of r = {widest}; the first of that one's "
            f"{widest} directions reaches {percent(left, 0)} by itself."
        )
    return sentences
