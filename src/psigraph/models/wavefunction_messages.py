"""Architecture 5 of spec/regional.md: a network learns what orbitals do in a bond; its outputs are the messages."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.kernels.edge_sum import pair_silu
from psigraph.models.regional.base import Encoding, Objective, RegionalModel
from psigraph.models.regional.creation import RegionCreation, Regions
from psigraph.models.regional.geometry import INVARIANTS, Edges, RadialBasis, displacement, make_edges
from psigraph.models.regional.injection import QuantumInjection
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.objectives import QuantumHeads, quantum_names
from psigraph.models.regional.pooling import gather, pool_sum
from psigraph.models.regional.tiers import CHANNELS, ENCODING, Items, Surroundings, TierLayer, kind_of
from psigraph.models.regional.vectors import VectorPassing, VectorProducts

logger = logging.getLogger(__name__)

#: Features that are bond orders, the best first: the weights of the GCN.
_BOND_ORDERS = ("wiberg_nao", "mayer_index")
#: Longest bond that the radial functions resolve [Å].
_BOND = 3.0
#: How sharply a predicted bond order is kept above 0.
_SHARPNESS = 4.0


@dataclass(frozen=True)
class Orbitals:
    """What the approximator says of each bond."""

    quantities: Tensor  # (ΣB, Q) Psi4's columns of bonds, normalised; without any, one quantity of its own
    hidden: Tensor  # (ΣB, dim)


class Approximator(nn.Module):
    """Orbital quantities of a bond from its atoms' states, its features and its length; symmetric in the atoms.

    It never sees a quantum feature.
    """

    def __init__(self, dim: int, bond_width: int, num_rbf: int, outputs: int) -> None:
        super().__init__()
        self.basis = RadialBasis(num_rbf, _BOND)
        self.encode = nn.Sequential(
            nn.Linear(2 * dim + num_rbf + bond_width, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU(), nn.LayerNorm(dim)
        )
        self.out = nn.Linear(dim, outputs)

    def forward(self, batch: MoleculeBatch, atoms: Tensor, bonds: Tensor) -> Orbitals:
        """Return what it says of atoms (ΣN, dim) and features of bonds (ΣB, bond_width)."""
        first, second = batch.bonds.unbind(1)
        here, there = gather(atoms, first), gather(atoms, second)
        length, _ = displacement(gather(batch.pos_atoms, first), gather(batch.pos_atoms, second))
        hidden = self.encode(torch.cat([here + there, here * there, self.basis(length), bonds], 1))
        return Orbitals(self.out(hidden), hidden)


class OrbitalHeads(QuantumHeads):
    """The objective `quantum` of this architecture: of bonds it is the approximator that learns, for atoms a head."""

    def __init__(self, dim: int, inputs: MoleculeInputs) -> None:
        super().__init__(dim, inputs)
        self.bonds = None

    def predicted(self, model: Any, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Return what follows from the states before any message."""
        regions, orbitals = model.approximate(batch)
        atoms, _ = self.predictions(regions.atoms, batch)
        return atoms, orbitals.quantities


@dataclass(frozen=True)
class Ways:
    """The ways of messages: both directions of every bond, between the regions its atoms are the cores of."""

    edges: Edges  # 2ΣB, the bonds one way and then the other
    bonds: Tensor  # (ΣB, 2) int64, the two regions
    said: Tensor  # (ΣB, dim + Q) the approximator's outputs
    order: Tensor  # (2ΣB,) the predicted bond order
    encoding: Tensor  # (2ΣB, ENCODING) of the approximator's outputs


class OrbitalMessages(nn.Module):
    """One step of messages along bonds: m_ij = F o_ij ⊙ σ(A h_i + B h_j + C o_ij), o_ij what the approximator says."""

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.ends = nn.Linear(dim, 2 * dim)
        self.orbitals = nn.Linear(dim + outputs, 2 * dim)
        self.take = nn.Linear(dim, dim)

    def forward(self, states: Tensor, ways: Ways) -> Tensor:
        """Return what the regions with states (ΣR, dim) are told (ΣR, dim)."""
        factor, shift = self.orbitals(ways.said).chunk(2, 1)
        told: Tensor = self.take(pair_silu(self.ends(states), shift, factor, ways.bonds))
        return told


