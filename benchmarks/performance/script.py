"""What people write to tune one adapter in plain PyTorch: LoRA by hand, and `torch.compile`.

The same sentences, steps and validations as a run of the workflow. The plain GPT has random
weights, which takes no less time than the base's.
"""

import os
import sys
import tempfile
from pathlib import Path

COLD = "cold"  # the compiler has compiled nothing yet, as in a user's first run


def main(base: str, irregular: str, compiler: str, out: str) -> None:
    """Tune and save the adapter in `out`; compiler is `cold`, `warm` or `eager`."""
    if compiler == COLD:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(dir=Path(out).parent)
    import torch
    from safetensors.torch import save_file

    from benchmarks.performance import ours, peers
    from benchmarks.performance.plain import with_low_rank
    from minituner import data
    from minituner.checkpoints.models import read_config
    from minituner.corpus import subsets
    from minituner.workflow import settings

    values = settings.load("params.yaml", "lora", "tuning")
    lora, tuning = values["lora"], values["tuning"]
    vocab = read_config(Path(base))[0].vocab
    plain = with_low_rank(peers.plain(), 8, lora["alpha"], lora["target_modules"])
    parameters = [p for p in plain.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=tuning["learning_rate"], fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, tuning["steps"])
    model = plain if compiler == "eager" else torch.compile(plain)

    def examples(split: str) -> list[tuple[str, int]]:
        return data.completions(subsets.read_irregular(Path(irregular), split))

    def batch(pairs: list[tuple[str, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, targets = data.batch([text for text, _ in pairs], vocab, [seen for _, seen in pairs])
        spare = (0, ours.WIDTH - ids.shape[1])  # one shape, so that it is compiled once
        pad = torch.nn.functional.pad
        return pad(ids, spare), pad(targets, spare, value=-100)

    training, validation = examples("train"), batch(examples("val"))
    for step in range(tuning["steps"]):
        chosen = torch.randperm(len(training))[: tuning["batch_size"]]
        optimizer.zero_grad(set_to_none=True)
        peers.loss(model, *batch([training[i] for i in chosen])).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % tuning["eval_every"] == 0 or step == tuning["steps"] - 1:
            with torch.no_grad():
                peers.loss(model, *validation)
    learnt = {name: p.detach() for name, p in plain.named_parameters() if p.requires_grad}
    save_file(learnt, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
