"""Region creation: from atoms and bonds to regions, shared by all architectures on regions (spec/regional.md)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.kernels.edge_sum import edge_sum
from psigraph.models.regional.features import FeatureModel
from psigraph.models.regional.geometry import RadialBasis, displacement, envelope
from psigraph.models.regional.pooling import centres, gather, inner_bonds, pool_mean
from psigraph.models.regional.vectors import VectorProducts, outer
from psigraph.models.regional.weights import linear, network

#: Classes of regions by the heaviest core atom: H, C, N, O, all others.
_CLASS_OF_Z = {1: 0, 6: 1, 7: 2, 8: 3}
CLASSES = 5
#: Longest bond that the radial functions of bonds resolve [Å].
_BOND = 3.0


@dataclass(frozen=True)
class Regions:
    """Regions of a batch, and the states of atoms they were made of."""

    states: Tensor  # (ΣR, dim)
    vectors: Tensor  # (ΣR, 3, C), turning with the molecule; C = 0 without angles
    positions: Tensor  # (ΣR, 3) Å
    atoms: Tensor  # (ΣN, dim)
    atom_vectors: Tensor  # (ΣN, 3, C)
    home: Tensor  # (ΣN,) int64, the region whose core each atom belongs to


class RegionCreation(nn.Module):
    """One pass of messages over bonds and near atoms; a region's state is that of its core, with its inner bonds.

    Atom i gathers from neighbours j, over bonds (with their features) and over pairs within the cutoff:
    m_i = Σ_j F(d_ij, bond_ij) ⊙ φ(x_j), and vectors V_i = Σ_j f(d_ij, bond_ij) φ'(x_j) n_ij, whose products with each
    other enter the state: lengths and angles at a cost linear in the number of pairs. With `by_class` regions of H, C,
    N, O and other centres (of a patch: its heaviest atom) have encoders of their own. `channels` is the number C of
    vectors; with 0 there are no angles.
    """

    def __init__(
        self,
        dim: int,
        *,
        bond_width: int,
        region_width: int,
        cutoff: float,
        num_rbf: int = 16,
        channels: int = 16,
        region_encoders: str = "shared",
    ) -> None:
        super().__init__()
        self.dim, self.channels, self.cutoff = dim, channels, cutoff
        self.bond_basis, self.pair_basis = RadialBasis(num_rbf, _BOND), RadialBasis(num_rbf, cutoff)
        self.bond_filter = network(num_rbf + bond_width, dim, dim + channels)
        self.pair_filter = network(num_rbf, dim, dim + channels)
        self.send = linear(dim, 2 * (dim + channels), 0.3)
        self.products = VectorProducts(channels)
        self.update = network(2 * dim + channels, dim, dim, 0.5)
        self.inner_bonds = linear(num_rbf + bond_width, dim, 0.3)
        self.features = linear(region_width, dim, 0.3)
        encoders = CLASSES if region_encoders == "by_class" else 1
        self.encoders = nn.ModuleList(network(dim, dim, dim, 0.5) for _ in range(encoders))

    @classmethod
    def of(
        cls, model: FeatureModel, num_rbf: int, *, channels: int = 16, region_encoders: str = "shared"
    ) -> "RegionCreation":
        """Return the creation of regions for a model's width, features and cutoff."""
        return cls(
            model.dim,
            bond_width=model.bond_width,
            region_width=model.region_width,
            cutoff=model.inputs.cutoff,
            num_rbf=num_rbf,
            channels=channels,
            region_encoders=region_encoders,
        )

    def forward(self, batch: MoleculeBatch, atoms: Tensor, bonds: Tensor, regions: Tensor) -> Regions:
        """Return the regions of atoms (ΣN, dim), given inputs of bonds (ΣB, bond_width), regions (ΣR, region_width)."""
        length, direction = self._steps(batch, batch.bonds)
        bonds = torch.cat([self.bond_basis(length), bonds], 1)
        atoms, vectors = self._pass(batch, atoms, bonds, direction)
        region, atom = batch.members[batch.core].unbind(1)
        count = len(batch.regions_batch)
        home = torch.zeros_like(batch.atoms_batch).index_copy(0, atom, region)
        pooled = pool_mean(gather(atoms, atom), region, count)
        region_vectors = pool_mean(gather(vectors.flatten(1), atom), region, count).view(count, 3, self.channels)
        states = pooled + self._bonds_inside(batch, bonds, count) + self.features(regions)
        states = states + self._encode(states, batch)
        return Regions(
            states, region_vectors, centres(batch.pos_atoms, batch.members, batch.core, count), atoms, vectors, home
        )

    def _steps(self, batch: MoleculeBatch, pairs: Tensor) -> tuple[Tensor, Tensor]:
        first, second = pairs.unbind(1)
        position = batch.pos_atoms
        return displacement(gather(position, first), gather(position, second))

    def _pass(self, batch: MoleculeBatch, atoms: Tensor, bonds: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        by_bond, by_pair = self.send(atoms).chunk(2, 1)
        distance, pair_direction = self._steps(batch, batch.pairs)
        near = self.pair_filter(self.pair_basis(distance)) * envelope(distance, self.cutoff).unsqueeze(1)
        bonded, along_bonds = self._gather(batch.bonds, by_bond, self.bond_filter(bonds), direction)
        others, along_pairs = self._gather(batch.pairs, by_pair, near, pair_direction)
        vectors = along_bonds + along_pairs
        atoms = atoms + self.update(torch.cat([atoms, bonded + others, self.products(vectors)], 1))
        return atoms, vectors

    def _gather(self, pairs: Tensor, sent: Tensor, filters: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums (ΣN, dim), (ΣN, 3, C) over pairs (P, 2) both ways; `direction` (P, 3) points to the second."""
        first, second = pairs.unbind(1)
        ways = (first, second, len(sent)), (second, first, len(sent))
        of_scalars, of_vectors = filters.split([self.dim, self.channels], 1)
        scalar, column = sent.split([self.dim, self.channels], 1)
        there, back = (edge_sum(of_scalars, scalar, *way) for way in ways)
        if not self.channels:
            return there + back, sent.new_zeros(len(sent), 3, 0)
        turned, columns = outer(direction, of_vectors), column.repeat(1, 3)
        forth, opposite = (edge_sum(turned, columns, *way) for way in ways)
        return there + back, (forth - opposite).view(len(sent), 3, self.channels)

    def _bonds_inside(self, batch: MoleculeBatch, bonds: Tensor, count: int) -> Tensor:
        """Return the mean over bonds between two atoms of one region, (ΣR, dim)."""
        region, bond = inner_bonds(batch.bonds, batch.members, len(batch.z_atoms))
        return self.inner_bonds(pool_mean(gather(bonds, bond), region, count))

    def _encode(self, states: Tensor, batch: MoleculeBatch) -> Tensor:
        if len(self.encoders) == 1:
            encoded: Tensor = self.encoders[0](states)
            return encoded
        out, classes = torch.zeros_like(states), region_classes(batch)
        for number, encoder in enumerate(self.encoders):
            rows = (classes == number).nonzero().squeeze(1)
            out = out.index_copy(0, rows, encoder(gather(states, rows)))
        return out


def region_classes(batch: MoleculeBatch) -> Tensor:
    """Return the class (ΣR,) of each region: H, C, N, O or others, by the heaviest atom of its core."""
    region, atom = batch.members[batch.core].unbind(1)
    heaviest = torch.zeros_like(batch.regions_batch).scatter_reduce(0, region, batch.z_atoms[atom], "amax")
    classes = torch.full_like(heaviest, CLASSES - 1)
    for z, number in _CLASS_OF_Z.items():
        classes = torch.where(heaviest == z, number, classes)
    return classes