class OrbitalConvolution(nn.Module):
    """One step of a GCN: Σ_j w_ij V h_j / √(d_i d_j) with predicted bond orders w_ij, w_ii = 1 and d_i = Σ_j w_ij.

    T. Kipf, M. Welling, ICLR 2017, eq. 2, with bond orders in place of the adjacency.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.take = nn.Linear(dim, dim)

    def forward(self, states: Tensor, ways: Ways) -> Tensor:
        """Return what the regions with states (ΣR, dim) are told (ΣR, dim)."""
        value = self.value(states)
        degree = (1 + pool_sum(ways.order, ways.edges.receivers, len(states))).rsqrt()
        weight = ways.order * gather(degree, ways.edges.receivers) * gather(degree, ways.edges.senders)
        message = gather(value, ways.edges.senders) * weight.unsqueeze(1)
        total = pool_sum(message, ways.edges.receivers, len(states)) + value * degree.square().unsqueeze(1)
        told: Tensor = self.take(nn.functional.silu(total))
        return told


class OrbitalLayer(nn.Module):
    """One step, with quantum information at its end, then a small network; vectors are passed on beside the states."""

    def __init__(self, dim: int, step: nn.Module, quantum_width: int) -> None:
        super().__init__()
        self.norm, self.step = nn.LayerNorm(dim), step
        self.injection = QuantumInjection(dim, quantum_width)
        self.passing, self.products = VectorPassing(dim, CHANNELS, ENCODING), VectorProducts(CHANNELS)
        self.norm_after = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim + CHANNELS, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))

    def forward(self, regions: Items, ways: Ways, quantum: Tensor) -> Items:
        """Return the next states and vectors of the regions."""
        asking, vectors = self.norm(regions.states), regions.vectors
        vectors = vectors + self.passing(vectors, asking, ways.edges, ways.encoding, len(vectors))
        states = self.injection(regions.states + self.step(asking, ways), quantum)
        change = self.mlp(torch.cat([self.norm_after(states), self.products(vectors)], 1))
        return Items(states + change, vectors)


class WavefunctionMessages(RegionalModel):
    """An approximator learns what Psi4 says of each bond; what it says are the messages, neighbour by neighbour.

    Nothing else passes between regions: no global attention. `use` says how: `messages`, the edge weights of a GCN
    (`gcn`), or the biases of attention to neighbours (`bias`). The approximator is trained first, alone, for
    `pretraining_share` of the epochs; later it learns on from the properties. Where the graphs have no quantum features
    of bonds, or `quantum` is off, it learns from the properties alone, one quantity of its own for the bond order.
    """

    own_objective: Objective | None = "quantum"
    bonds_quantum: Tensor
    bonds_mean: Tensor
    bonds_scale: Tensor

    def __init__(
        self,
        inputs: MoleculeInputs,
        *,
        dim: int,
        quantum: bool,
        intensive: Literal["mean", "sum"],
        num_rbf: int,
        heads: int,
        attention: str | Mapping[str, str],
        region_encoders: str,
        layers: int,
        use: str,
        pretraining_share: float,
    ) -> None:
        columns = quantum_names(inputs.bonds) if quantum else []
        self.learns_bonds = bool(columns)
        if not quantum:
            self.own_objective = None
        super().__init__(inputs, dim=dim, quantum=quantum, intensive=intensive, readouts=layers + 1)
        self.pretraining_share = pretraining_share
        if not columns:
            logger.info("no quantum features of bonds: the approximator learns from the properties alone")
        self.order_column = next((columns.index(name) for name in _BOND_ORDERS if name in columns), None)
        outputs = len(columns) or 1
        self.creation = RegionCreation.of(self, num_rbf, channels=CHANNELS, region_encoders=region_encoders)
        self.approximator = Approximator(dim, self.bond_width, num_rbf, outputs)
        self.layers = nn.ModuleList()
        for _ in range(layers):
            if use == "bias":
                kind = kind_of(attention, "neighbour")
                self.layers.append(TierLayer(dim, heads, {"neighbour": kind}, quantum_width=self.quantum_width))
            else:
                step = OrbitalMessages(dim, outputs) if use == "messages" else OrbitalConvolution(dim)
                self.layers.append(OrbitalLayer(dim, step, self.quantum_width))
        self.encoding = nn.Sequential(nn.Linear(dim + outputs, ENCODING), nn.SiLU())

    def quantum_heads(self) -> nn.Module:
        """Return heads of which the approximator is one; without a quantum feature of bonds to learn the usual ones."""
        return OrbitalHeads(self.dim, self.inputs) if self.learns_bonds else super().quantum_heads()

    def approximate(self, batch: MoleculeBatch) -> tuple[Regions, Orbitals]:
        """Return the regions before any message, and what the approximator says; neither knows a quantum feature."""
        bonds = self.bond_inputs(batch, quantum=False)
        atoms = self.embed_atoms(batch, quantum=False)
        regions = self.creation(batch, atoms, bonds, self.region_inputs(batch, quantum=False))
        return regions, self.approximator(batch, regions.atoms, bonds)

    def encode(self, batch: MoleculeBatch) -> Encoding:
        """Return the states of the regions after all steps; the readout is of creation and of every step."""
        regions, orbitals = self.approximate(batch)
        ways, quantum = self.ways(batch, regions, orbitals), self.quantum_of_regions(batch)
        atoms, found = Items(regions.atoms, regions.atom_vectors), Items(regions.states, regions.vectors)
        around = {"neighbour": Surroundings(ways.edges, ways.encoding)}
        readout = [(found.states, batch.regions_batch)]
        for layer in self.layers:
            if isinstance(layer, TierLayer):
                found = layer(found, atoms, around, quantum)
            else:
                found = layer(found, ways, quantum)
            readout.append((found.states, batch.regions_batch))
        return Encoding(regions.atoms + gather(found.states, regions.home), found.states, readout)

    def ways(self, batch: MoleculeBatch, regions: Regions, orbitals: Orbitals) -> Ways:
        """Return the ways of messages and what the approximator says of them."""
        first, second = gather(regions.home, batch.bonds.flatten()).view(-1, 2).unbind(1)
        place, count = regions.positions, len(first)
        ends = torch.cat([first, second]), torch.cat([second, first])
        edges = make_edges(*ends, (place, place), place.new_zeros(2 * count, INVARIANTS), pairs=count)
        said = torch.cat([orbitals.hidden, orbitals.quantities], 1)
        bonds = torch.stack([first, second], 1)
        return Ways(edges, bonds, said, self.bond_order(orbitals).repeat(2), self.encoding(said).repeat(2, 1))

    def bond_order(self, orbitals: Orbitals) -> Tensor:
        """Return the predicted bond order (ΣB,), kept above 0; its own quantity where the approximator learns none."""
        if self.order_column is None:
            order = 1 + orbitals.quantities[:, 0]
        else:
            column = self.bonds_quantum[self.order_column]
            order = self.bonds_mean[column] + self.bonds_scale[column] * orbitals.quantities[:, self.order_column]
        return nn.functional.softplus(_SHARPNESS * order) / _SHARPNESS
