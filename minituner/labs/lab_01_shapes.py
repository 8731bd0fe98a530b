"""The shapes and models that lab 01's formulas are held against."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from minituner.budget.formula import ALL_LINEARS
from minituner.foundation import seeds
from minituner.labs.checking import Wrong
from minituner.lora import wrap_minigpt_with_lora
from minituner.model import MiniGPT, ModelConfig
from minituner.qlora import wrap_minigpt_qlora

SHAPES = 20


class Shape(ModelConfig):
    """A shape that does not say how many numbers a model of it has: that is what is asked."""

    @property
    def parameters(self) -> int:
        """Refused.

        Raises:
            Wrong: always.
        """
        raise Wrong("count looked up")

    def __repr__(self) -> str:
        """As the page names its numbers."""
        sizes = f"V = {self.vocab_size}, T = {self.context}, d = {self.d_model}, f = {self.d_ff}"
        return f"{sizes}, n_layer = {self.n_layer}"


@contextlib.contextmanager
def without_models() -> Iterator[None]:
    """Refuse to build a model where a formula is asked for."""
    with mock.patch.object(MiniGPT, "__init__", side_effect=Wrong("count by a model")):
        yield


def shapes() -> Iterator[Shape]:
    """Small random shapes, the same in each check."""
    draw = seeds.generator(0, "lab 01", "shapes")
    for _ in range(SHAPES):
        heads = int(draw.integers(1, 4))
        yield Shape(
            vocab="".join(map(chr, range(65, 65 + int(draw.integers(3, 40))))),
            n_layer=int(draw.integers(2, 4)),
            n_head=heads,
            d_model=4 * heads * int(draw.integers(1, 5)),
            d_ff=int(draw.integers(9, 90)),
            context=int(draw.integers(2, 40)),
        )


def adapters() -> Iterator[tuple[ModelConfig, int, tuple[str, ...]]]:
    """A rank and some targets for each shape; the MLP's first, so that they are always there."""
    draw = seeds.generator(0, "lab 01", "adapters")
    for config in shapes():
        others = draw.choice(ALL_LINEARS[:5], int(draw.integers(1, 4)), replace=False)
        yield config, int(draw.integers(1, 4)), ("fc2", *map(str, others))


def built(config: ModelConfig, method: str, rank: int, targets: tuple[str, ...]) -> MiniGPT:
    """A live model, ready to be trained."""
    model = MiniGPT(config)
    if method == "lora":
        wrap_minigpt_with_lora(model, rank, 1.0, targets)
    elif method == "qlora":
        wrap_minigpt_qlora(model, rank, 1.0, target_modules=targets)
    return model


def numbers(model: MiniGPT, trained: bool = False) -> int:
    """How many numbers a model has or, of those, trains."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)
