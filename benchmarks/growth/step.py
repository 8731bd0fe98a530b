"""One LoRA or QLoRA step at a width, in a process of its own.

python -m benchmarks.growth.step METHOD D_MODEL prints median CPU seconds and bytes by formula.
"""

import itertools
import statistics
import sys
import time

import minituner  # noqa: F401, before torch: it pins the kernels
from benchmarks.performance import ours
from minituner import compute, lora, qlora
from minituner.budget import formula, shapes

BATCH, REPETITIONS = 8, 5


def main(method: str, d_model: str) -> None:
    """Set up, step and print."""
    compute.pin()
    model, targets = ours.minigpt(int(d_model)), ours.TARGETS["q, v"]
    wrap = lora.wrap_minigpt_with_lora if method == "lora" else qlora.wrap_minigpt_qlora
    wrap(model, r=8, alpha=8.0, target_modules=targets)
    batch = ours.batch(BATCH, dense=True)
    step = ours.step(model, itertools.repeat(batch))
    step()
    times = []
    for _ in range(REPETITIONS):
        started = time.process_time()
        step()
        times.append(time.process_time() - started)
    regime = formula.Regime(method, 8, tuple(targets))
    row = formula.count(shapes.of(model.config), regime, batch[0].numel())
    print(statistics.median(times), row["total_bytes"])


if __name__ == "__main__":
    main(*sys.argv[1:])
