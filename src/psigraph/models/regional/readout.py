"""From states to targets: a learned scalar for each state and target, summed or averaged over the molecule."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from psigraph.models.regional.pooling import gather, pool_sum


class Readout(nn.Module):
    """Targets (B, T) of one set of states: sums for the targets where `summed` is set, means for the others.

    The last layer begins at 0, so an untrained model predicts the baseline.
    """

    summed: Tensor

    def __init__(self, dim: int, summed: Sequence[bool]) -> None:
        super().__init__()
        last = nn.Linear(dim, len(summed))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), last)
        self.register_buffer("summed", torch.tensor(summed, dtype=torch.bool), persistent=False)

    def forward(self, states: Tensor, molecule: Tensor, molecules: int) -> Tensor:
        """Return (B, T) of states (X, dim) of the molecules (X,)."""
        return pool_targets(self.layers(states), molecule, molecules, self.summed)


def pool_targets(values: Tensor, molecule: Tensor, molecules: int, summed: Tensor) -> Tensor:
    """Return (B, T) of values (X, T): sums over a molecule's rows where `summed` (T,), means elsewhere."""
    count = torch.bincount(molecule, minlength=molecules).clamp(min=1).to(values)
    share = torch.where(
        summed, torch.ones((), dtype=values.dtype, device=values.device), gather(1 / count, molecule)[:, None]
    )
    return pool_sum(values * share, molecule, molecules)
