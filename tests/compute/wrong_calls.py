"""Draw calls of the compute room's door, most of them wrong, and hold what they give to PyTorch's.

`python -m tests.compute.wrong_calls SEED N` makes N calls in this process. Each must raise an
exception, or give what the textbook gives for the same arguments: no abort, and no garbage.
"""

import minituner  # noqa: F401, I001  before torch is loaded: it sets the environment
import random
import sys

import numpy as np
import torch
import torch.nn as nn

from minituner import compute, lora, nf4, qlora
from minituner.model import IGNORE, MiniGPT, ModelConfig

DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64]
OTHER_IDS = [torch.int32, torch.int16, torch.uint8, torch.bool, torch.float32]


class Drawn:
    """Random choices, all from one seed."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.torch = torch.Generator().manual_seed(seed)

    def size(self, most: int = 9) -> int:
        return self.random.choice([1, 2, self.random.randint(1, most)])

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.torch)

    def spoilt(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor that differs in shape, strides, dtype or content, or the same one."""
        kind = self.random.randrange(10)
        if kind == 0 and tensor.dim():
            return tensor[..., : self.random.randint(0, tensor.shape[-1])]
        if kind == 1 and tensor.dim():
            return torch.cat([tensor, tensor])[: self.random.randint(0, 2 * len(tensor))]
        if kind == 2:
            return tensor.to(self.random.choice(DTYPES))
        if kind == 3 and tensor.dim() > 1:
            return tensor.transpose(0, -1)
        if kind == 4:
            return tensor.new_empty(0) if self.random.random() < 0.5 else tensor.flatten()
        if kind == 5 and tensor.dim():
            return tensor[:1].expand(tensor.shape)
        if kind == 6 and tensor.numel():
            return torch.as_strided(tensor, tensor.shape, [1] * tensor.dim())  # overlapping
        if kind == 7:
            return tensor.unsqueeze(self.random.randint(0, tensor.dim()))
        if kind == 8 and tensor.dim():
            return torch.stack([tensor, tensor], -1)[..., 0]  # not contiguous
        return tensor


def linear(draw: Drawn) -> nn.Module:
    """A Linear of some kind, at times with a spoilt tensor."""
    into, out = draw.size(70), draw.size(70)
    layer = nn.Linear(into, out, bias=draw.random.random() < 0.5)
    if draw.random.random() < 0.4:
        layer = nf4.NF4Linear.from_linear(layer, draw.random.choice([64, 128]), draw.size() == 2)
    if draw.random.random() < 0.5:
        layer = lora.LoRALinear(layer, draw.random.randint(1, min(into, out)))
        nn.init.normal_(layer.lora_B)
    spoil(draw, layer, 0.4)
    freeze(draw, layer)
    return layer


def spoil(draw: Drawn, module: nn.Module, chance: float) -> None:
    """Put a spoilt tensor or setting in place of one of a module's."""
    if draw.random.random() > chance:
        return
    part = draw.random.choice(list(module.modules()))
    tensors = [n for n, t in {**part._parameters, **part._buffers}.items() if t is not None]
    if hasattr(part, "n_head") and draw.random.random() < 0.5:
        part.n_head = draw.random.choice([0, -1, 3, 5, 1000])
    elif tensors:
        name = draw.random.choice(tensors)
        tensor = draw.spoilt(getattr(part, name).detach().clone())
        if name in part._parameters and (tensor.is_floating_point() or tensor.is_complex()):
            tensor = nn.Parameter(tensor)
            part._parameters[name] = tensor
        elif name in part._parameters:
            part._parameters[name] = nn.Parameter(tensor, requires_grad=False)
        else:
            part._buffers[name] = tensor


def freeze(draw: Drawn, module: nn.Module) -> None:
    """Half the time, draw anew which of a module's parameters are trained, adapter or not."""
    if draw.random.random() < 0.5:
        share = draw.random.choice([0.0, 0.1, 0.5, 1.0])
        for parameter in module.parameters():
            if parameter.is_floating_point() or parameter.is_complex():
                parameter.requires_grad_(draw.random.random() < share)


def model(draw: Drawn) -> MiniGPT:
    """A small MiniGPT of some kind, at times with a spoilt tensor."""
    heads = draw.random.randint(1, 3)
    d_model, d_ff = heads * draw.random.randint(1, 6), draw.size(20)
    vocab = "\nabcdef"[: draw.random.randint(2, 7)]
    config = ModelConfig(vocab, draw.size(2), heads, d_model, d_ff, 9)
    made = MiniGPT(config, draw.torch)
    targets = draw.random.choice([["q_proj", "v_proj"], ["fc1"], ["o_proj", "fc2"]])
    kind, rank = draw.random.randrange(3), draw.random.randint(1, 2)
    if kind and rank <= min(d_model, d_ff):
        wrap = qlora.wrap_minigpt_qlora if kind == 2 else lora.wrap_minigpt_with_lora
        wrap(made, rank, 2.0, target_modules=targets)
    spoil(draw, made, 0.5)
    freeze(draw, made)
    return made


def indices(draw: Drawn, shape: tuple[int, ...], symbols: int) -> torch.Tensor:
    """Ids, at times out of range, of another shape or dtype."""
    low, high = draw.random.choice([(0, symbols)] * 3 + [(-3, symbols), (0, symbols + 3)])
    ids = torch.randint(low, high, shape, generator=draw.torch)
    if draw.random.random() < 0.15:
        ids = ids.to(draw.random.choice(OTHER_IDS))
    return draw.spoilt(ids) if draw.random.random() < 0.2 else ids


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Whether two results are one within float32's rounding, NaN where the other has NaN."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if theirs.dtype not in (torch.float32, torch.float64) or not theirs.numel():
        return torch.equal(ours, theirs) or not torch.equal(theirs, theirs)  # NaN is not itself
    scale = max(1.0, float(theirs.abs().nan_to_num(0, 0, 0).max()))
    return torch.allclose(ours, theirs, atol=1e-3 * scale, equal_nan=True)


