"""Count intruder dimensions of the experiment's runs with one seed, and score without them.

An intruder is a left singular vector among the largest of a tuned weight that no left singular
vector of the base's weight is close to (Shuttleworth et al. 2024, arXiv:2410.21228, section 3).
"""

import argparse
import copy
from pathlib import Path

import torch

from minituner import compute, qlora
from minituner.checkpoints.adapters import load_run
from minituner.checkpoints.models import load_model
from minituner.corpus import subsets
from minituner.foundation import parquet
from minituner.model import MiniGPT
from studies.definitions import CLOSE, LARGEST, SCALE
from studies.following import score

ADAPTED = ("q_proj", "v_proj")


def intruders(base: torch.Tensor, tuned: torch.Tensor) -> list[int]:
    """Which of the largest left singular vectors of a tuned weight (out, in) are intruders."""
    own = torch.linalg.svd(base.double()).U
    new = torch.linalg.svd(tuned.double()).U[:, :LARGEST]
    nearest = (own.T @ new).abs().max(dim=0).values
    return [i for i, cosine in enumerate(nearest.tolist()) if cosine < CLOSE]


def scaled(weight: torch.Tensor, which: list[int], scale: float) -> torch.Tensor:
    """A weight whose singular directions `which` have `scale` times their size."""
    U, S, Vh = torch.linalg.svd(weight.double())
    S[which] *= scale
    return ((U * S) @ Vh).to(weight.dtype)


def weights(model: MiniGPT) -> dict[str, torch.nn.Parameter]:
    """The weights that adapters are put on, by name."""
    return {name: p for name, p in model.named_parameters() if name.split(".")[-2] in ADAPTED}


@torch.no_grad()
def main() -> None:
    """Write a row a run and tested sentence, and a row a run and weight."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("results", "irregular", "control", "out", "counts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--ranks", type=int, nargs="+", required=True)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    compute.pin()
    held_out = subsets.read_held_out(args.irregular, args.control)
    test = [r for r in held_out if r["split"] == "test" and r["set"] in ("irregular", "control")]
    plain = load_model(args.results / "base")
    own = weights(plain)
    named = {f"LoRA r={rank}": f"lora_r{rank}_s{args.seed}" for rank in sorted(args.ranks)}
    named |= {"full fine-tuning": f"full_s{args.seed}"}
    scored = [{"variant": "base", **row} for row in score(plain, None, test)]
    counts = []
    for name, run in named.items():
        model = qlora.merge_model(load_run(run, args.results))
        without = copy.deepcopy(model)
        changed = weights(without)
        for layer, weight in weights(model).items():
            which = intruders(own[layer], weight)
            counts.append(
                {"variant": name, "seed": args.seed, "layer": layer, "intruders": len(which)}
            )
            changed[layer].copy_(scaled(weight, which, SCALE))
        for variant, tried in ((name, model), (f"{name}, scaled", without)):
            scored += [{"variant": variant, **row} for row in score(tried, None, test)]
    rows = [{"variant": row.pop("variant"), "at": "end", "reached": True, **row} for row in scored]
    parquet.write_rows(args.out, rows)
    parquet.write_rows(args.counts, counts)


if __name__ == "__main__":
    main()
