"""What the suites of all families share: precisions and tolerances, exact matrix products, some steps of training."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


class ExactProducts:
    """A suite whose tests run with matrix products at "highest"."""

    @pytest.fixture(autouse=True)
    def _exact_products(self) -> Iterator[None]:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        yield
        torch.set_float32_matmul_precision(before)


def agree(first: Tensor, second: Tensor, scale: Tensor | float) -> None:
    """Fail unless predictions are equal within the tolerance of max(|prediction|, scale), column by column."""
    largest = torch.maximum(first.abs().amax(0), torch.as_tensor(scale).to(first))
    assert bool(((first - second).abs() <= TOLERANCE[first.dtype] * largest).all()), (first - second).abs().max()


def descend(model: torch.nn.Module, loss: Callable[[], Tensor], steps: int, lr: float = 2e-3) -> list[float]:
    """Take Adam steps and return the loss before each."""
    optimizer: Any = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses
