"""How many directions does a learned update use? Singular values of (α/r) B A, layer by layer.

Two answers, since a small singular value need not be a useless one: the values themselves, and what
is left of the gain when an adapter is cut down to its first direction.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import torch

from minituner import evaluate
from minituner.analysis.summary import parse_run, read_run
from minituner.checkpoints import runs
from minituner.compute.svd import decompose
from minituner.foundation import progress, storage
from minituner.lora import lora_layers
from minituner.model import MiniGPT


def layer_spectra(model: MiniGPT) -> Iterator[dict[str, Any]]:
    """For each adapted layer and direction: the singular value and its share of the update."""
    for name, layer in lora_layers(model).items():
        b, a = (x.detach().numpy() for x in (layer.lora_B, layer.lora_A))
        values = layer.scaling * decompose(b, a)[1]
        total = (values * values).sum()
        for i, value in enumerate(values):
            yield {"layer": name, "index": i + 1, "value": value, "share": value * value / total}


@torch.no_grad()
def keep_directions(model: MiniGPT, kept: int) -> None:
    """Cut every update of the model down to its `kept` largest directions, in place."""
    for layer in lora_layers(model).values():
        left, _, right = decompose(layer.lora_B.numpy(), layer.lora_A.numpy())
        layer.lora_B.zero_()[:, :kept] = torch.tensor(left[:, :kept], dtype=torch.float32)
        layer.lora_A.zero_()[:kept] = torch.tensor(right[:kept], dtype=torch.float32)


def report(base: Path, adapters: list[Path], irregular: Path, evaluations: Path, out: Path) -> None:
    """Write `spectra.parquet`, `truncated.parquet` and the figure to `out`.

    `truncated` has two rows an adapter, `kept` = its rank and 1: its mean accuracy and margin on
    the irregular test sentences as it was evaluated, and with its first direction alone; and a row
    for the base, with `kept` = 0.
    """
    from minituner.reporting import weight_figures

    columns = [c for c in evaluate.COLUMNS if c != "set"]
    rows = storage.read_table(irregular, columns).to_pylist()
    rows = [row for row in rows if row["split"] == "test" and not row["probe"]]
    spectra: list[dict[str, Any]] = []
    none = {"run": "base", "rank": 0, "seed": None, "kept": 0}
    truncated: list[dict[str, Any]] = [none | means(on_test(evaluations / "base.parquet"))]
    for folder in progress.bar(adapters, "decomposing", "adapters"):
        fields = parse_run(folder.name)
        run = {"run": folder.name, "rank": fields["rank"], "seed": fields["seed"]}
        model = runs.load(base, folder)
        spectra += [run | row for row in layer_spectra(model)]
        whole = on_test(evaluations / f"{folder.name}.parquet")
        truncated.append(run | {"kept": fields["rank"]} | means(whole))
        if fields["rank"] > 1:
            keep_directions(model, 1)
            first = pd.DataFrame(evaluate.score(model, rows))
            truncated.append(run | {"kept": 1} | means(first))
    storage.write_table(out / "spectra.parquet", pa.Table.from_pylist(spectra))
    storage.write_table(out / "truncated.parquet", pa.Table.from_pylist(truncated))
    weight_figures.draw_spectra(pd.DataFrame(spectra), pd.DataFrame(truncated), out)


def on_test(evaluation: Path) -> pd.DataFrame:
    """The irregular test sentences of an evaluated run."""
    table = read_run(evaluation)
    return table[table["irregular"] & (table["split"] == "test")]


def means(scored: pd.DataFrame) -> dict[str, float]:
    """Accuracy and margin over scored sentences."""
    return {
        "accuracy": float(scored["chosen"].astype(float).mean()),
        "margin": float(scored["margin"].mean()),
    }
