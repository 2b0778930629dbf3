"""The task of the family `affinity`: pK of complexes; losses and words for R² are the note's (spec/affinity.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from psigraph import metrics
from psigraph.training.task import Task

#: What the note calls a model whose R² is at least so large, best first; below the last it is POOR.
VERDICTS = ((0.7, "EXCELLENT"), (0.5, "GREAT"), (0.3, "GOOD"), (0.0, "OK"))


@dataclass(frozen=True)
class AffinityLoss:
    """The loss of each complex, of the error e of its label in the label's unit.

    combined: the sum of e², |e| and Huber's function (delta 1) with `weights` (mse, mae, huber); focal:
    alpha (1 - exp(-|e|/s))^gamma e² with s, `scale`, the SD of the training labels (spec/README.md).
    """

    kind: str
    weights: Mapping[str, float]
    alpha: float
    gamma: float
    scale: float

    def __call__(self, errors: Tensor) -> Tensor:
        """Return the losses (B, T) of errors (B, T)."""
        if self.kind == "focal":
            share = 1 - torch.exp(-errors.abs() / self.scale)
            return self.alpha * share**self.gamma * errors.square()
        zero = torch.zeros_like(errors)
        parts = {
            "mse": errors.square(),
            "mae": errors.abs(),
            "huber": functional.huber_loss(errors, zero, reduction="none"),
        }
        return torch.stack([self.weights.get(name, 0.0) * part for name, part in parts.items()]).sum(0)


class AffinityTask(Task):
    """The loss of all complexes alike; models return `labels` (B, 1) in `label_unit`."""

    higher_is_better = frozenset({"r2", "r"})

    def __init__(self, loss: AffinityLoss, label: str, label_unit: str) -> None:
        self.values_of, self.label, self.label_unit = loss, label, "" if label_unit == "1" else label_unit

    @property
    def unit(self) -> str:
        return ""

    @property
    def monitor(self) -> str:
        return "loss"

    @property
    def metrics(self) -> Mapping[str, str]:
        return {"loss": "", "mae": self.label_unit, "rmse": self.label_unit, "r2": "", "r": ""}

    def loss(self, output: Any, batch: Any, size: int) -> Tensor:
        return self.values_of(output.labels - batch.y).sum() / size

    def outcome(self, output: Any, batch: Any) -> tuple[Tensor, Tensor]:
        return output.labels, batch.y

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        predicted, reference = predicted[:, 0].astype(np.float64), reference[:, 0].astype(np.float64)
        found = {
            "loss": float(self.values_of(torch.from_numpy(predicted - reference)).mean()),
            "mae": metrics.mae(predicted, reference),
            "rmse": metrics.rmse(predicted, reference),
        }
        if len(reference) > 1 and np.ptp(reference) > 0:
            found["r2"] = metrics.r2(predicted, reference)
            if np.ptp(predicted) > 0:
                found["r"] = metrics.r(predicted, reference)
        return found

    def verdict(self, values: Mapping[str, float]) -> str:
        """Return the note's word for an R², empty where there is none."""
        return verdict(values["r2"]) if "r2" in values else ""

    def meta(self) -> dict[str, Any]:
        loss = self.values_of
        return {
            "targets": [self.label],
            "loss": {"kind": loss.kind, "weights": dict(loss.weights), "alpha": loss.alpha, "gamma": loss.gamma},
            "label_sd": loss.scale,
        }


def verdict(r2: float) -> str:
    """Return the note's word for an R²."""
    return next((word for least, word in VERDICTS if r2 >= least), "POOR")
