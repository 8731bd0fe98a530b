"""Parameters and bytes of a training step by formula, from a model's shape alone.

Four buckets: weights, gradients, optimizer and activations, the tensors that autograd keeps for the
backward pass. `measure.py` measures the same four on live tensors; the two agree to the byte.

B sequences of T symbols make N = B·T positions; d = d_model, f = d_ff, V symbols, r = rank.
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

from minituner.budget.shapes import Shape

FLOAT, INDEX = 4, 8  # bytes of a float32 and of an int64
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
BEFORE_O = {"q_proj", "k_proj", "v_proj"}
ALL_LINEARS = (*ATTENTION, "fc1", "fc2")
GATED_LINEARS = (*ATTENTION, "gate_proj", "up_proj", "down_proj")
FUSED_LINEARS = ("qkv_proj", "o_proj", "fc1", "fc2")
FUSED_GATED_LINEARS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
EVERY = [*map(set, (ALL_LINEARS, GATED_LINEARS, FUSED_LINEARS, FUSED_GATED_LINEARS))]
BUCKETS = ("weights", "gradients", "optimizer", "activations")


@dataclasses.dataclass(frozen=True)
class Regime:
    """A way to tune: `full`, or `lora` or `qlora` with a rank on some Linears of each block."""

    method: str
    rank: int | None = None
    targets: tuple[str, ...] = ()
    blocksize: int = 64
    double_quant: bool = False

    @property
    def name(self) -> str:
        """As people say it: `LoRA r=8, all Linears`."""
        if self.method == "full":
            return "full fine-tuning"
        where = "all Linears" if set(self.targets) in EVERY else ", ".join(self.targets)
        label = "LoRA" if self.method == "lora" else "QLoRA"
        return f"{label} r={self.rank}, {where}"


def adapter_parameters(shape: Shape, rank: int, targets: Iterable[str]) -> int:
    """r (in + out) for each target of each block (Hu et al. 2021, section 4.2)."""
    linears = shape.linears()
    return shape.n_layer * sum(rank * sum(linears[target]) for target in targets)


def nf4_bytes(n: int, blocksize: int, double_quant: bool) -> int:
    """Bytes of n weights in NF4: half a byte each, and absmax for each block.

    absmax takes 4 bytes, or with double quantization 1 byte and 4 more for every 256 blocks
    (Dettmers et al. 2023, section 3: 0.5 bits a parameter become 0.127).
    """
    blocks = math.ceil(n / blocksize)
    scales = blocks + FLOAT * math.ceil(blocks / 256) if double_quant else FLOAT * blocks
    return math.ceil(n / 2) + scales


def trainable_parameters_of(shape: Shape, regime: Regime) -> int:
    """Parameters that the regime trains."""
    if regime.method == "full":
        return shape.total_parameters()
    return adapter_parameters(shape, regime.rank, regime.targets)


def trainable_tensors(shape: Shape, regime: Regime) -> int:
    """Tensors that hold them: weights and biases of Linears, norms and embeddings, or A and B."""
    if regime.method != "full":
        return 2 * len(regime.targets) * shape.n_layer
    return shape.total_tensors()


def weights_bytes(shape: Shape, regime: Regime, each: int = FLOAT) -> int:
    """Parameters and buffers in memory, the adapter included; `each`: bytes of one unquantized."""
    adapter = 0 if regime.method == "full" else trainable_parameters_of(shape, regime)
    if regime.method != "qlora":
        return each * (shape.total_parameters() + adapter)
    linears = shape.n_layer * shape.linear_parameters()
    packed = shape.n_layer * sum(
        nf4_bytes(out * into, regime.blocksize, regime.double_quant)
        for out, into in shape.linears().values()
    )
    if regime.double_quant:  # the mean that was subtracted, one for each Linear
        packed += FLOAT * shape.n_layer * len(shape.linears())
    return packed + each * (shape.total_parameters() - linears + adapter)


def activations_bytes(shape: Shape, regime: Regime, symbols: int, looked: int | None = None) -> int:
    """What autograd keeps from the forward pass for the backward pass, float32.

    Each operation keeps what its own gradient needs: a Linear its input only where its weight is
    trained (one copy where q, k and v share it), a norm its input and its statistics, GELU its
    input or slope, attention q, k and v (repeated to the heads of q), its output and a number each
    symbol and head for its softmax (the highest score or the logarithm of the sum).
    Below the lowest trained weight nothing is kept at all, which is why a frozen embedding and
    first norm cost LoRA nothing. Where the loss looks at `looked` of the N symbols only, the last
    block goes on with those behind its attention; their indices are kept too. It holds for blocks
    of two norms and Linears that are not fused.
    """
    N, d, f = symbols, shape.d_model, shape.d_ff
    L = N if looked is None else looked
    full = regime.method == "full"
    trained = set(shape.linears() if full else regime.targets)
    # RMSNorm also keeps the normalized input for the gradient of its weight.
    norm = d + 2 if shape.norm == "layer" else (2 if full else 1) * d + 1
    kept = indices = 0
    flowing = full  # whether anything so far needs a gradient
    for layer in range(shape.n_layer):
        N, narrowed = symbols, layer == shape.n_layer - 1 and L < symbols
        kept += N * norm if flowing else 0
        if trained & BEFORE_O:
            kept += N * d
            flowing = True
        if flowing:
            kept += N * shape.n_head * (4 * shape.head_width + 1)
        if narrowed:
            N, indices = L, L if flowing else 0
        if "o_proj" in trained and (narrowed or not flowing):  # else attention's output serves
            kept += N * shape.n_head * shape.head_width
        kept += 0 if full else len(trained & BEFORE_O) * symbols * regime.rank  # A x
        flowing |= "o_proj" in trained
        kept += N * norm if flowing else 0
        kept += N * d if trained & {"fc1", "gate_proj", "up_proj"} else 0
        gate, up = flowing or "gate_proj" in trained, flowing or "up_proj" in trained
        flowing |= bool(trained & {"fc1", "gate_proj", "up_proj"})
        if shape.gated_mlp:  # SiLU's input and the two factors of the product
            kept += N * f * (gate + gate + up)
        else:
            kept += N * f if flowing else 0  # GELU's input
        kept += N * f if trained & {"fc2", "down_proj"} else 0
        flowing |= bool(trained & {"fc2", "down_proj"})
        kept += 0 if full else len(trained - BEFORE_O) * N * regime.rank
    kept += L * norm
    kept += L * d if full else 0  # the head's input: its weight is trained
    kept += L * shape.vocab_size + 1  # log-softmax, and the sum of the loss's weights
    # Targets, where they are, and for the embeddings ids and positions.
    looked_up = (1 + (shape.positions > 0)) * symbols if full else 0
    return FLOAT * kept + INDEX * (L + indices + looked_up)


def safetensors_bytes(tensors: dict[str, tuple[int, ...]], each: int = FLOAT) -> int:
    """Size of a safetensors file: 8 + the header padded to 8 + the data, `each` bytes a number."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in sorted(tensors):
        size = each * math.prod(tensors[name])
        fields = {
            "dtype": f"F{8 * each}",
            "shape": list(tensors[name]),
            "data_offsets": [at, at + size],
        }
        header[name] = fields
        at += size
    text = json.dumps(header, separators=(",", ":"))
    return 8 + math.ceil(len(text) / 8) * 8 + at


