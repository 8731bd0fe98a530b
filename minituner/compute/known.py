"""What the compiled loops know how to compute, checked before anything reaches them.

They check nothing themselves, so all that a wrong shape, dtype or index could break is refused
here. Whatever is refused PyTorch's own modules compute, or refuse in their own words.
"""

from typing import Any, NamedTuple

import torch
import torch.nn as nn
import torch.nn.modules.module as global_hooks

from minituner import model as textbook
from minituner.foundation import environment
from minituner.lora import LoRALinear
from minituner.model import IGNORE, MLP, Attention, Block, MiniGPT
from minituner.nf4 import BLOCKSIZES, NESTED_BLOCKSIZE, NF4Linear, QuantState

KNOWN = (MiniGPT, Block, Attention, MLP, LoRALinear, NF4Linear)
KNOWN += (nn.Linear, nn.LayerNorm, nn.Embedding, nn.ModuleList)
METHODS = ("forward", "__call__", "_heads", "loss")
UNPATCHED = {(kind, name): getattr(kind, name, None) for kind in KNOWN for name in METHODS}
FUNCTIONS = ("linear", "gelu", "layer_norm", "embedding", "scaled_dot_product_attention", "dropout")
FUNCTIONS += ("cross_entropy",)
UNPATCHED |= {(nn.functional, name): getattr(nn.functional, name) for name in FUNCTIONS}
GLOBAL_HOOKS = [n for n in vars(global_hooks) if n.startswith("_global_") and n.endswith("_hooks")]
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
is_traced = getattr(torch._C._functorch, "is_functorch_wrapped_tensor", lambda tensor: False)


class Unknown(Exception):
    """Why the loops cannot compute something, as a phrase."""


class LayerPlaces(NamedTuple):
    """Where a Linear's tensors are in `Tensors.tensors`; None for what it has not."""

    weight: int  # float32 (out, in), or NF4's codes
    bias: int | None
    state: QuantState | None = None  # of a weight in NF4
    A: int | None = None
    B: int | None = None
    scaling: float = 0.0
    dropout: float = 0.0


class NormPlaces(NamedTuple):
    """Where a LayerNorm's tensors are."""

    weight: int
    bias: int
    eps: float


