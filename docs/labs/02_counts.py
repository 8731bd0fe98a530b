"""Lab 2: counts. Parameters and bytes from the shape alone, and what the papers print.

    python docs/labs/02_counts.py

Theory: docs/theory/02-parameter-count.md and 03-memory-footprint.md. Takes a few seconds.
"""

import minituner  # noqa: F401, I001  first of all, before torch is loaded: it pins the kernels

from minituner.budget import calculator, formula
from minituner.budget.formula import ALL_LINEARS, GATED_LINEARS, Regime
from minituner.budget.shapes import PRESETS, Shape
from minituner.lora import trainable_parameters, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig

QV = ("q_proj", "v_proj")
VOCAB = "\n" + "".join(map(chr, range(33, 33 + 28)))  # any 29 characters; the corpus has 29


def by_hand(d: int = 64, f: int = 256, layers: int = 4, vocab: int = 29, context: int = 64) -> int:
    """MiniGPT's parameters, a term a line."""
    attention = 4 * d * d
    mlp = (d * f + f) + (f * d + d)
    norms = 2 * 2 * d
    return vocab * d + context * d + layers * (attention + mlp + norms) + 2 * d


def counted(rank: int | None = None, targets: tuple[str, ...] = QV) -> int:
    """Trainable parameters of a real MiniGPT, with an adapter if there is a rank."""
    model = MiniGPT(ModelConfig(vocab=VOCAB))
    if rank:
        wrap_minigpt_with_lora(model, rank, target_modules=targets)
    return sum(p.numel() for p in trainable_parameters(model))


def adapter(shape: Shape, rank: int, targets: tuple[str, ...] = QV) -> int:
    """r (in + out) for each target of each layer."""
    return formula.adapter_parameters(shape, rank, targets)


def main() -> None:
    """Print each count by formula and counted, then the papers' figures."""
    mini = PRESETS["minigpt"]
    total = by_hand()
    print("1. MiniGPT, by hand, by shape and counted on the model:")
    print(f"   {total:,} = {mini.total_parameters():,} = {counted():,}")

    print("2. Adapters on it, by formula and counted:")
    for rank, targets, where in ((1, QV, "q, v"), (8, QV, "q, v"), (8, ALL_LINEARS, "all Linears")):
        n = adapter(mini, rank, targets)
        share = n / total
        print(
            f"   r={rank} on {where}: {n:,} = {counted(rank, targets):,}, {share:.2%} of the base"
        )

    print("3. The same formula at other sizes: the narrower the model, the larger the share.")
    llama = PRESETS["llama-7b"]
    n = adapter(llama, 8, GATED_LINEARS)
    print(f"   7B, r=8 on all Linears: {n:,}, {n / llama.total_parameters():.2%} of the base")

    print("4. Against the LoRA paper, rank on q and v:")
    for name, rank, printed in (
        ("gpt3-175b", 1, "4.7 M"), ("gpt3-175b", 8, "37.7 M"), ("roberta-base", 8, "0.3 M"),
        ("roberta-large", 8, "0.8 M"), ("gpt2-medium", 4, "0.35 M"), ("gpt2-large", 4, "0.77 M"),
    ):  # fmt: skip
        n = adapter(PRESETS[name], rank)
        digits = len(printed.split()[0].partition(".")[2])
        verdict = "agrees" if f"{n / 1e6:.{digits}f} M" == printed else "does not match"
        print(f"   {name}, r={rank}: {n:,}; the paper prints {printed}: {verdict}")

    print("5. Bytes of tuning a 65B model, 16 bits and AdamW's moments in 32:")
    big = PRESETS["llama-65b"]
    for regime in (Regime("full"), Regime("qlora", 64, GATED_LINEARS, 64, True)):
        row = formula.count(big, regime, 0, each=2)
        held = sum(row[f"{bucket}_bytes"] for bucket in formula.BUCKETS[:3])
        each = held / big.total_parameters()
        print(f"   {regime.name}: {held / 1e9:.0f} GB, {each:.2f} bytes a parameter")
    single, double = (calculator.bits_a_parameter(64, d) for d in (False, True))
    print(f"   NF4: {single:.3f} bits a weight, {double:.3f} with double quantization")


if __name__ == "__main__":
    main()