def outcome(function, *arguments):
    """What a call gives, or the exception that it raises; gradients too where there are any."""
    try:
        result = function(*arguments)
        if not isinstance(result, torch.Tensor) or not result.requires_grad:
            return [result]
        inputs = [p for p in PARAMETERS if p.requires_grad]
        grads = torch.autograd.grad(result.sum(), inputs, allow_unused=True)
        return [result.detach(), *(torch.zeros(()) if g is None else g for g in grads)]
    except Exception as error:  # any, but no abort
        return error


PARAMETERS: list[torch.Tensor] = []


def one_call(seed: int) -> None:
    """Make a call and hold it to the textbook's.

    Raises:
        AssertionError: if it gives something else than the textbook.
    """
    draw = Drawn(seed)
    kind = draw.random.choice(["linear", "loss", "logits", "score", "nf4", "adamw", "unpack"])
    if kind == "linear":
        layer = linear(draw)
        width = draw.random.choice([layer.in_features, draw.size(70)])
        x = draw.spoilt(draw.normal(draw.size(), width))
        if x.is_floating_point() and draw.random.random() < 0.5:
            x = x.detach().requires_grad_()
        PARAMETERS[:] = [x, *layer.parameters()]
        ours, theirs = outcome(compute.linear, layer, x), outcome(layer, x)
    elif kind in ("loss", "logits"):
        made = model(draw).train(draw.random.random() < 0.5)
        PARAMETERS[:] = list(made.parameters())
        shape = draw.size(4), draw.random.choice([1, 5, 9, 10])
        ids, targets = (indices(draw, shape, len(made.config.vocab)) for _ in range(2))
        if draw.random.random() < 0.5 and targets.dim() == 2 and targets.dtype == torch.int64:
            targets = targets.clone()
            targets[:, : draw.random.randint(0, 9)] = IGNORE
        arguments = (ids, targets) if kind == "loss" else (ids,)
        fast = compute.accelerate(made)
        function, textbook = (fast.loss, made.loss) if kind == "loss" else (fast, made)
        ours, theirs = outcome(function, *arguments), outcome(textbook, *arguments)
    elif kind == "score":
        made = model(draw).eval()
        letters = made.config.vocab[1:] + "z" * (draw.random.random() < 0.1)
        texts = [
            ["".join(draw.random.choices(letters, k=draw.random.randint(0, 6))) for _ in range(2)]
            for _ in range(draw.random.choice([2, 2, 3]))
        ][:2]
        from minituner import evaluate

        PARAMETERS[:] = []
        ours = outcome(lambda: compute.accelerate(made).score(*texts)[0])
        theirs = outcome(lambda: evaluate.score(made, *texts)[0])
    elif kind == "nf4":
        weight = draw.spoilt(draw.normal(draw.size(40), draw.size(40)))
        blocksize = draw.random.choice([64, 64, 128, 0, -1, 100, 64.0, "64"])
        options = blocksize, draw.random.random() < 0.3
        ours = outcome(lambda: compute.dequantize(*compute.quantize(weight, *options)))
        theirs = outcome(lambda: nf4.dequantize(*nf4.quantize(weight, *options)))
    elif kind == "unpack":
        packed, state = nf4.quantize(draw.normal(draw.size(40), draw.size(40)))
        packed = draw.spoilt(packed)
        state.absmax = draw.spoilt(state.absmax)
        ours, theirs = (outcome(f, packed, state) for f in (compute.dequantize, nf4.dequantize))
    else:
        adamw(draw)
        return
    hold(ours, theirs, f"seed {seed}: {kind}")


def adamw(draw: Drawn) -> None:
    """A step of AdamW and a clipping, held to PyTorch's."""
    made = []
    value, grad = draw.normal(draw.size(), draw.size()), draw.normal(draw.size(), draw.size())
    if draw.random.random() < 0.6:
        grad = torch.randn(value.shape, generator=draw.torch)
    value, grad = draw.spoilt(value), draw.spoilt(grad)
    for optimizer, clip in (
        (compute.AdamW, compute.clip_grad_norm_),
        (torch.optim.AdamW, torch.nn.utils.clip_grad_norm_),
    ):

        def step(optimizer=optimizer, clip=clip):
            parameter = nn.Parameter(value.clone(memory_format=torch.preserve_format))
            parameter.grad = grad.clone()
            clip([parameter], 1.0)
            optimizer([{"params": [parameter]}], lr=0.1).step()
            return parameter.detach()

        made.append(outcome(step))
    hold(*made, "AdamW")


def hold(ours, theirs, name: str) -> None:
    """Refuse a result that is neither an exception nor the textbook's."""
    if isinstance(ours, Exception):
        return
    assert not isinstance(theirs, Exception), f"{name}: {ours} for an error: {theirs!r}"
    for one, other in zip(ours, theirs, strict=True):
        assert same(one, other), f"{name}: {one} instead of {other}"


def main() -> None:
    """Make the calls."""
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    first, n = map(int, sys.argv[1:])
    for seed in range(first, first + n):
        print(seed, end="\r", flush=True)  # the last one stands if the process dies
        one_call(seed)


if __name__ == "__main__":
    main()
