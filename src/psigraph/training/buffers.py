"""Running means and variances of normalisation layers: no weights, yet every training batch changes them."""

import torch
from torch import Tensor, nn


class RunningStatistics:
    """The running means and variances of a model's normalisation layers, as one vector (ΣC,); C channels of a layer.

    A step that is not taken leaves them as they were, and processes that train together share them: the mean over the
    processes, after every step, so that a run resumed from the file of one of them goes on with the same numbers.
    """

    def __init__(self, model: nn.Module) -> None:
        found = [(getattr(m, "running_mean", None), getattr(m, "running_var", None)) for m in model.modules()]
        self.buffers: list[Tensor] = [buffer for pair in found for buffer in pair if buffer is not None]
        self._before = self.values()

    def values(self) -> Tensor:
        """Return a copy of them (ΣC,); empty for a model without any."""
        return torch.cat(self.buffers) if self.buffers else torch.zeros(0)

    @torch.no_grad()
    def set(self, values: Tensor) -> None:
        """Replace them by values (ΣC,)."""
        if self.buffers:
            parts = values.split([len(buffer) for buffer in self.buffers])
            torch._foreach_copy_(self.buffers, list(parts))

    def remember(self) -> None:
        """Take note of them, before a step."""
        self._before = self.values()

    def restore(self) -> None:
        """Go back to what was remembered."""
        self.set(self._before)

    def settle(self, taken: Tensor) -> None:
        """Go back where `taken` () is false. Waits for no device."""
        if self.buffers:
            self.set(torch.where(taken, self.values(), self._before))
