"""Training steps at the experiment's own shape by each method, and at one that fills no vectors.

Every result as a hash.

`python -m tests.compute.everywhere STEPS`.
"""

import minituner  # noqa: F401, I001  before torch is loaded: it sets the environment
import hashlib
import sys

import torch

from minituner import compute, nf4, qlora, train
from minituner.foundation import seeds
from minituner.lora import wrap_minigpt_with_lora
from minituner.model import IGNORE, MiniGPT, ModelConfig

VOCAB = "\n abcdefghijklmnopqrstuvwxyz.:"
SHAPES = {"odd": (1, 2, 28, 44)}  # with heads of 14 numbers; else the experiment's own
SETTINGS = {"learning_rate": 1e-2, "weight_decay": 0.01, "warmup": 1, "eval_every": 1}


def say(name, *tensors):
    """Print the hash of tensors' bytes."""
    parts = b"".join(t.detach().contiguous().numpy().tobytes() for t in tensors)
    print(name, hashlib.sha256(parts).hexdigest()[:16], flush=True)


def main(steps):
    """Print a line a result."""
    compute.pin()
    draw = compute.generator(0, "everywhere")
    factors = (torch.rand(64, 8, generator=draw), torch.rand(8, 64, generator=draw))
    say("svd", *map(torch.from_numpy, compute.decompose(*(f.numpy() for f in factors))))
    methods = ("full", None, 0), ("lora", 8, 0.1), ("qlora", 3, 0), ("odd", None, 0)
    for method, rank, dropout in methods:
        shape = SHAPES.get(method, ())
        model = MiniGPT(ModelConfig(VOCAB, *shape), seeds.generator(1, "everywhere"))
        if method == "qlora":
            names = qlora.block_linears(model)
            qlora.replace_linears(model, names, double_quant=True, quantize=compute.quantize)
            packed = (m for m in model.modules() if isinstance(m, nf4.NF4Linear))
            say("unpacked", *(compute.dequantize(m.weight, m.quant_state) for m in packed))
        if rank:
            init = compute.generator(2, "everywhere")
            wrap_minigpt_with_lora(model, rank, 8.0, dropout=dropout, generator=init)
        torch.manual_seed(0)
        batches = [torch.randint(29, (8, 36), generator=draw) for _ in range(steps)]
        pairs = [(ids[:, :-1], ids[:, 1:].clone()) for ids in batches]
        for _, targets in pairs:  # sentences of different lengths, some with a masked prompt
            targets[0, 20:] = targets[1, 7:] = targets[1:4, :5] = IGNORE
        fast, how = compute.accelerate(model), {"adamw": compute.AdamW}
        how |= {"clip": compute.clip_grad_norm_}
        curve = train.fit(fast, iter(pairs), pairs[:1], SETTINGS | {"steps": steps}, **how)
        say(method, *filter(torch.is_tensor, model.state_dict().values()))
        print(*(row["val_loss"] for row in curve))
        say("scores", fast.score(["go: she ", "eat: he "], ["went", "ate"])[0])


if __name__ == "__main__":
    main(int(sys.argv[1]))
