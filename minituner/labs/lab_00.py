"""Lab 00, LoRA by hand: its steps."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn as nn

from minituner import lora
from minituner.foundation import seeds
from minituner.labs.checking import Case, Step, Work, Wrong, is_tensor, same, tell, tell_all

IN, OUT, RANK, ALPHA, ROWS = 24, 16, 4, 12.0, 5
# What A's largest number may be at first. Normal numbers of variance 1 pass, though they are some
# eight times a Linear's own here: B A is zero all the same, and a smaller rate takes equal steps.
SMALLEST, LARGEST = 1e-6, 10.0


def drawn(*purpose: object) -> torch.Generator:
    """A generator of its own for each purpose."""
    return torch.Generator().manual_seed(seeds.derive_seed(0, "lab 00", *purpose))


def layer_of(work: Work, into: int = IN, out: int = OUT) -> Any:
    """The learner's layer on a base with a bias, with numbers in B as after some training."""
    base = nn.Linear(into, out)
    layer = work.LoRALinear(base, RANK, ALPHA)
    for name, shape in (("lora_A", (RANK, into)), ("lora_B", (out, RANK))):
        getattr(layer, name).data = torch.randn(shape, generator=drawn(name))
    return layer


def inputs(width: int = IN, *purpose: object) -> torch.Tensor:
    """(ROWS, width) numbers."""
    return torch.randn(ROWS, width, generator=drawn("x", *purpose))


def product_of(layer: Any) -> torch.Tensor:
    """B A, (out, in)."""
    return (layer.lora_B @ layer.lora_A).detach()


def update(layer: Any, x: torch.Tensor, scale: float = ALPHA / RANK) -> torch.Tensor:
    """s B A x, (…, in) → (…, out)."""
    return scale * (x @ layer.lora_A.T @ layer.lora_B.T).detach()


@contextlib.contextmanager
def nan_where_empty() -> Iterator[None]:
    """Have torch.empty give NaN, and not what lies in memory, which may look like any numbers."""
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


def starts_random(A: torch.Tensor, of_another: torch.Tensor) -> None:
    """Any small random numbers, other ones in each layer, and rows that each add something."""
    A, of_another = A.detach().float(), of_another.detach().float()
    if not A.isfinite().all():
        raise Wrong("A uninitialised")
    if not A.any():
        raise Wrong("A zero")
    if not SMALLEST < A.abs().max() < LARGEST:
        raise Wrong("A out of size", f"(its largest number is {A.abs().max():.3g})")
    if torch.equal(A, of_another) or torch.linalg.matrix_rank(A) < RANK:
        raise Wrong("A not random")


def fresh(work: Work) -> None:
    """Shapes, where A and B start, and what is trained."""
    with nan_where_empty():
        layer = work.LoRALinear(nn.Linear(IN, OUT), RANK, ALPHA)
    for name in ("lora_A", "lora_B", "scaling"):
        if not hasattr(layer, name):
            raise Wrong("", f"the layer has no attribute {name}")
    A, B = layer.lora_A, layer.lora_B
    if isinstance(A, torch.Tensor) and A.shape == (IN, RANK):
        raise Wrong("A transposed")
    if isinstance(A, torch.Tensor) and A.shape == (OUT, RANK) and B.shape == (RANK, IN):
        raise Wrong("A and B swapped")
    is_tensor(A, (RANK, IN), "lora_A")
    is_tensor(B, (OUT, RANK), "lora_B")
    if not (isinstance(A, nn.Parameter) and isinstance(B, nn.Parameter)):
        raise Wrong("no parameter")
    if any(parameter.requires_grad for parameter in layer.base.parameters()):
        raise Wrong("base not frozen")
    if B.any():
        raise Wrong("B random")
    starts_random(A, work.LoRALinear(nn.Linear(IN, OUT), RANK, ALPHA).lora_A)
    scalings = {"alpha without 1/r": ALPHA, "r over alpha": RANK / ALPHA}
    tell(layer.scaling, ALPHA / RANK, scalings, "scaling")


def outputs(work: Work) -> Iterator[Case]:
    """Of a fresh layer and of trained ones, for rows x."""
    # Square ones first: there A and B in the wrong order fit one another too.
    layer, x = work.LoRALinear(nn.Linear(OUT, OUT), RANK, ALPHA), inputs(OUT)
    y, b = layer.base(x).detach(), layer.base.bias.detach()
    wrong = {
        "base left out": torch.zeros_like(y),
        "bias left out": y - b,
        "base scaled too": ALPHA / RANK * y,
    }
    yield Case(layer(x), y, wrong, "a fresh layer's output")
    for into, out in ((OUT, OUT), (IN, OUT)):
        layer, x = layer_of(work, into, out), inputs(into)
        W, b = layer.base.weight.detach(), layer.base.bias.detach()
        y = x @ W.T + b
        wrong = {
            "alpha without 1/r": y + update(layer, x, ALPHA),
            "no scaling": y + update(layer, x, 1.0),
            "scaling applied twice": y + update(layer, x, (ALPHA / RANK) ** 2),
            "base scaled too": ALPHA / RANK * y + update(layer, x),
            "base left out": update(layer, x),
            "bias left out": y - b + update(layer, x),
        }
        if into == out:
            swapped = (x @ layer.lora_B @ layer.lora_A).detach()
            wrong["A and B swapped"] = y + ALPHA / RANK * swapped
        yield Case(layer(x), y + update(layer, x), wrong, "the output")


