"""What the training engine asks of a family's learning task: loss, validation metrics, phases, and what is recorded."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor


class Task:
    """A learning task. `output` is what the model returned for `batch`.

    unit: of the loss, empty for none; metrics: validation metrics by name with their units, in the order of the
    columns; monitor: the metric that selects and stops where the settings leave it open.
    """

    #: Whether the current epoch may be selected and may end the run.
    selecting: bool = True
    #: Metrics of which more is better; of all others less is.
    higher_is_better: frozenset[str] = frozenset()

    @property
    def unit(self) -> str:
        raise NotImplementedError

    @property
    def monitor(self) -> str:
        raise NotImplementedError

    @property
    def metrics(self) -> Mapping[str, str]:
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for the training batches of an epoch, counted from 0; a run can resume in any of them."""

    def begin_validation(self) -> None:
        """Prepare for the validation batches of the epoch that began last."""

    def loss(self, output: Any, batch: Any, size: int) -> Tensor:
        """Return the sum () of the loss over the batch's graphs, divided by `size`, the graphs of the global batch."""
        raise NotImplementedError

    def outcome(self, output: Any, batch: Any) -> tuple[Tensor, Tensor]:
        """Return predicted and reference values, (B, ...) each."""
        raise NotImplementedError

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """Return the metrics over a whole validation set (n, ...), whose samples are these rows (n,) of the graphset;
        one that nothing is known of is left out."""
        raise NotImplementedError

    def verdict(self, values: Mapping[str, float]) -> str:
        """Return what an epoch's log line says, in a word or two, of its validation metrics; empty for nothing."""
        return ""

    def meta(self) -> dict[str, Any]:
        """Return what the checkpoint says of the task, as JSON values."""
        raise NotImplementedError