class Tensors:
    """Parameters and NF4 buffers, each once, in the order in which they were checked."""

    def __init__(self):
        self.tensors: list[torch.Tensor] = []
        self._places: dict[int, int] = {}

    def _tensor(self, tensor: Any, *shape: int, dtype: torch.dtype = torch.float32) -> int:
        """The place of a tensor, which must have this shape and dtype."""
        check_plain(tensor, dtype)
        if not tensor.is_contiguous():
            raise Unknown("a tensor that is not contiguous")
        if tuple(tensor.shape) != shape or not tensor.numel():
            raise Unknown(f"a tensor of shape {tuple(tensor.shape)} where {shape} belongs")
        place = self._places.setdefault(id(tensor), len(self.tensors))
        if place == len(self.tensors):
            self.tensors.append(tensor)
        return place

    def layer(self, module: nn.Module, out: int, into: int) -> LayerPlaces:
        """A Linear of any kind whose weight must be (out, in)."""
        if type(module) is LoRALinear:
            base = self.layer(_module(module, LoRALinear).base, out, into)
            if base.A is not None:
                raise Unknown("an update on an update")
            if module.merged:
                return base
            A, B = module.lora_A, module.lora_B
            return base._replace(
                A=self._tensor(A, len(A), into),
                B=self._tensor(B, out, len(A)),
                scaling=float(module.scaling),
                dropout=float(module.dropout) if module.training else 0.0,
            )
        bias = None if module.bias is None else self._tensor(module.bias, out)
        if type(module) is NF4Linear:
            state = _module(module, NF4Linear).quant_state
            return LayerPlaces(self._codes(module.weight, state, out, into), bias, state)
        return LayerPlaces(self._tensor(_module(module, nn.Linear).weight, out, into), bias)

    def _codes(self, codes: torch.Tensor, state: QuantState, out: int, into: int) -> int:
        n = out * into
        if tuple(state.shape) != (out, into) or state.dtype != torch.float32:
            raise Unknown(f"NF4 of {state.dtype}, {tuple(state.shape)}")
        if state.blocksize not in BLOCKSIZES:
            raise Unknown(f"NF4 with a blocksize of {state.blocksize}")
        blocks = -(-n // state.blocksize)
        if state.nested_absmax is None:
            self._tensor(state.absmax, blocks)
        else:
            self._tensor(state.absmax, blocks, dtype=torch.uint8)
            self._tensor(state.nested_absmax, -(-blocks // NESTED_BLOCKSIZE))
        return self._tensor(codes, -(-n // 2), 1, dtype=torch.uint8)


class Numbers(Tensors):
    """A model's tensors, and which part of it is where among them.

    Attributes:
        tokens, positions: the embeddings' places.
        blocks: for each block its parts in the order of `kernels.blocks.Block`.
        ln_f: the last norm.
        heads: of attention.
    """

    def __init__(self, model: MiniGPT):
        super().__init__()
        C = _module(model, MiniGPT).tok_emb.weight.shape[-1]
        self.tokens = self._embedding(model.tok_emb, C)
        self.positions = self._embedding(model.pos_emb, C)
        self.heads = 0
        self.blocks = [self._block(block, C) for block in _module(model.blocks, nn.ModuleList)]
        if not self.blocks:
            raise Unknown("a model without blocks")
        self.ln_f = self._norm(model.ln_f, C)

    def _embedding(self, module: nn.Module, C: int) -> int:
        _module(module, nn.Embedding)
        if module.max_norm or module.scale_grad_by_freq or module.sparse:
            raise Unknown("an embedding with options of its own")
        if module.padding_idx is not None:
            raise Unknown("an embedding with a padding symbol")
        return self._tensor(module.weight, len(module.weight), C)

    def _norm(self, module: nn.Module, C: int) -> NormPlaces:
        _module(module, nn.LayerNorm)
        if module.weight is None or module.bias is None:
            raise Unknown("a norm without weight or bias")
        if tuple(module.normalized_shape) != (C,):
            raise Unknown(f"a norm over {tuple(module.normalized_shape)}, not {C}")
        return NormPlaces(self._tensor(module.weight, C), self._tensor(module.bias, C), module.eps)

    def _block(self, block: nn.Module, C: int) -> tuple[NormPlaces | LayerPlaces, ...]:
        attn, mlp = _module(_module(block, Block).attn, Attention), _module(block.mlp, MLP)
        if not isinstance(attn.n_head, int) or attn.n_head < 1 or C % attn.n_head:
            raise Unknown(f"{attn.n_head} heads of {C} channels")
        if self.heads not in (0, attn.n_head):
            raise Unknown("blocks with different numbers of heads")
        self.heads = attn.n_head
        projections = (attn.q_proj, attn.k_proj, attn.v_proj, attn.o_proj)
        d_ff = mlp.fc1.out_features
        return (
            self._norm(block.ln1, C),
            *(self.layer(layer, C, C) for layer in projections),
            self._norm(block.ln2, C),
            self.layer(mlp.fc1, d_ff, C),
            self.layer(mlp.fc2, C, d_ff),
        )


def _module(module: nn.Module, kind: type) -> nn.Module:
    """The module, which must be of exactly that class, with no hooks and its own methods."""
    name = type(module).__name__
    if type(module) is not kind:
        raise Unknown(f"{name}: a module of another class")
    own = vars(module)
    if any(own.get(hooks) for hooks in HOOKS) or any(method in own for method in METHODS):
        raise Unknown(f"{name}: has hooks, or a forward of its own")
    return module


def check_surroundings() -> None:
    """Refuse what holds for the whole process.

    Raises:
        Unknown: if numerics are left to the libraries, or what PyTorch computes was changed.
    """
    if environment.unrestricted():
        raise Unknown("numerics left to the libraries")
    if torch.is_autocast_enabled("cpu"):
        raise Unknown("autocast")
    if any(getattr(global_hooks, name) for name in GLOBAL_HOOKS):
        raise Unknown("hooks on all modules")
    for (owner, name), method in UNPATCHED.items():
        if getattr(owner, name, None) is not method:
            raise Unknown(f"{owner.__name__}.{name} was replaced")
    if textbook.F is not nn.functional:
        raise Unknown("the textbook's functions were replaced")


def check_plain(tensor: Any, dtype: torch.dtype) -> None:
    """Refuse what is no ordinary tensor of that dtype in the CPU's memory.

    Raises:
        Unknown: naming what it is instead.
    """
    if type(tensor) not in (torch.Tensor, nn.Parameter) or is_traced(tensor):
        raise Unknown(f"a {type(tensor).__name__} where a tensor belongs")
    if tensor.dtype is not dtype or not tensor.is_cpu:
        raise Unknown(f"{tensor.dtype} on {tensor.device}")
    if tensor.layout is not torch.strided or tensor.is_neg():
        raise Unknown("a tensor that is no plain memory")


def check_input(x: torch.Tensor, width: int) -> None:
    """Refuse an x that a Linear of that width does not take.

    Raises:
        Unknown: naming what does not fit.
    """
    check_plain(x, torch.float32)
    if not x.numel() or x.shape[-1:] != (width,):
        raise Unknown(f"{tuple(x.shape)} for a Linear of {width} inputs")


def check_ids(ids: Any, symbols: int, longest: int) -> None:
    """Refuse ids that are not (B, T), of so many symbols, T at most `longest`.

    Raises:
        Unknown: naming what does not fit.
    """
    check_plain(ids, torch.int64)
    if ids.dim() != 2 or not ids.numel() or ids.shape[1] > longest:
        raise Unknown(f"{tuple(ids.shape)} ids for a context of {longest}")
    if int(ids.min()) < 0 or int(ids.max()) >= symbols:
        raise Unknown("an id outside the vocabulary")


def check_targets(targets: Any, ids: torch.Tensor, symbols: int) -> None:
    """Refuse targets that do not belong to ids, both (B, T), or of which none counts.

    Raises:
        Unknown: naming what does not fit.
    """
    check_plain(targets, torch.int64)
    if targets.shape != ids.shape:
        raise Unknown(f"targets of shape {tuple(targets.shape)} for ids of {tuple(ids.shape)}")
    counting = targets[targets != IGNORE]
    if not counting.numel():
        raise Unknown("no target that counts")
    if int(counting.min()) < 0 or int(counting.max()) >= symbols:
        raise Unknown("a target outside the vocabulary")