def count(
    shape: Shape, regime: Regime, symbols: int, each: int = FLOAT, looked: int | None = None
) -> dict[str, Any]:
    """One row of the table: parameters and the four buckets in bytes, by formula.

    `each` is the bytes of a weight that is not quantized and of a gradient: 2 for the customary 16
    bits, with AdamW's moments still in float32. Activations are float32's, of `symbols` symbols in
    all sequences together; for `looked` see `activations_bytes`.
    """
    trainable = trainable_parameters_of(shape, regime)
    adapter = 0 if regime.method == "full" else trainable
    total = shape.total_parameters() + adapter
    row = {
        "regime": regime.name,
        "method": regime.method,
        "rank": regime.rank,
        "target_modules": ",".join(regime.targets) or None,
        "trainable_parameters": trainable,
        "total_parameters": total,
        "trainable_percent": 100 * trainable / total,
        "weights_bytes": weights_bytes(shape, regime, each),
        "gradients_bytes": each * trainable,
        # AdamW: two moments a parameter and a step count a tensor (Loshchilov & Hutter 2019).
        "optimizer_bytes": 2 * FLOAT * trainable + FLOAT * trainable_tensors(shape, regime),
        "activations_bytes": activations_bytes(shape, regime, symbols, looked),
    }
    row["total_bytes"] = sum(row[f"{bucket}_bytes"] for bucket in BUCKETS)
    return row


def targets_of(target_modules: list[str] | str) -> tuple[str, ...]:
    """The Linears of a block that the setting names: a list of them, or the word `all-linear`."""
    return ALL_LINEARS if isinstance(target_modules, str) else tuple(target_modules)


def regimes(settings: dict[str, Any]) -> list[Regime]:
    """Full fine-tuning; LoRA r = 4, 8, 16 and QLoRA r = 8 on all Linears; then each swept rank."""
    configured, nf4 = targets_of(settings["lora"]["target_modules"]), settings["nf4"]
    ranks = settings["sweep"]["ranks"]
    rows = [Regime("full")]
    rows += [Regime("lora", rank, ALL_LINEARS) for rank in (4, 8, 16)]
    rows += [Regime("qlora", 8, ALL_LINEARS, **nf4)]
    rows += [Regime("lora", rank, configured) for rank in ranks]
    rows += [Regime("lora", rank, ALL_LINEARS) for rank in ranks]
    rows += [Regime("qlora", rank, configured, **nf4) for rank in ranks]
    return list(dict.fromkeys(rows))
