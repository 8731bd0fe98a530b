"""Parameters and bytes of a training step by formula, from a model's shape alone.

Four buckets: weights, gradients, optimizer and activations, the tensors that autograd keeps for the
backward pass. `memory.py` measures the same four on live tensors; the two agree to the byte.

B sequences of T symbols make N = B·T positions; d = d_model, f = d_ff, V symbols, r = rank.
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from minituner import checkpoint, files, numerics
from minituner.lora import lora_state_dict, trainable_parameters, wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.qlora import wrap_minigpt_qlora

FLOAT, INDEX = 4, 8  # bytes of a float32 and of an int64
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEARS = (*ATTENTION, "fc1", "fc2")
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
        where = "all Linears" if set(self.targets) == set(ALL_LINEARS) else ", ".join(self.targets)
        label = "LoRA" if self.method == "lora" else "QLoRA"
        return f"{label} r={self.rank}, {where}"


def linear_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """(out, in) of each Linear of a block."""
    d, f = config.d_model, config.d_ff
    return {name: (d, d) for name in ATTENTION} | {"fc1": (f, d), "fc2": (d, f)}


def linear_parameters(config: ModelConfig) -> int:
    """Weights of a block's Linears without biases: 4 d² + 2 d f."""
    return sum(out * into for out, into in linear_shapes(config).values())


def total_parameters(config: ModelConfig) -> int:
    """All parameters: embeddings (tied head), blocks and the final norm."""
    d, f = config.d_model, config.d_ff
    biases, norms = f + d, 2 * 2 * d
    block = linear_parameters(config) + biases + norms
    return (config.vocab_size + config.context) * d + config.n_layer * block + 2 * d


def adapter_parameters(config: ModelConfig, rank: int, targets: Iterable[str]) -> int:
    """r (in + out) for each target of each block (Hu et al. 2021, section 4.2)."""
    shapes = linear_shapes(config)
    return config.n_layer * sum(rank * sum(shapes[target]) for target in targets)


def nf4_bytes(n: int, blocksize: int, double_quant: bool) -> int:
    """Bytes of n weights in NF4: half a byte each, and absmax for each block.

    absmax takes 4 bytes, or with double quantization 1 byte and 4 more for every 256 blocks
    (Dettmers et al. 2023, section 3: 0.5 bits a parameter become 0.127).
    """
    blocks = math.ceil(n / blocksize)
    scales = blocks + FLOAT * math.ceil(blocks / 256) if double_quant else FLOAT * blocks
    return math.ceil(n / 2) + scales


def trainable_parameters_of(config: ModelConfig, regime: Regime) -> int:
    """Parameters that the regime trains."""
    if regime.method == "full":
        return total_parameters(config)
    return adapter_parameters(config, regime.rank, regime.targets)


def trainable_tensors(config: ModelConfig, regime: Regime) -> int:
    """Tensors that hold them: a block has 6 weights, 2 biases and 4 norm vectors."""
    if regime.method == "full":
        return 2 + 12 * config.n_layer + 2
    return 2 * len(regime.targets) * config.n_layer


def weights_bytes(config: ModelConfig, regime: Regime) -> int:
    """Parameters and buffers in memory, the adapter included."""
    adapter = 0 if regime.method == "full" else trainable_parameters_of(config, regime)
    if regime.method != "qlora":
        return FLOAT * (total_parameters(config) + adapter)
    linears = config.n_layer * linear_parameters(config)
    packed = config.n_layer * sum(
        nf4_bytes(out * into, regime.blocksize, regime.double_quant)
        for out, into in linear_shapes(config).values()
    )
    return packed + FLOAT * (total_parameters(config) - linears + adapter)


def activations_bytes(config: ModelConfig, regime: Regime, B: int, T: int) -> int:
    """What autograd keeps from the forward pass for the backward pass.

    Each operation keeps what its own gradient needs: a Linear its input only where its weight is
    trained (one copy where q, k and v share it), a norm its input, mean and 1/σ, GELU its input,
    attention q, k, v, its output and a log-sum-exp a row. Below the lowest trained weight nothing
    is kept at all, which is why a frozen embedding and first norm cost LoRA nothing.
    """
    N, d, f = B * T, config.d_model, config.d_ff
    full = regime.method == "full"
    trained = set(ALL_LINEARS if full else regime.targets)
    norm = N * d + 2 * N
    kept = 0
    flowing = full  # whether anything so far needs a gradient
    for _ in range(config.n_layer):
        kept += norm if flowing else 0
        if trained & {"q_proj", "k_proj", "v_proj"}:
            kept += N * d
            flowing = True
        if flowing:
            kept += 4 * N * d + B * config.n_head * T  # q, k, v, output and log-sum-exp
        elif "o_proj" in trained:
            kept += N * d
        flowing |= "o_proj" in trained
        kept += norm if flowing else 0
        kept += N * d if "fc1" in trained else 0
        flowing |= "fc1" in trained
        kept += N * f if flowing else 0  # GELU's input
        kept += N * f if "fc2" in trained else 0
        flowing |= "fc2" in trained
        kept += 0 if full else len(trained) * N * regime.rank  # A x
    kept += norm
    kept += N * d if full else 0  # the head's input: its weight is the trained embedding
    kept += N * config.vocab_size + 1  # log-softmax, and the sum of the loss's weights
    return FLOAT * kept + INDEX * N * (2 if full else 1)  # targets; ids for the embedding


