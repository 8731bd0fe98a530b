"""Sentences claim a difference only where the intervals carry it."""

import pandas as pd
import pytest

from minituner.reporting import findings


def summary(**values):
    """unit → metric → (value, low, high) and for a difference its p, as a summary on test."""
    names = ("value", "low", "high", "p")
    return pd.DataFrame(
        {"unit": unit, "metric": metric, "split": "test"} | dict(zip(names, row, strict=False))
        for unit, metrics in values.items()
        for metric, row in metrics.items()
    )


def test_ranks_differ_where_the_corrected_difference_is_significant():
    table = summary(
        lora_r1={"accuracy": (0.98, 0.97, 0.99), "margin": (2.0, 1.9, 2.1)},
        lora_r2={"accuracy": (0.985, 0.98, 0.99), "margin": (2.6, 2.5, 2.7)},
        lora_r4={
            "accuracy": (0.99, 0.985, 0.995),
            "margin": (2.7, 2.6, 2.8),
            "accuracy_over_lowest": (
                0.01,
                0.001,
                0.02,
                0.06,
            ),  # by itself its interval leaves 0 out
            "margin_over_lowest": (0.7, 0.6, 0.8, 0.001),
        },
    )
    said = findings.against_rank(table, [1, 2, 4], "accuracy")
    assert (
        "Accuracy does not differ significantly" in said
        and "+1.0 points [+0.1 points, +2.0 points]" in said
    )
    said = findings.against_rank(table, [1, 2, 4], "margin")
    assert "margin differs significantly" in said and "+0.70 [+0.60, +0.80]" in said
    assert "the only rank" in findings.against_rank(table, [1], "margin")


@pytest.mark.parametrize(
    "other, p, said",
    [(1, 0.01, "a larger margin"), (3, 0.01, "a smaller"), (3, 0.2, "the same")],
)
def test_two_methods_are_compared_the_right_way_round(other, p, said):
    same = {"perplexity_drift": (0.01, 0, 0.02), "control_accuracy": (0.9, 0.8, 1)}
    over = {f"{metric}_over_lowest": (0, -1, 1, 1.0) for metric in same}
    over["margin_over_lowest"] = (2 - other, 1 - other, 3 - other, p)
    table = summary(
        full={"margin": (2, 1, 3)} | same | over, lora_r1={"margin": (other, 0, 4)} | same
    )
    text = findings.compared(table, "full", "lora_r1", ("full", "LoRA"))
    assert said in text and "as much drift" in text and "as many of" in text


def test_qlora_is_held_to_lora_by_the_paired_difference():
    """Intervals that overlap, of runs that always differ by the same."""
    pair = {
        metric: ((2, 1, 3), (2.2, 1.2, 3.2), (0.2, 0.1, 0.3, 0.001))
        for metric in ("margin", "perplexity_drift", "control_accuracy")
    }
    qlora = {metric: q for metric, (_, q, _) in pair.items()}
    qlora |= {f"{metric}_over_lora": moved for metric, (_, _, moved) in pair.items()}
    table = summary(lora_r1={metric: row for metric, (row, _, _) in pair.items()}, qlora_r1=qlora)
    text = findings.compared(table, "qlora_r1", "lora_r1", ("QLoRA", "LoRA"))
    assert "a larger margin" in text and "more drift" in text


def tables(accuracy_of_rank_1):
    spectra = pd.DataFrame(
        {"rank": [1, 2, 2], "index": [1, 1, 2], "layer": "blocks.0.q", "share": [1, 0.8, 0.2]}
    )
    truncated = pd.DataFrame(
        {
            "rank": [0, 1, 2, 2],
            "kept": [0, 1, 2, 1],
            "margin": [-1.0, 1.0, 3.0, 1.0],
            "accuracy": [0.3, 0.9, 1.0, 0.8],
        }
    )
    table = summary(
        base={"accuracy": (0.3, 0.25, 0.35)},
        lora_r1={"accuracy": accuracy_of_rank_1, "margin": (1.0, 0.9, 1.1)},
        lora_r2={
            "accuracy": (0.99, 0.98, 1.0),
            "accuracy_over_lowest": (0.1, 0, 0.2, 0.2 if accuracy_of_rank_1[0] > 0.9 else 0.001),
        },
    )
    return spectra, truncated, table


@pytest.mark.parametrize(
    "accuracy, verdict",
    [
        ((0.985, 0.97, 0.99), "rank 1 suffices for the choice"),
        ((0.8, 0.75, 0.85), "rank 1 goes most of the way"),
        ((0.33, 0.2, 0.4), "Rank 1 does not suffice"),
    ],
)
def test_whether_rank_1_suffices_follows_from_the_intervals(accuracy, verdict):
    share, cut, last = findings.spectra(*tables(accuracy))
    assert "80\u00a0% to 80\u00a0%" in share and "50\u00a0% would be an even share" in share
    assert "keeps 50\u00a0% of its gain" in cut  # from −1 to 1 of −1 to 3
    assert verdict in last and "reaches 50\u00a0% of the gain" in last
