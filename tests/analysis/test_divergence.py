"""The divergence of two models' logits is PyTorch's."""

import pytest
import torch
import torch.nn.functional as F

from minituner.analysis.divergence import kl_divergence


def test_the_divergence_is_that_of_pytorch_and_zero_of_equal_logits():
    first, second = torch.randn(2, 40, 31, generator=torch.Generator().manual_seed(0)).double()
    expected, wanted = F.log_softmax(second, -1), F.log_softmax(first, -1)
    kl = float(F.kl_div(expected, wanted, reduction="batchmean", log_target=True))
    assert kl_divergence(first.numpy(), second.numpy()) == pytest.approx(kl) and kl > 0
    assert kl_divergence(first.numpy(), first.numpy()) == 0