def safetensors_bytes(shapes: dict[str, tuple[int, ...]]) -> int:
    """Size of a safetensors file with float32 tensors: 8 + the header padded to 8 + the data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in sorted(shapes):
        size = FLOAT * math.prod(shapes[name])
        fields = {"dtype": "F32", "shape": shapes[name], "data_offsets": [at, at + size]}
        header[name] = fields
        at += size
    text = json.dumps(header, separators=(",", ":"))
    return 8 + math.ceil(len(text) / 8) * 8 + at


def count(config: ModelConfig, regime: Regime, B: int, T: int) -> dict[str, Any]:
    """One row of the table: parameters and the four buckets in bytes, by formula."""
    trainable = trainable_parameters_of(config, regime)
    adapter = 0 if regime.method == "full" else trainable
    total = total_parameters(config) + adapter
    row = {
        "regime": regime.name,
        "method": regime.method,
        "rank": regime.rank,
        "target_modules": ",".join(regime.targets) or None,
        "trainable_parameters": trainable,
        "total_parameters": total,
        "trainable_percent": 100 * trainable / total,
        "weights_bytes": weights_bytes(config, regime),
        "gradients_bytes": FLOAT * trainable,
        # AdamW: two moments a parameter and a step count a tensor (Loshchilov & Hutter 2019).
        "optimizer_bytes": 2 * FLOAT * trainable + FLOAT * trainable_tensors(config, regime),
        "activations_bytes": activations_bytes(config, regime, B, T),
    }
    row["total_bytes"] = sum(row[f"{bucket}_bytes"] for bucket in BUCKETS)
    return row


def build(config: ModelConfig, regime: Regime) -> MiniGPT:
    """A model set up to train by the regime."""
    model = MiniGPT(config, numerics.generator(0, "counts"))
    if regime.method == "lora":
        wrap_minigpt_with_lora(model, regime.rank, 1.0, regime.targets)
    elif regime.method == "qlora":
        scheme = f"nf4_per_group_{regime.blocksize}" + "_double" * regime.double_quant
        wrap_minigpt_qlora(model, regime.rank, 1.0, scheme, regime.targets)
    return model


def verify(config: ModelConfig, regime: Regime, row: dict[str, Any]) -> None:
    """Hold a row against the instantiated model.

    Raises:
        AssertionError: if a formula and the model differ, which is a fault of this file.
    """
    model = build(config, regime)
    held = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    trained = sum(p.numel() for p in trainable_parameters(model))
    if (held, trained) != (row["weights_bytes"], row["trainable_parameters"]):
        raise AssertionError(f"{regime.name}: the model holds {held} bytes and trains {trained}")


def regimes(settings: dict[str, Any]) -> list[Regime]:
    """Full fine-tuning; LoRA r = 4, 8, 16 and QLoRA r = 8 on all Linears; then each swept rank."""
    configured, nf4 = tuple(settings["lora"]["target_modules"]), settings["nf4"]
    ranks = settings["sweep"]["ranks"]
    rows = [Regime("full")]
    rows += [Regime("lora", rank, ALL_LINEARS) for rank in (4, 8, 16)]
    rows += [Regime("qlora", 8, ALL_LINEARS, **nf4)]
    rows += [Regime("lora", rank, configured) for rank in ranks]
    rows += [Regime("lora", rank, ALL_LINEARS) for rank in ranks]
    rows += [Regime("qlora", rank, configured, **nf4) for rank in ranks]
    return list(dict.fromkeys(rows))


def report(settings: dict[str, Any], base: Path, out: Path) -> None:
    """Write `counts.parquet`, `.csv` and `.md`, after holding each row against a real model."""
    numerics.pin()
    config, _ = checkpoint.read_config(base)
    B, T = settings["tuning"]["batch_size"], config.context
    whole = (base / checkpoint.MODEL_FILE).stat().st_size
    rows = []
    for regime in regimes(settings):
        if regime.rank and regime.rank > config.d_model:
            continue
        row = count(config, regime, B, T)
        verify(config, regime, row)
        row["adapter_bytes"] = None
        if regime.method != "full":
            shapes = {k: tuple(v.shape) for k, v in lora_state_dict(build(config, regime)).items()}
            row["adapter_bytes"] = safetensors_bytes(shapes)
        row["file_percent"] = 100 * (row["adapter_bytes"] or whole) / whole
        rows.append(row)
    table = pa.Table.from_pylist(rows)
    files.write_table(out / "counts.parquet", table)
    files.write_table(out / "counts.csv", table)
    files.write_text(out / "counts.md", as_markdown(rows, config, B, T))


def human(n: float) -> str:
    """Bytes for people: 1,234 B, 56.7 KB, 8.90 MB, powers of 1,000."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:,} B"


def as_markdown(rows: list[dict[str, Any]], config: ModelConfig, B: int, T: int) -> str:
    """The table for people."""
    lines = [
        "# Parameters and bytes of a training step",
        "",
        f"MiniGPT with {total_parameters(config):,} parameters, {B} sequences of {T} symbols, "
        "float32, AdamW. By formula; held against the instantiated models.",
        "",
        "| regime | trained | share | weights | gradients | optimizer | activations | total "
        "| file ÷ base |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        sizes = [human(row[f"{bucket}_bytes"]) for bucket in (*BUCKETS, "total")]
        cells = [row["regime"], f"{row['trainable_parameters']:,}"]
        cells += [f"{row['trainable_percent']:.2f} %", *sizes, f"{row['file_percent']:.2f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
