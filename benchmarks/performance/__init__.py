"""How fast the product is beside what people use: work for both sides, timed in turn.

    python -m benchmarks.performance --out results/performance --page docs

Each side runs in a process of its own, ours in the pinned mode, the peers' with PyTorch's defaults,
and the two take turns, so that whatever else the machine does meets both. Every piece of work is a
function of this package that sets itself up and returns what one repetition calls. The peers come
with `make peers`.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        what: the work.
        against: whom or what it is held against.
        ours, theirs: names of functions in `work.py`, the second the one that may be slower.
        target: their time ÷ our time should be at least this.
        arguments: of both functions.
        modes: numerics of the two processes: `pinned` or `unrestricted`.
        process: whether a repetition is a whole process, start to end.
        times: that a repetition does the work, and then gives the time of one.
    """

    what: str
    against: str
    ours: str
    theirs: str
    target: float
    arguments: tuple[Any, ...] = ()
    modes: tuple[str, str] = ("pinned", "unrestricted")
    process: bool = False
    times: int = 1


STEPS = 5  # in a row, as in training: a single one would begin in the other side's caches
ROWS = [
    *(
        Row(f"LoRA step, r={rank} on {name}", "PEFT", "lora_step", "peft_step", 1.5, (rank, name),
            times=STEPS)
        for name in ("q, v", "all Linears")
        for rank in (1, 8, 32)
    ),
    Row(
        "LoRA step, every symbol counts, r=8 on q, v", "PEFT",
        "lora_step", "peft_step", 1.5, (8, "q, v", True), times=STEPS,
    ),
    Row(
        "LoRA step in the pinned mode", "ours, unrestricted",
        "lora_step", "lora_step", 0.85, (8, "q, v"), times=STEPS,
    ),
    Row("LoRA step, share of the GEMM limit", "its products alone", "lora_step", "gemm_limit", 0.6,
        (8, "q, v"), ("pinned", "pinned"), times=STEPS),
    Row("QLoRA step, MiniGPT", "PEFT + bitsandbytes", "qlora_step", "bnb_step", 1.5, (4, 64, 32),
        times=STEPS),
    Row("QLoRA step, d_model 1024 × 8 layers", "PEFT + bitsandbytes", "qlora_step", "bnb_step", 1.5,
        (8, 1024, 2)),
    Row("NF4 quantize, 4096 × 4096", "bitsandbytes", "quantize", "bnb_quantize", 4.0),
    Row("NF4 dequantize, 4096 × 4096", "bitsandbytes", "dequantize", "bnb_dequantize", 1.0),
    Row("NF4 dequantize, 4096 × 4096", "a plain copy", "dequantize", "copy", 0.8),
    Row("evaluating one run", "a forward pass for each candidate", "evaluate_run", "naive_scores",
        5.0),
    Row("one adapter from the command line", "Trainer + PEFT", "adapter", "trainer", 3.0,
        process=True),
]  # fmt: skip
