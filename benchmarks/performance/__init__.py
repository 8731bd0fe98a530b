"""How fast the product is beside what people use: work for both sides, timed in turn.

    python -m benchmarks.performance --out results/performance --page docs

Each side runs in a process of its own, ours in the pinned mode, the peers' with PyTorch's defaults,
and the two take turns, so that whatever else the machine does meets both. Every piece of work is a
function of `ours.py` or `peers.py` that sets itself up and returns what one repetition calls. The
peers come with `make peers`, and compute a plain GPT of their own (`plain.py`).
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        what: the work.
        against: whom or what it is held against.
        ours, theirs: functions of `ours.py` or `peers.py`, the second the one that may be slower.
        targets: their time ÷ our time should be at least this, on one thread and on several; None
            where nothing is asked.
        arguments: of both functions.
        further: arguments that theirs alone has behind these.
        modes: of the two processes, see `MODES` in `__main__.py`.
        process: whether a repetition is a whole process, start to end, on all cores.
        times: that a repetition does the work, and then gives the time of one.
    """

    what: str
    against: str
    ours: str
    theirs: str
    targets: tuple[float | None, float | None]
    arguments: tuple[Any, ...] = ()
    further: tuple[Any, ...] = ()
    modes: tuple[str, str] = ("pinned", "unrestricted")
    process: bool = False
    times: int = 1

    def target(self, threads: int) -> float | None:
        """The one for so many threads; a process has that of several."""
        return self.targets[self.process or threads > 1]


STEPS = 5  # in a row, as in training: a single one would begin in the other side's caches
COMPILE = ", torch.compile"
LORA = [  # whom a LoRA step is held against; whether there is a target
    ("PEFT" + COMPILE, "peft_step", True, True),
    ("PEFT", "peft_step", False, False),
    ("LoRA by hand" + COMPILE, "hand_step", True, False),
    ("LoRA by hand", "hand_step", False, False),
]
NONE = (None, None)


def _steps(what: str, rank: int, modules: str, dense: bool, targets: tuple, peers: list) -> list:
    """A LoRA step against each of these peers."""
    return [
        Row(f"LoRA step, {what}r={rank} on {modules}", against, "lora_step", theirs,
            targets if held else NONE, (rank, modules, dense), (compiled,), times=STEPS)
        for against, theirs, compiled, held in peers
    ]  # fmt: skip


ROWS = [
    *_steps("", 8, "q, v", False, (2.5, 2.0), LORA),
    *_steps("every symbol counts, ", 8, "q, v", True, (1.5, 1.3), LORA),
    *_steps("", 1, "q, v", False, NONE, LORA[:2]),
    *_steps("", 32, "q, v", False, NONE, LORA[:2]),
    *_steps("", 8, "all Linears", False, NONE, LORA[:2]),
    Row("LoRA step in the pinned mode", "ours, unrestricted", "lora_step", "lora_step",
        (0.85, 0.85), (8, "q, v", False), times=STEPS),
    Row("LoRA step, loops compiled for this CPU", "ours, compiled for x86-64-v3", "lora_step",
        "lora_step", NONE, (8, "q, v", False), modes=("pinned", "x86-64-v3"), times=STEPS),
    Row("LoRA step, share of the GEMM limit", "its products alone, AVX2", "lora_step",
        "gemm_limit", (0.6, 0.6), (8, "q, v", False), modes=("pinned", "AVX2"), times=STEPS),
    Row("LoRA step, share of the GEMM limit", "its products alone, the widest there is",
        "lora_step", "gemm_limit", NONE, (8, "q, v", False), modes=("pinned", "unrestricted"),
        times=STEPS),
    Row("QLoRA step, MiniGPT", "PEFT + bitsandbytes", "qlora_step", "bnb_step", NONE, (4, 64, 32),
        (False,), times=STEPS),
    *(
        Row("QLoRA step, d_model 1024 × 8 layers", f"PEFT + bitsandbytes{name}", "qlora_step",
            "bnb_step", (2.0, 2.0), (8, 1024, 2), (bool(name),))
        for name in ("", COMPILE)
    ),
    Row("NF4 quantize, 4096 × 4096", "bitsandbytes", "quantize", "bnb_quantize", (4, 4)),
    Row("NF4 dequantize, 4096 × 4096", "bitsandbytes", "dequantize", "bnb_dequantize", (1, 1)),
    Row("NF4 dequantize, 4096 × 4096", "a plain copy", "dequantize", "copy", (0.8, 0.8)),
    Row("evaluating one run", "a forward pass for each candidate", "evaluate_run", "naive_scores",
        (5, 5)),
    *(
        Row("a step of pretraining", f"a plain loop{name}", "pretraining_step", "plain_step",
            (None, 2.0), (), (bool(name),), times=2 * STEPS)
        for name in ("", COMPILE)
    ),
    *(
        Row("one adapter, process start to file", against, "adapter", theirs, (None, target), (),
            further, process=True)
        for against, theirs, target, further in (
            ("Trainer + PEFT", "trainer", 3.0, ()),
            ("a plain script, torch.compile", "script", 3.0, ("cold",)),
            ("a plain script, torch.compile has its cache", "script", None, ("warm",)),
            ("a plain script", "script", None, ("eager",)),
        )
    ),
]  # fmt: skip
