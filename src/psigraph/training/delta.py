"""The task of the family `delta`: a correction to V_0 (spec/delta.md §5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from psigraph import metrics
from psigraph.models.shapes import globals_by_graph
from psigraph.training.losses import DistanceWeight, distance_weighted_l1_on_vref_loss
from psigraph.training.task import Task


@dataclass(frozen=True)
class DeltaTask(Task):
    """Distance-weighted L1 loss, MAPE and MAE of V_ref = V_0 + ΔV; models return ΔV (B,) in `unit_of_v`.

    mape_epsilon: smallest |V_ref| in the denominator of MAPE [unit].
    """

    weight: DistanceWeight
    mape_epsilon: float
    unit_of_v: str = ""

    @property
    def unit(self) -> str:
        return self.unit_of_v

    @property
    def monitor(self) -> str:
        return "mape"

    @property
    def metrics(self) -> Mapping[str, str]:
        return {"mape": "%", "mae": self.unit}

    def loss(self, output: Tensor, batch: Any, size: int) -> Tensor:
        v_0, v_ref = self._given(batch)
        weights = self.weight(batch.R_internal_val.view(-1))
        return distance_weighted_l1_on_vref_loss(output.to(v_0.dtype), v_0, v_ref, weights, size)

    def outcome(self, output: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
        v_0, v_ref = self._given(batch)
        return v_0 + output.to(v_0.dtype), v_ref

    def _given(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return V_0 (B,) and V_ref (B,)."""
        return globals_by_graph(batch.u, batch.num_graphs)[:, 2], batch.y_true_vref.view(-1)

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        percent, _ = metrics.mape(predicted, reference, self.mape_epsilon)
        return {"mape": percent, "mae": metrics.mae(predicted, reference)}

    def meta(self) -> dict[str, Any]:
        return {"loss_weight": self.weight.as_dict()}
