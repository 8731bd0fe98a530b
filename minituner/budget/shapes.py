"""The shape of a transformer, as far as parameters go: MiniGPT's, a published one or yours."""

import dataclasses
import difflib
import typing

from minituner.foundation.errors import UserError

if typing.TYPE_CHECKING:
    from minituner.model import ModelConfig


MOST = {"n_layer": 10_000}  # each takes names in memory


@dataclasses.dataclass(frozen=True)
class Shape:
    """A stack of equal transformer blocks between an embedding and a head.

    Raises:
        UserError: for a size below 1 or beyond all models, or heads that do not divide.
    """

    n_layer: int
    d_model: int
    n_head: int
    d_ff: int
    vocab_size: int
    n_kv_head: int | None = None  # grouped-query attention (arXiv:2305.13245); None: n_head
    head_dim: int | None = None  # None: d_model // n_head
    gated_mlp: bool = False  # gate, up and down (arXiv:2002.05202) instead of fc1 and fc2
    tied: bool = True  # the head is the token embedding
    positions: int = 0  # rows of a learned position embedding
    attention_bias: bool = False  # of q, k and v
    output_bias: bool = False  # of o_proj
    mlp_bias: bool = False
    norm: str = "layer"  # "layer" has weight and bias, "rms" a weight
    norms: int = 2  # of a block: 1 where attention and MLP share it, 4 where both ends have one
    qk_norm: bool = False  # RMS norms of a head's queries and keys (arXiv:2010.04245)
    fused_qkv: bool = False  # q, k and v are one Linear
    fused_mlp: bool = False  # gate and up are one Linear
    head_bias: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "positions" else 1
            most = MOST.get(field.name, 10**9)
            if int in (field.type, *typing.get_args(field.type)) and value is not None:
                if type(value) is not int or not least <= value <= most:
                    bounds = f"≥ {least} and ≤ {most:,}"
                    raise UserError(f"shape: {field.name}: {value!r:.60}; use an integer {bounds}")
        if self.norm not in ("layer", "rms"):
            raise UserError(f"shape: norm: {self.norm!r}; use layer or rms")
        if self.head_dim is None and self.d_model % self.n_head:
            raise UserError(f"shape: n_head: {self.n_head} does not divide d_model {self.d_model}")
        if self.n_head % self.kv_heads:
            raise UserError(f"shape: n_kv_head: {self.n_kv_head} does not divide n_head")

    @property
    def usual(self) -> bool:
        """Whether the blocks are such that the formula of their activations holds."""
        return self.norms == 2 and not (self.qk_norm or self.fused_qkv or self.fused_mlp)

    @property
    def kv_heads(self) -> int:
        """Heads of k and v."""
        return self.n_kv_head or self.n_head

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.head_dim or self.d_model // self.n_head

    def linears(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each Linear of a block, by name."""
        d, f = self.d_model, self.d_ff
        q, kv = self.n_head * self.head_width, self.kv_heads * self.head_width
        attention = {"q_proj": (q, d), "k_proj": (kv, d), "v_proj": (kv, d)}
        if self.fused_qkv:
            attention = {"qkv_proj": (q + 2 * kv, d)}
        mlp = {"fc1": (f, d), "fc2": (d, f)}
        if self.gated_mlp:
            entry = {"gate_proj": (f, d), "up_proj": (f, d)}
            mlp = ({"gate_up_proj": (2 * f, d)} if self.fused_mlp else entry) | {
                "down_proj": (d, f)
            }
        return attention | {"o_proj": (d, q)} | mlp

    def biases(self) -> dict[str, int]:
        """Length of each bias of a block's Linears."""
        has = {name: self.mlp_bias for name in self.linears()}
        has |= dict.fromkeys(("q_proj", "k_proj", "v_proj", "qkv_proj"), self.attention_bias)
        has["o_proj"] = self.output_bias
        return {name: out for name, (out, _) in self.linears().items() if has[name]}

    def linear_parameters(self) -> int:
        """Weights of a block's Linears, biases left out."""
        return sum(out * into for out, into in self.linears().values())

    def norm_vectors(self) -> int:
        """Vectors of d_model numbers that one norm has."""
        return 2 if self.norm == "layer" else 1

    def total_parameters(self) -> int:
        """Embeddings, head unless tied, blocks with their norms, and the final norm."""
        d, norm = self.d_model, self.norm_vectors() * self.d_model
        norms = self.norms * norm + 2 * self.qk_norm * self.head_width
        block = self.linear_parameters() + sum(self.biases().values()) + norms
        rows = self.vocab_size * (1 if self.tied else 2) + self.positions
        return rows * d + self.n_layer * block + norm + self.head_bias * self.vocab_size

    def total_tensors(self) -> int:
        """How many tensors those parameters are in."""
        norms = self.norms * self.norm_vectors() + 2 * self.qk_norm
        block = len(self.linears()) + len(self.biases()) + norms
        ends = 1 + (not self.tied) + (self.positions > 0) + self.norm_vectors() + self.head_bias
        return ends + self.n_layer * block


def of(config: "ModelConfig") -> Shape:
    """The shape of a MiniGPT."""
    c = config
    return Shape(
        c.n_layer, c.d_model, c.n_head, c.d_ff, c.vocab_size, positions=c.context, mlp_bias=True
    )


def _gpt(n_layer: int, d_model: int, n_head: int, context: int) -> Shape:
    """A GPT-2 or GPT-3."""
    return Shape(
        n_layer, d_model, n_head, 4 * d_model, 50_257, positions=context,
        attention_bias=True, output_bias=True, mlp_bias=True,
    )  # fmt: skip


def _llama(n_layer: int, d_model: int, n_head: int, d_ff: int, vocab: int = 32_000, **other):
    """A LLaMA or one of its descendants."""
    return Shape(
        n_layer, d_model, n_head, d_ff, vocab, gated_mlp=True, tied=False, norm="rms", **other
    )


# From the models' own configuration files; RoBERTa's pooler and head are left out.
PRESETS = {
    "minigpt": Shape(4, 64, 4, 256, 29, positions=64, mlp_bias=True),
    "gpt2": _gpt(12, 768, 12, 1024),
    "gpt2-medium": _gpt(24, 1024, 16, 1024),
    "gpt2-large": _gpt(36, 1280, 20, 1024),
    "gpt3-175b": _gpt(96, 12288, 96, 2048),
    "roberta-base": dataclasses.replace(_gpt(12, 768, 12, 515), vocab_size=50_265),
    "roberta-large": dataclasses.replace(_gpt(24, 1024, 16, 515), vocab_size=50_265),
    "tinyllama-1.1b": _llama(22, 2048, 32, 5632, n_kv_head=4),
    "openllama-3b": _llama(26, 3200, 32, 8640),
    "llama-7b": _llama(32, 4096, 32, 11008),
    "llama-13b": _llama(40, 5120, 40, 13824),
    "llama-33b": _llama(60, 6656, 52, 17920),
    "llama-65b": _llama(80, 8192, 64, 22016),
    "llama-2-70b": _llama(80, 8192, 64, 28672, n_kv_head=8),
    "llama-3-8b": _llama(32, 4096, 32, 14336, 128_256, n_kv_head=8),
    "mistral-7b": _llama(32, 4096, 32, 14336, n_kv_head=8),
    "qwen2.5-7b": _llama(28, 3584, 28, 18944, 152_064, n_kv_head=4, attention_bias=True),
}


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _value(name: str, text: str) -> int | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if name == "norm":
        return text
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise UserError(f"--shape: {name}: {text!r} is neither an integer nor true/false") from None


def parse(text: str) -> Shape:
    """A preset's name, or `n_layer=32,d_model=4096,…`, starting from a preset if that comes first.

    Raises:
        UserError: naming the preset, field or value that is wrong, and what would be right.
    """
    head, *entries = text.split(",")
    if "=" not in head:
        if head not in PRESETS:
            raise UserError(f"--shape: {head!r} is no preset; {_suggest(head, list(PRESETS))}")
        sizes = dataclasses.asdict(PRESETS[head])
    else:
        sizes, entries = {}, [head, *entries]
    fields = {field.name: field for field in dataclasses.fields(Shape)}
    for entry in entries:
        name, _, value = entry.partition("=")
        if name not in fields:
            raise UserError(f"--shape: {name!r} is no field; {_suggest(name, list(fields))}")
        sizes[name] = _value(name, value)
        if fields[name].type is bool and type(sizes[name]) is not bool:
            raise UserError(f"--shape: {name}: {value!r}; use true or false")
    needed = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in sizes]
    if needed:
        raise UserError(f"--shape: {', '.join(needed)}: missing; add {needed[0]}=…")
    return Shape(**sizes)