def forward(work: Work) -> None:
    """The output for rows x, and then for a single x and for rows of rows."""
    tell_all(outputs(work))
    layer = layer_of(work)
    for shape in ((IN,), (2, 3, IN)):
        x = torch.randn(shape, generator=drawn("x", *shape))
        try:
            answer = layer(x)
        except Exception as error:
            said = f"{work.place(error)}: {' '.join(str(error).split())}"
            raise Wrong("rows alone", f"(x of the shape {shape}: {said})") from None
        right = layer.base(x).detach() + update(layer, x)
        if not (isinstance(answer, torch.Tensor) and same(answer, right)):
            raise Wrong("rows alone", f"(x of the shape {shape} gets a wrong answer)")
    layer, x = layer_of(work), inputs().requires_grad_()
    G = torch.randn(ROWS, OUT, generator=drawn("G"))
    (layer(x) * G).sum().backward()
    W = layer.base.weight.detach()
    delta = ALPHA / RANK * product_of(layer)
    wrong = {"x detached from the update": G @ W, "x detached from the base": G @ delta}
    by_x = torch.zeros_like(x) if x.grad is None else x.grad
    tell(by_x, G @ (W + delta), wrong, "∂L/∂x, which the layers below need,", 1e-4)


def by_chain_rule(work: Work) -> None:
    """The gradients by hand against autograd's, and none for the base."""
    layer, x = layer_of(work), inputs()
    G = torch.randn(ROWS, OUT, generator=drawn("G"))
    (layer(x) * G).sum().backward()
    if any(parameter.grad is not None for parameter in layer.base.parameters()):
        raise Wrong("base not frozen")
    right = layer.lora_A.grad, layer.lora_B.grad
    answer = work.gradients(layer, x, G)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("", "gradients must return two tensors, of A and of B")
    if getattr(answer[0], "shape", None) == right[1].shape:
        raise Wrong("gradients in the wrong order")
    for gradient, expected, what in zip(answer, right, ("∂L/∂A", "∂L/∂B"), strict=True):
        wrong = {
            "gradient without scaling": expected * RANK / ALPHA,
            "scaling applied twice": expected * ALPHA / RANK,
            "alpha without 1/r": expected * RANK,
            "gradient averaged over rows": expected / ROWS,
        }
        tell(gradient, expected, wrong, what, 1e-4)


def rank(work: Work) -> None:
    """ΔW, and that its rank is r."""
    layer = layer_of(work)
    B_A = product_of(layer)
    wrong = {
        "no scaling": B_A,
        "alpha without 1/r": ALPHA * B_A,
        "scaling applied twice": (ALPHA / RANK) ** 2 * B_A,
    }
    answer = layer.delta_weight()
    tell(answer, ALPHA / RANK * B_A, wrong, "delta_weight()")
    found = int(torch.linalg.matrix_rank(answer.detach()))
    if found > RANK:
        raise Wrong("", f"ΔW has rank {found}, more than r = {RANK}")


def merge(work: Work) -> None:
    """The same outputs within 1e-5 once merged, and merged a second time."""
    layer, x = layer_of(work), inputs() / 10
    plain, delta = layer.base(x).detach(), update(layer, x)
    wrong = {
        "merge adds twice": plain + 2 * delta,
        "update lost by merging": plain,
        "merge without scaling": plain + delta * RANK / ALPHA,
        "bias left out": plain + delta - layer.base.bias.detach(),
    }
    if layer.merge_() is not layer:
        raise Wrong("", "merge_ must return the layer; end it with `return self`")
    tell(layer(x), plain + delta, wrong, "the merged layer's output")
    merged = layer.base.weight.detach().clone()
    layer.merge_()
    again = {"merging twice adds twice": plain + 2 * delta}
    tell(layer(x), plain + delta, again, "the output of a layer merged twice")
    taken_out = {"merging twice takes the update out": merged - ALPHA / RANK * product_of(layer)}
    tell(layer.base.weight, merged, taken_out, "the weight of a layer merged twice")
    if any(parameter.requires_grad for parameter in layer.base.parameters()):
        raise Wrong("merging unfreezes W")


def others(work: Work) -> None:
    """The package's layer, and PEFT's where it is installed."""
    layer, x = layer_of(work), inputs()
    mine = lora.LoRALinear(copy_of(layer.base), RANK, ALPHA)
    mine.lora_A.data, mine.lora_B.data = layer.lora_A.data, layer.lora_B.data
    tell(layer(x), mine(x).detach(), {}, "the output beside minituner.lora's")
    theirs = peft_layer(layer)
    if theirs is None:
        print("PEFT is not installed (`make peers` adds it): compared with minituner alone")
    else:
        tell(layer(x), theirs(x).detach(), {}, "the output beside PEFT's")
        theirs.merge()
        weight = layer.merge_().base.weight
        tell(weight, theirs.get_base_layer().weight.detach(), {}, "the weight merged beside PEFT's")
        print("compared with minituner and PEFT")


def copy_of(base: nn.Linear) -> nn.Linear:
    """A Linear with the same numbers."""
    copy = nn.Linear(base.in_features, base.out_features)
    copy.load_state_dict(base.state_dict())
    return copy


def peft_layer(layer: Any) -> Any:
    """PEFT's layer with the same numbers; None where PEFT is not installed."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        return None
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0"])
    theirs = get_peft_model(nn.Sequential(copy_of(layer.base)), config).base_model.model[0]
    theirs.lora_A["default"].weight.data = layer.lora_A.detach().clone()
    theirs.lora_B["default"].weight.data = layer.lora_B.detach().clone()
    return theirs


STEPS = (
    Step("A fresh layer", "02-parameter-count.md: One layer", fresh),
    Step("The update", "01-sft-and-forgetting.md: The gradient of an adapter", forward),
    Step("The gradients", "01-sft-and-forgetting.md: The gradient of an adapter", by_chain_rule),
    Step("The rank", "02-parameter-count.md: One layer", rank),
    Step("Merging", "", merge),
    Step("As others have it", "", others),
)
