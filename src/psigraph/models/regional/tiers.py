"""Encoders in layers of tiers: regions are created, then ask their atoms, their neighbours, all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.regional.attention import RegionAttention
from psigraph.models.regional.base import Encoding, RegionalModel
from psigraph.models.regional.creation import RegionCreation, Regions
from psigraph.models.regional.geometry import Edges, RelativeEncoding, tier_edges
from psigraph.models.regional.injection import QuantumInjection
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.pooling import gather
from psigraph.models.regional.vectors import VectorPassing, VectorProducts
from psigraph.models.regional.weights import network

#: Vectors of a region, and columns of an edge's encoding.
CHANNELS = 16
ENCODING = 32
#: Tiers with few edges have gates for each column; the others for each head.
GATES = {"inner": "column", "neighbour": "column"}
#: Tiers along which vectors are passed on.
VECTOR_TIERS = ("inner", "neighbour")


@dataclass(frozen=True)
class Surroundings:
    """The edges of one tier in a batch, and their encoding for all layers."""

    edges: Edges
    encoding: Tensor  # (E, ENCODING)


@dataclass(frozen=True)
class Items:
    """What asks or answers: states with vectors, of regions or of atoms."""

    states: Tensor  # (X, dim)
    vectors: Tensor  # (X, 3, C)


class TierLayer(nn.Module):
    """One layer: attention along one tier, or several side by side, then quantum information, then a small network.

    With `combine` "heads" each tier has its share of the heads; with "gate" each has all of them, and each region
    weighs the tiers by its state. Along the tiers of VECTOR_TIERS vectors are passed on too; their products enter the
    network.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        tiers: Mapping[str, str],
        *,
        quantum_width: int,
        combine: str = "heads",
        channels: int = CHANNELS,
    ) -> None:
        super().__init__()
        self.tiers = tuple(tiers)
        self.norm = nn.LayerNorm(dim)
        self.norm_atoms = nn.LayerNorm(dim) if "inner" in tiers else None
        shares = [heads] * len(tiers) if combine == "gate" else head_groups(heads, len(tiers))
        self.attention = nn.ModuleList(
            RegionAttention(dim, share, kind, encoding_width=ENCODING, size=dim // heads, gate=GATES.get(tier, "head"))
            for share, (tier, kind) in zip(shares, tiers.items(), strict=True)
        )
        self.gate = nn.Linear(dim, len(tiers)) if combine == "gate" and len(tiers) > 1 else None
        self.passing = nn.ModuleDict(
            {tier: VectorPassing(dim, channels, ENCODING) for tier in tiers if tier in VECTOR_TIERS and channels}
        )
        self.injection = QuantumInjection(dim, quantum_width)
        self.products = VectorProducts(channels)
        self.norm_after = nn.LayerNorm(dim)
        self.mlp = network(dim + channels, 2 * dim, dim, 0.3)

    def forward(self, regions: Items, atoms: Items, surroundings: Mapping[str, Surroundings], quantum: Tensor) -> Items:
        """Return the next states and vectors of the regions, given those of their atoms."""
        asking, vectors = Items(self.norm(regions.states), regions.vectors), regions.vectors
        found = []
        for tier, attention in zip(self.tiers, self.attention, strict=True):
            told = asking
            if tier == "inner" and self.norm_atoms is not None:
                told = Items(self.norm_atoms(atoms.states), atoms.vectors)
            way = surroundings[tier]
            found.append(attention(asking.states, told.states, way.edges, way.encoding))
            if tier in self.passing:
                vectors = vectors + self.passing[tier](told.vectors, told.states, way.edges, way.encoding, len(vectors))
        states = regions.states + self._combined(asking.states, found)
        states = self.injection(states, quantum)
        change = self.mlp(torch.cat([self.norm_after(states), self.products(vectors)], 1))
        return Items(states + change, vectors)

    def _combined(self, asking: Tensor, found: list[Tensor]) -> Tensor:
        if self.gate is None:
            return torch.stack(found).sum(0) if len(found) > 1 else found[0]
        shares = torch.softmax(self.gate(asking), 1).unsqueeze(2)  # (ΣR, tiers, 1)
        return (torch.stack(found, 1) * shares).sum(1)


def head_groups(heads: int, tiers: int) -> list[int]:
    """Return how many heads each of some tiers has, the first ones more. Raises ValueError with too few heads."""
    if heads < tiers:
        raise ValueError(f"{heads} heads cannot be shared by {tiers} tiers; take at least one for each")
    return [heads // tiers + (k < heads % tiers) for k in range(tiers)]


class TieredModel(RegionalModel):
    """Region creation, then layers of tiers; every layer's regions contribute to the readout, so targets stay local."""

    def __init__(
        self,
        inputs: MoleculeInputs,
        *,
        layers: Sequence[Sequence[str]],
        dim: int,
        quantum: bool,
        intensive: str,
        num_rbf: int,
        heads: int,
        attention: str | Mapping[str, str],
        region_encoders: str,
        angles: bool,
        combine: str = "heads",
    ) -> None:
        super().__init__(inputs, dim=dim, quantum=quantum, intensive=intensive, readouts=len(layers) + 1)
        channels = CHANNELS if angles else 0
        self.creation = RegionCreation.of(self, num_rbf, channels=channels, region_encoders=region_encoders)
        tiers = list(dict.fromkeys(tier for layer in layers for tier in layer))
        self.encodings = nn.ModuleDict(
            {
                tier: RelativeEncoding(
                    ENCODING,
                    num_rbf=num_rbf,
                    cutoff=inputs.cutoff if tier == "inner" else inputs.region_cutoff,
                    channels=channels,
                )
                for tier in tiers
            }
        )
        self.layers = nn.ModuleList(
            TierLayer(
                dim,
                heads,
                {tier: kind_of(attention, tier) for tier in layer},
                quantum_width=self.quantum_width,
                combine=combine,
                channels=channels,
            )
            for layer in layers
        )

    def encode(self, batch: MoleculeBatch) -> Encoding:
        """Return the states after the last layer; the readout is of the atoms after creation and of every layer."""
        regions = self.creation(batch, self.embed_atoms(batch), self.bond_inputs(batch), self.region_inputs(batch))
        surroundings = {tier: self.surroundings(batch, regions, tier) for tier in self.encodings}
        quantum, now = self.quantum_of_regions(batch), Items(regions.states, regions.vectors)
        readout = [(regions.atoms, batch.atoms_batch)]
        for layer in self.layers:
            now = layer(now, atoms_in(regions, now), surroundings, quantum)
            readout.append((now.states, batch.regions_batch))
        return Encoding(atoms_in(regions, now).states, now.states, readout)

    def surroundings(self, batch: MoleculeBatch, regions: Regions, tier: str) -> Surroundings:
        """Return the edges of a tier and their encoding."""
        edges = tier_edges(batch, tier, regions.positions, self.inputs.region_cutoff)
        senders = regions.atom_vectors if tier == "inner" else regions.vectors
        return Surroundings(edges, self.encodings[tier](edges, regions.vectors, senders))


def atoms_in(regions: Regions, now: Items) -> Items:
    """Return the atoms as they came out of creation, with what their regions are now added."""
    states = regions.atoms + gather(now.states, regions.home)
    return Items(states, regions.atom_vectors + gather(now.vectors, regions.home))


def kind_of(attention: str | Mapping[str, str], tier: str) -> str:
    """Return the kind of attention of a tier; `full` where a mapping does not name it."""
    return attention if isinstance(attention, str) else attention.get(tier, "full")
