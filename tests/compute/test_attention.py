"""The compiled attention is PyTorch's, in sequences of any length, with shared starts too."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from minituner.compute.kernels import attention
from minituner.compute.sequences import Packed, pack
from minituner.compute.step import as_arrays, sequences_of


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Attention(torch.autograd.Function):
    """The compiled attention, (n, C) in and out, as PyTorch's own is called."""

    @staticmethod
    def forward(ctx, q, k, v, heads, packed):
        ctx.heads, ctx.sequences = heads, sequences_of(packed)
        made = attention.attend(*as_arrays([q, k, v]), heads, ctx.sequences)
        y, tops = map(torch.from_numpy, made)
        ctx.save_for_backward(q, k, v, y, tops)
        return y

    @staticmethod
    def backward(ctx, grad):
        q, k, v, y, tops = as_arrays(ctx.saved_tensors)
        made = attention.attend_backward(
            q, k, v, ctx.heads, ctx.sequences, y, tops, grad.contiguous().numpy()
        )
        return *map(torch.from_numpy, made), None, None


def attend(q, k, v, heads, packed: Packed):
    return Attention.apply(q, k, v, heads, packed)


def by_torch(q, k, v, heads):
    """Attention of one sequence, (T, C), in double precision."""
    q, k, v = (x.double().view(1, len(x), heads, -1).transpose(1, 2) for x in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y.transpose(1, 2).flatten(0, 1).flatten(1)


@pytest.mark.parametrize("heads, width", [(1, 3), (2, 8), (4, 16), (3, 20)])
@pytest.mark.parametrize("lengths", [[1], [8], [9, 1, 17], [48, 47]])
def test_attention_and_its_gradients_are_those_of_torch(heads, width, lengths):
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    packed = pack(ids, torch.tensor(lengths), multiple=1)
    n, C = sum(lengths), heads * width
    assert len(packed.ids) == n
    inputs = [randn(n, C, seed=seed) for seed in range(3)]
    ours, theirs = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
    y = attend(*ours, heads, packed)
    bounds = list(itertools.pairwise([0, *itertools.accumulate(lengths)]))
    expected = torch.cat([by_torch(*(x[a:b] for x in theirs), heads) for a, b in bounds])
    assert torch.allclose(y.double(), expected, atol=2e-6)
    grad = randn(n, C, seed=3)
    y.backward(grad)
    expected.backward(grad.double())
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=2e-5)


def test_a_shared_start_gives_the_bytes_and_the_gradients_of_one_that_is_not():
    lengths, parents = torch.tensor([20, 17, 12]), torch.tensor([0, 0, 0])
    shared = torch.tensor([0, 11, 12])  # the last one has no symbol of its own
    ids = torch.zeros(3, 20, dtype=torch.int64)
    apart = pack(ids, lengths, multiple=1)
    packed = pack(ids, lengths, parents, shared, multiple=1)
    unshared = packed.own[apart.own]
    assert len(packed.ids) == 26 == int(unshared.sum())
    inputs = [randn(26, 32, seed=seed) for seed in range(3)]
    ours = [x.clone().requires_grad_() for x in inputs]
    y = attend(*ours, 2, packed)
    # The same sequences with the shared symbols written out.
    rows = packed.reads[apart.own]
    theirs = [x.clone().requires_grad_() for x in inputs]
    whole = attend(*(x[rows] for x in theirs), 2, apart)
    assert torch.equal(y, whole[unshared])
    grad = randn(26, 32, seed=3)
    y.backward(grad)
    whole[unshared].backward(grad)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_hidden(value):
    x = randn(9, 16)
    x[4, 3] = value
    packed = pack(torch.zeros(1, 9, dtype=torch.int64), multiple=1)
    for place in range(3):
        inputs = [x if i == place else randn(9, 16, seed=i) for i in range(3)]
        assert not torch.isfinite(attend(*inputs, 2, packed)).all()
