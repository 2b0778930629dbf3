"""The tasks of the family `regional`: several properties at once, of which some may be missing; and pretraining.

Legend of shapes: B molecules of a batch, n of a validation set, T targets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from psigraph import metrics
from psigraph.models.regional.base import RegionalModel, RegionalOutput
from psigraph.models.regional.inputs import Target
from psigraph.models.regional.pooling import pool_sum
from psigraph.training.task import Task

#: Residuals below this, in units of the target's scale, count quadratically: the gradient has no jump at 0.
SMOOTH = 0.02

Weights = str | Mapping[str, float]


class RegionalTask(Task):
    """Smooth L1 loss of all targets in units of their scales; a missing target counts nothing.

    A target's scale is the SD, in training, of what its baseline leaves over (the composition's, where it is
    extensive). A value counts by one over the share of the training set that has it, so that a rare target weighs as
    much as the others and parts of a batch add up exactly. `weights`: equal, given by target, or by uncertainty:
    exp(-s) L + s with s learned for each target (A. Kendall, Y. Gal, R. Cipolla, CVPR 2018, eq. 7, for the Laplace
    distribution that L1 stands for).

    In the first `pretraining` epochs the model learns its own objective; it is validated on the properties all the
    same, but no such epoch is selected. known (T,): share of the training set that has each target; learned:
    objectives that the model comes with.

    Of a relative target residuals count from their mean over the batch's structures of the same molecule (of each part,
    where a batch is computed in parts), so a model may give it any constant for a molecule. molecule_of_row (N,): the
    number of the molecule of every row of the graphset; needed where a target is relative.

    Raises ValueError for a target that no training molecule has, or weights that do not fit the targets.
    """

    def __init__(
        self,
        model: RegionalModel,
        known: np.ndarray,
        weights: Weights = "equal",
        pretraining: int = 0,
        learned: Sequence[str] = (),
        molecule_of_row: np.ndarray | None = None,
    ) -> None:
        self.model, self.targets, self.pretraining = model, model.inputs.targets, pretraining
        for target, share in zip(self.targets, known, strict=True):
            if share == 0:
                raise ValueError(f"targets: no molecule of the training set has {target.name}; leave it out")
        self.learned = learned
        self.relative = [t for t, target in enumerate(self.targets) if target.relative]
        if self.relative and molecule_of_row is None:
            raise ValueError(f"{self.targets[self.relative[0]].name} is relative: molecule_of_row must be given")
        self.molecule_of_row = np.zeros(0, np.int64) if molecule_of_row is None else molecule_of_row
        self.uncertainty = weights == "uncertainty"
        self.weights = _shares(self.targets, weights)
        self.factors = torch.as_tensor(self.weights / known)
        self.scale = model.target_scale.detach().cpu().double().numpy().copy()

    @property
    def unit(self) -> str:
        return ""

    @property
    def monitor(self) -> str:
        return "mae"

    @property
    def metrics(self) -> Mapping[str, str]:
        return {"mae": "", **{f"mae_{target.name}": target.unit for target in self.targets}}

    def begin_epoch(self, epoch: int) -> None:
        self.selecting = epoch >= self.pretraining
        self.model.objective = "properties" if self.selecting else self.model.own_objective or "properties"

    def begin_validation(self) -> None:
        self.model.objective = "properties"

    def loss(self, output: RegionalOutput, batch: Any, size: int) -> Tensor:
        if output.objective is not None:
            return output.objective.sum() / size
        known = torch.isfinite(batch.y)
        wanted = torch.where(known, batch.y, output.labels.detach())
        residuals = (output.labels - wanted) / self.model.target_scale
        if self.relative:
            molecules = torch.from_numpy(self.molecule_of_row[batch.index.cpu().numpy()]).to(known.device)
            shift = means_within(residuals[:, self.relative], known[:, self.relative], molecules)
            residuals = residuals.index_add(1, torch.tensor(self.relative, device=known.device), -shift)
        values = nn.functional.smooth_l1_loss(residuals, torch.zeros_like(residuals), reduction="none", beta=SMOOTH)
        if self.uncertainty:
            values = values * (-self.model.log_scale).exp() + self.model.log_scale
        return (values * known * self.factors.to(values)).sum() / size

    def outcome(self, output: RegionalOutput, batch: Any) -> tuple[Tensor, Tensor]:
        return output.labels, batch.y

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        errors = predicted.astype(np.float64) - reference
        for t in self.relative:
            errors[:, t] = metrics.within_groups(errors[:, t], self.molecule_of_row[rows])
        errors, known = np.abs(errors), np.isfinite(errors)
        found = [t for t in range(len(self.targets)) if known[:, t].any()]
        if not found:
            raise ValueError("no molecule of the validation set has any of the targets; give it some, or none at all")
        values = {t: float(errors[known[:, t], t].mean()) for t in found}
        mean = float(np.mean([value / self.scale[t] for t, value in values.items()]))
        return {"mae": mean, **{f"mae_{self.targets[t].name}": value for t, value in values.items()}}

    def meta(self) -> dict[str, Any]:
        return {
            "targets": [target.name for target in self.targets],
            "target_weights": "uncertainty" if self.uncertainty else self.weights.tolist(),
            "target_scales": self.scale.tolist(),
            "pretraining_epochs": self.pretraining,
            "learned_objectives": sorted(
                {*self.learned, *([str(self.model.own_objective)] if self.pretraining else [])}
            ),
        }


class ObjectiveTask(Task):
    """The objective of an experiment that pretrains encoders; `contrast` also has the share of regions found again."""

    def __init__(self, model: RegionalModel, objective: str) -> None:
        self.model, self.objective = model, objective

    @property
    def unit(self) -> str:
        return ""

    @property
    def monitor(self) -> str:
        return "loss"

    @property
    def metrics(self) -> Mapping[str, str]:
        return {"loss": "", **({"accuracy": ""} if self.objective == "contrast" else {})}

    def loss(self, output: RegionalOutput, batch: Any, size: int) -> Tensor:
        assert output.objective is not None, "the model's objective is set"
        return output.objective.sum() / size

    def outcome(self, output: RegionalOutput, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the metrics of each molecule (B, 1 or 2), and nothing to compare them with (B, 0)."""
        assert output.objective is not None, "the model's objective is set"
        columns = [output.objective, *([output.accuracy] if output.accuracy is not None else [])]
        return torch.stack(columns, 1), output.objective.new_zeros(len(output.objective), 0)

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        return dict(zip(self.metrics, predicted.mean(0, dtype=np.float64).tolist(), strict=True))

    def meta(self) -> dict[str, Any]:
        return {
            "targets": [target.name for target in self.model.inputs.targets],
            "learned_objectives": [self.objective],
        }


def means_within(values: Tensor, known: Tensor, molecules: Tensor) -> Tensor:
    """Return for each row of values (B, T) the mean over the known (B, T) ones of its molecule, by molecules (B,)."""
    found, number = molecules.unique(return_inverse=True)
    sums, counts = (pool_sum(each, number, len(found)) for each in (values * known, known.to(values)))
    return (sums / counts.clamp(min=1))[number]


def _shares(targets: Sequence[Target], weights: Weights) -> np.ndarray:
    """Return each target's part (T,) of the loss; they sum to 1."""
    names = [target.name for target in targets]
    if isinstance(weights, str):
        return np.full(len(names), 1 / max(len(names), 1))
    if set(weights) != set(names) or min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise ValueError(
            f"target_weights must give each of the targets {', '.join(names)} a weight of at least 0, and one above 0; "
            f"got {dict(weights)}"
        )
    values = np.array([weights[name] for name in names], dtype=np.float64)
    return values / values.sum()
