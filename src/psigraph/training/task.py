"""What the training engine asks of a family: its loss, its validation metrics, and what a checkpoint must carry."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor


class Task(Protocol):
    """The learning task of a family. `output` is what the model returned for `batch`.

    unit: of the loss; metrics: validation metrics by name with their units, in the order of the columns.
    """

    @property
    def unit(self) -> str: ...

    @property
    def metrics(self) -> Mapping[str, str]: ...

    def loss(self, output: Any, batch: Any, size: int) -> Tensor:
        """Return the sum () of the loss over the batch's graphs, divided by `size`, the graphs of the global batch."""

    def outcome(self, output: Any, batch: Any) -> tuple[Tensor, Tensor]:
        """Return predicted and reference values, (B, ...) each."""

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        """Return every metric over a whole validation set (n, ...)."""

    def meta(self) -> dict[str, Any]:
        """Return what the checkpoint says of the task, as JSON values."""
