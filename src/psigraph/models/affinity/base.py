"""What every model of the family `affinity` has in common: the grid, normalisation, the head, groups of parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models.affinity.head import BatchNorm, Head
from psigraph.models.affinity.voxels import CHANNELS, AtomChannels, Voxelizer

#: Spreads below this are rounding; the target is then left as it is.
_SMALLEST = 1e-8


class TargetStatistics(Protocol):
    """Means and standard deviations of a training set's targets, in their units."""

    y_mean: np.ndarray  # (T,)
    y_scale: np.ndarray  # (T,)


@dataclass
class AffinityOutput:
    """Predictions of a batch."""

    labels: Tensor  # (B, T) in the targets' units


class Amounts(nn.Module):
    """How much of each channel a ligand has: sums (B, 12) over its atoms, normed over the batch.

    The norms of convolutions and attention are over one complex by itself, so they lose how large its ligand is. One is
    added to the variances, so that a channel which hardly any training ligand has does not become a large number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.channels = AtomChannels()
        self.norm = BatchNorm(len(CHANNELS), eps=1.0, affine=False)

    def forward(self, batch: ComplexBatch, atom_weights: Tensor | None = None) -> Tensor:
        """Return them for a batch; `atom_weights` (ΣN,) multiply the channels of the ligands' atoms."""
        ligand = self.channels.of_ligands(batch, atom_weights)  # (ΣN, 12)
        return self.norm(scatter(ligand, batch.atoms_batch, 0, batch.num_graphs))


class AffinityModel(nn.Module):
    """A model of the affinity of complexes; subclasses give `encode`, which makes `features` numbers of each complex.

    Turning a complex changes the prediction, for the grid's axes stay where they are; moving it changes nothing, for
    the box moves with the ligand. In training the box is shifted against the ligand, along each axis by a random
    length of up to `translate` [Å], and `voxelizer.noise` is added to the densities; both are off by default.
    """

    #: The child modules whose parameters are in each group; an optimiser may have a learning rate for each.
    groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "cnn": ("cnn",),
        "transformer": ("transformer",),
        "head": ("head",),
    }
    hyperparameters: dict[str, Any]
    target_mean: Tensor
    target_scale: Tensor

    def __init__(
        self,
        *,
        targets: int,
        grid_points: int,
        spacing: float,
        width: float,
        dropout: float,
        features: int,
        head_widths: Sequence[int],
    ) -> None:
        super().__init__()
        self.translate = 0.0
        self.voxelizer = Voxelizer(grid_points, spacing, width)
        self.amounts = Amounts()
        self.head = Head(features + len(CHANNELS), targets, dropout, head_widths)
        self.register_buffer("target_mean", torch.zeros(targets))
        self.register_buffer("target_scale", torch.ones(targets))

    def encode(self, grid: Tensor, batch: ComplexBatch, atom_weights: Tensor | None) -> Tensor:
        """Return features (B, F) of a batch whose densities are `grid` (B, 3, 12, G, G, G)."""
        raise NotImplementedError

    def forward(self, batch: ComplexBatch, atom_weights: Tensor | None = None) -> AffinityOutput:
        """Return the predictions of a batch; `atom_weights` (ΣN,) multiply what each ligand atom adds to the input."""
        grid = self.voxelizer(batch, atom_weights, self._shift(batch))
        features = torch.cat([self.encode(grid, batch, atom_weights), self.amounts(batch, atom_weights)], 1)
        standardised = self.head(features)
        return AffinityOutput(self.target_mean + self.target_scale * standardised)

    def _shift(self, batch: ComplexBatch) -> Tensor | None:
        """Return how far the boxes are shifted (B, 3) [Å]; None: not at all."""
        if not self.training or self.translate == 0:
            return None
        place = batch.pos_atoms
        drawn = torch.rand(batch.num_graphs, 3, dtype=place.dtype, device=place.device)
        return (2 * drawn - 1) * self.translate

    @torch.no_grad()
    def fit_normalisation(self, statistics: TargetStatistics) -> None:
        """Set mean and scale of the targets from a training set; the scale of a target without spread is 1.

        Raises ValueError where it has another number of targets than the model.
        """
        mean, scale = np.atleast_1d(statistics.y_mean), np.atleast_1d(statistics.y_scale)
        if mean.shape != self.target_mean.shape or scale.shape != mean.shape:
            raise ValueError(
                f"{len(mean)} means and {len(scale)} scales of targets, the model predicts {len(self.target_mean)}"
            )
        self.target_mean.copy_(torch.from_numpy(mean))
        self.target_scale.copy_(torch.from_numpy(np.where(scale < _SMALLEST, 1.0, scale)))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return every parameter once: convolutions with their attention, transformer and graph attention, head."""
        return {
            name: [parameter for child in children for parameter in self.get_submodule(child).parameters()]
            for name, children in self.groups.items()
        }
