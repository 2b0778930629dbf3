"""Exponential moving average of a model's weights."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class WeightAverage:
    """e ← d e + (1 - d) w after every step, with d = min(decay, (1 + n) / (10 + n)) after n steps.

    The smaller d at the start makes it forget the untrained weights. Buffers are not averaged.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.values = [parameter.detach().clone() for parameter in self.parameters]
        self.steps = torch.zeros((), dtype=torch.float64, device=self.values[0].device)  # n

    @torch.no_grad()
    def update(self, taken: Tensor) -> None:
        """Follow the weights by one step; where `taken` () is false, stay. Waits for no device."""
        share = (1 - (1 + self.steps) / (10 + self.steps)).clamp(min=1 - self.decay) * taken
        self.steps += taken
        change = torch._foreach_sub(self.parameters, self.values)
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
        """Exchange the model's weights and the average."""
        before = [parameter.detach().clone() for parameter in self.parameters]
        torch._foreach_copy_(self.parameters, self.values)
        torch._foreach_copy_(self.values, before)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps.copy_(state["steps"])
        torch._foreach_copy_(self.values, state["values"])
