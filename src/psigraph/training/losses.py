"""The training loss (spec/delta.md §5, weight by spec/README.md)."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class DistanceWeight:
    """w(R) = (R/R̄)^p / mean_train[(R/R̄)^p]: farther dimers count more, the training set's mean weight is 1.

    The constants come from the training set and stand in the checkpoint. p = 0 weights all dimers alike.
    """

    power: float
    mean_distance: float  # R̄, internal length units
    mean_weight: float  # mean over the training set of (R/R̄)^p

    @classmethod
    def fit(cls, distances: np.ndarray, power: float) -> "DistanceWeight":
        """Return the weight of a training set with separations R (n,). Raises ValueError where one is not above 0."""
        values = np.asarray(distances, dtype=np.float64).ravel()
        if power == 0:
            return cls(0.0, 1.0, 1.0)
        bad = values[~(np.isfinite(values) & (values > 0))]
        if values.size == 0 or bad.size:
            what = f"one is {bad[0]}" if bad.size else "there are none"
            raise ValueError(
                f"the loss weight needs separations R above 0, but {what}; set training.distance_power to 0"
            )
        mean = float(values.mean())
        return cls(float(power), mean, float(((values / mean) ** power).mean()))

    def __call__(self, distances: Tensor) -> Tensor:
        """Return the weights (B,) of separations R (B,)."""
        if self.power == 0:
            return torch.ones_like(distances)
        return (distances / self.mean_distance) ** self.power / self.mean_weight

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def distance_weighted_l1_on_vref_loss(
    delta: Tensor, v_0: Tensor, v_ref: Tensor, weights: Tensor, batch_size: int
) -> Tensor:
    """Return Σ w |V_0 + ΔV - V_ref| / batch_size of predictions (B,), in the unit of V.

    `batch_size` is the size of the global batch: dividing by it, and not by the local one, makes accumulation and data
    parallelism change nothing.
    """
    return (weights * (v_0 + delta - v_ref).abs()).sum() / batch_size
