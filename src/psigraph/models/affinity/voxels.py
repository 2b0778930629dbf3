"""Densities of protein, pocket and ligand on a cubic grid around the ligand, made on the fly from atoms.

Legend of shapes: B complexes, A atoms, C channels, G grid points along each edge of the box.
"""

import torch
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

from psigraph.fields import COMPLEX_ATOM_FEATURES
from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models.shapes import check_positive

#: Element channels and their atomic numbers; `other` has all others, which are metals but for a few.
ELEMENTS: dict[str, tuple[int, ...]] = {
    "C": (6,),
    "N": (7,),
    "O": (8,),
    "S": (16,),
    "P": (15,),
    "halogen": (9, 17, 35, 53, 85),
    "other": (),
}
#: Channels of each component: the elements, each atom counting as 1 in its own, then the atoms' features as they are.
CHANNELS: tuple[str, ...] = (*ELEMENTS, *(name for name, _, _ in COMPLEX_ATOM_FEATURES))
#: Components: all atoms of the protein near the ligand, those of them in the pocket, and the ligand.
COMPONENTS: tuple[str, ...] = ("protein", "pocket", "ligand")
#: A density ends where a coordinate differs from the atom's by this many widths; it is below 4e-6 of its maximum there.
REACH = 5.0
#: The box is computed in slabs of so many points along x, each with the atoms that reach it.
SLAB = 8
_MAX_Z = 118


class AtomChannels(nn.Module):
    """The channels (A, 12) of atoms, from their atomic numbers (A,) and features (A, 5); `CHANNELS` names them."""

    column: Tensor

    def __init__(self) -> None:
        super().__init__()
        column = torch.full((_MAX_Z + 1,), list(ELEMENTS).index("other"))
        for place, numbers in enumerate(ELEMENTS.values()):
            column[list(numbers)] = place
        self.register_buffer("column", column, persistent=False)  # of an atomic number

    def forward(self, z: Tensor, features: Tensor) -> Tensor:
        elements = nn.functional.one_hot(self.column[z], len(ELEMENTS)).to(features)  # (A, 7)
        return torch.cat([elements, features], 1)  # (A, 12)

    def of_ligands(self, batch: ComplexBatch, atom_weights: Tensor | None) -> Tensor:
        """Return those of the ligands' atoms (ΣN, 12), each multiplied by its weight (ΣN,)."""
        ligand = self(batch.z_atoms, batch.atom_features)
        return ligand if atom_weights is None else ligand * atom_weights[:, None]


class Voxelizer(nn.Module):
    """Densities (B, 3, 12, G, G, G) of `COMPONENTS` and `CHANNELS` at the points of a grid, axes x, y, z.

    With atoms at r_a, whose channels are f_ac, the density of channel c at x is

        Σ_a f_ac exp(-|x - r_a|² / (2 width²)),

    width in Å, without the terms in which a coordinate of x - r_a is beyond `REACH` widths. Neighbouring points are
    `spacing` [Å] apart; the box is centred at the unweighted centroid of the ligand's atoms. The Gaussian is a product
    of one of x, one of y and one of z, so that a slab of the grid is one matrix product.
    In training Gaussian noise with the standard deviation `noise` is added to every density.
    """

    steps: Tensor

    def __init__(self, grid_points: int, spacing: float, width: float) -> None:
        super().__init__()
        check_positive("grid_points", grid_points)
        check_positive("spacing", spacing)
        check_positive("width", width)
        self.spacing, self.width = spacing, width
        self.noise = 0.0
        self.channels = AtomChannels()
        steps = torch.arange(grid_points, dtype=torch.get_default_dtype()) - 0.5 * (grid_points - 1)
        self.register_buffer("steps", steps, persistent=False)  # (G,) from the centre to the points along an axis

    def forward(self, batch: ComplexBatch, atom_weights: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Return the densities of a batch.

        `atom_weights` (ΣN,) multiply the densities of the ligands' atoms, `shift` (B, 3) [Å] is added to the centres.
        """
        count = batch.num_graphs
        ligand = self.channels.of_ligands(batch, atom_weights)  # (ΣN, 12)
        site = self.channels(batch.site_z, batch.site_features)  # (ΣS, 12)
        centre = centroids(batch.pos_atoms, batch.atoms_batch, count)  # (B, 3)
        if shift is not None:
            centre = centre + shift
        offset, inside = batch.site_pos - centre[batch.sites_batch], batch.in_pocket
        size = len(self.steps)
        grid = site.new_empty(count, len(COMPONENTS), len(CHANNELS), size, size, size)
        for place, which in enumerate((~inside, inside)):
            self._write(grid[:, place], offset[which], site[which], batch.sites_batch[which])
        self._write(grid[:, 2], batch.pos_atoms - centre[batch.atoms_batch], ligand, batch.atoms_batch)
        grid[:, 0] += grid[:, 1]
        return grid + self.noise * torch.randn_like(grid) if self.training and self.noise > 0 else grid

    def _write(self, grid: Tensor, positions: Tensor, channels: Tensor, owner: Tensor) -> None:
        """Write the densities of atoms into a grid (B, C, G, G, G).

        The atoms have channels (A, C) and positions (A, 3) relative to the centres of the boxes [Å]; `owner` (A,) has
        the complex of each, sorted.
        """
        size = len(self.steps)
        distance = (positions[:, :, None] - self.steps * self.spacing) / self.width
        factors = torch.exp(-0.5 * distance.square()) * (distance.abs() <= REACH)  # (A, 3, G)
        inside = factors[:, 1:].any(2).all(1)  # (A,)
        for first in range(0, size, SLAB):
            slab = factors[:, 0, first : first + SLAB]  # (A, X)
            near = (inside & slab.any(1)).nonzero().squeeze(1)
            rows = torch.cat([slab[near], factors[near, 1], factors[near, 2], channels[near]], 1)
            rows, _ = to_dense_batch(rows, owner[near], batch_size=len(grid))
            x, y, z, value = rows.split([slab.shape[1], size, size, channels.shape[1]], 2)  # (B, A of the largest, …)
            left = (value.unsqueeze(3) * x.unsqueeze(2)).flatten(2)  # (B, A, C X)
            right = (y.unsqueeze(3) * z.unsqueeze(2)).flatten(2)  # (B, A, G²)
            product = left.transpose(1, 2) @ right  # (B, C X, G²)
            grid[:, :, first : first + SLAB] = product.view(*grid.shape[:2], -1, size, size)


def centroids(positions: Tensor, owner: Tensor, count: int) -> Tensor:
    """Return the unweighted centroids (count, 3) of atoms at positions (A, 3) of the complexes `owner` (A,)."""
    sums = positions.new_zeros(count, 3).index_add(0, owner, positions)
    atoms = torch.bincount(owner, minlength=count).clamp(min=1)
    return sums / atoms[:, None]
