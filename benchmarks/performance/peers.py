"""The peers' side of each row: what users of PyTorch, PEFT and bitsandbytes write.

A plain GPT of their own on the batches that ours gets, with PyTorch's own choice of kernels.
"""

from collections.abc import Iterator
from itertools import repeat

import torch
import torch.nn as nn
import torch.nn.functional as F

from benchmarks.performance import ours
from benchmarks.performance.ours import BASE, IRREGULAR, Work
from benchmarks.performance.plain import PlainGPT, with_low_rank
from minituner import data
from minituner.checkpoints.models import read_config
from minituner.model import IGNORE

ALPHA = 8.0


def plain(width: int = 64, layers: int = 4) -> PlainGPT:
    """A plain GPT of a MiniGPT's shape."""
    config = read_config(BASE)[0]
    return PlainGPT(config.vocab_size, config.context, layers, max(4, width // 64), width)


def loss(model: nn.Module, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean over the targets that count."""
    logits = model(ids).flatten(0, 1)
    return F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORE)


def step(model: nn.Module, compiled: bool, batches: Iterator) -> Work:
    """One optimizer step of what is trainable."""
    parameters = [p for p in model.train().parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    model = torch.compile(model) if compiled else model

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model, *next(batches)).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return run


def peft_model(model: nn.Module, rank: int, modules: str) -> nn.Module:
    """PEFT's LoRA on it."""
    import peft

    config = peft.LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=ours.TARGETS[modules])
    return peft.get_peft_model(model, config)


def peft_step(rank: int, modules: str, dense: bool, compiled: bool) -> Work:
    """A LoRA step by PEFT."""
    return step(peft_model(plain(), rank, modules), compiled, repeat(ours.batch(dense=dense)))


def hand_step(rank: int, modules: str, dense: bool, compiled: bool) -> Work:
    """A LoRA step by a low-rank layer of one's own."""
    model = with_low_rank(plain(), rank, ALPHA, ours.TARGETS[modules])
    return step(model, compiled, repeat(ours.batch(dense=dense)))


def bnb_step(layers: int, width: int, n: int, compiled: bool) -> Work:
    """A QLoRA step by PEFT on Linear4bit."""
    from benchmarks.parity.against_bitsandbytes import in_linear4bit

    model = in_linear4bit(plain(width, layers), double_quant=False)
    model.is_loaded_in_4bit = True
    return step(peft_model(model, 8, "q, v"), compiled, repeat(ours.batch(n)))


def plain_step(compiled: bool) -> Work:
    """A step of pretraining."""
    return step(plain(), compiled, ours.pretraining_batches())


def gemm_limit(rank: int, modules: str, dense: bool) -> Work:
    """As many operations as our step's products have, in one large product of PyTorch's."""
    side = 1024
    rows = ours.step_flops(rank) // (2 * side * side)
    x, w = torch.randn(rows, side), torch.randn(side, side)
    product = torch.ops.mkldnn._linear_pointwise
    return lambda: product(x, w, None, "none", [], "")


def bnb_quantize() -> Work:
    """bitsandbytes'."""
    from bitsandbytes import functional

    weight = ours.large()
    return lambda: functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=False)


def bnb_dequantize() -> Work:
    """bitsandbytes'."""
    from bitsandbytes import functional

    weight = ours.large()
    packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=False)
    return lambda: functional.dequantize_4bit(packed, state)


def copy() -> Work:
    """Of the weight that dequantizing writes."""
    weight = ours.large()
    return lambda: weight.clone()


def naive_scores() -> Work:
    """Each candidate and each whole sentence in a forward pass of its own."""
    model, rows = ours.minigpt().eval(), ours.scored_rows()
    vocab = model.config.vocab

    @torch.no_grad()
    def run() -> None:
        for row in rows:
            behind = row["text"][len(row["prompt"]) + len(row["form"]) :]
            forms = [row["form"], *row["alternatives"]]
            texts = [row["prompt"] + form + behind for form in forms]
            for text in [*texts, row["text"]]:
                ids = torch.tensor([data.encode(f"\n{text}\n", vocab)])
                F.log_softmax(model(ids[:, :-1]), -1).gather(2, ids[:, 1:, None]).sum()

    return run


def trainer() -> Work:
    """A script with transformers' Trainer and PEFT."""
    return ours.process("benchmarks.performance.trainer", str(BASE), str(IRREGULAR))


def script(compiler: str) -> Work:
    """A script without either: PyTorch alone, its compiler's cache `cold`, `warm`, or `eager`."""
    run = ours.process("benchmarks.performance.script", str(BASE), str(IRREGULAR), compiler)
    if compiler == "warm":
        run()
    return run


def bitsandbytes_kernels() -> str:
    """Which of its loops this machine's CPU makes bitsandbytes unpack NF4 with.

    The kernel for AVX-512 BF16, its own or the hub's, computes no step: it has no gradient.
    """
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return f"its loop {'with' if wide else 'without'} AVX-512, and PyTorch's product"
