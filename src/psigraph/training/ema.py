"""Exponential moving average of a model's weights and running statistics."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psigraph.training.buffers import RunningStatistics


def averaged(model: nn.Module) -> list[Tensor]:
    """Return what is averaged of a model: its parameters, and the running statistics of its normalisation layers.

    Statistics of the last weights alone would not fit the averaged ones: they would shift every prediction.
    """
    return [*model.parameters(), *RunningStatistics(model).buffers]


class WeightAverage:
    """e ← d e + (1 - d) w after every step, with d = min(decay, (1 + n) / (10 + n)) after n steps.

    The smaller d at the start makes it forget the untrained weights.
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self.tensors, self.decay = list(tensors), decay
        self.values = [tensor.detach().clone() for tensor in self.tensors]
        self.steps = torch.zeros((), dtype=torch.float64, device=self.values[0].device)  # n

    @torch.no_grad()
    def update(self, taken: Tensor) -> None:
        """Follow the tensors by one step; where `taken` () is false, stay. Waits for no device."""
        share = (1 - (1 + self.steps) / (10 + self.steps)).clamp(min=1 - self.decay) * taken
        self.steps += taken
        change = torch._foreach_sub(self.tensors, self.values)
        torch._foreach_mul_(change, share.to(change[0].dtype))
        torch._foreach_add_(self.values, change)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model for a while."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's tensors and the average."""
        before = [tensor.detach().clone() for tensor in self.tensors]
        torch._foreach_copy_(self.tensors, self.values)
        torch._foreach_copy_(self.values, before)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps.copy_(state["steps"])
        torch._foreach_copy_(self.values, state["values"])
