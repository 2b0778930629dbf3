"""Graph attention on the ligand's bonds and on its contacts with the protein.

Legend of shapes: ΣN atoms of ligands, ΣB bonds, ΣS atoms of proteins, ΣC contacts, U protein atoms with a contact.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv
from torch_geometric.utils import scatter

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models.affinity.voxels import CHANNELS, AtomChannels

#: Centres of the radial functions of contacts, 0 to this distance [Å]; longer contacts are as contacts at infinity.
RANGE = 8.0
RADIAL = 16
BOND_FEATURES = 3
#: Sums over atoms are divided by these, about the number of atoms of a ligand and of those it touches.
_LIGAND_ATOMS, _TOUCHED_ATOMS = 25.0, 60.0


class Contacts(NamedTuple):
    """The graph of contacts: ligand atoms are nodes 0 to ΣN-1, the protein atoms they touch the U nodes after them."""

    touched: Tensor  # (U,) int64, atoms of the proteins
    edges: Tensor  # (2, 2 ΣC) int64, each contact in both directions
    distance: Tensor  # (2 ΣC,) Å


def contacts_of(batch: ComplexBatch) -> Contacts:
    """Return the graph of contacts of a batch."""
    atom, site = batch.contacts.unbind(1)
    touched, place = site.unique(return_inverse=True)
    edges = both_directions(torch.stack([atom, place + len(batch.z_atoms)], 1))
    distance = (batch.pos_atoms[atom] - batch.site_pos[site]).norm(dim=1)  # (ΣC,)
    return Contacts(touched, edges, distance.repeat(2))


def both_directions(pairs: Tensor) -> Tensor:
    """Return pairs (P, 2) as edges (2, 2P): all first to second, then all second to first."""
    return torch.cat([pairs, pairs.flip(1)]).T


def radial(distance: Tensor) -> Tensor:
    """Return Gaussians (E, RADIAL) of distances (E,) [Å], their centres and widths evenly from 0 to RANGE."""
    step = RANGE / (RADIAL - 1)
    centres = step * torch.arange(RADIAL, dtype=distance.dtype, device=distance.device)
    return torch.exp(-0.5 * ((distance[:, None] - centres) / step).square())


class GraphLayer(nn.Module):
    """Attention of the nodes to their neighbours, on normed states, added to the states.

    GATv2 (S. Brody, U. Alon, E. Yahav, ICLR 2022, equation 7, arXiv:2105.14491) with features of the edges.
    """

    def __init__(self, dim: int, heads: int, edge_features: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = GATv2Conv(dim, dim // heads, heads, edge_dim=edge_features, add_self_loops=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, edges: Tensor, features: Tensor) -> Tensor:
        """Return states (V, dim) of states (V, dim), edges (2, E) from sender to receiver and their features."""
        told = self.attention(self.norm(states), edges, features)
        return states + self.dropout(nn.functional.gelu(told))


class ComplexGraphs(nn.Module):
    """Features (B, outputs) of complexes: in each of `layers` attention along bonds, then along contacts.

    Read out are sums over the ligand's atoms and over the protein's atoms with a contact. Without bonds or contacts the
    states stay what the atoms themselves make them.
    """

    def __init__(self, dim: int, layers: int, heads: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.channels = AtomChannels()
        self.ligand, self.site = nn.Linear(len(CHANNELS), dim), nn.Linear(len(CHANNELS), dim)
        self.bonds = nn.ModuleList(GraphLayer(dim, heads, BOND_FEATURES, dropout) for _ in range(layers))
        self.contacts = nn.ModuleList(GraphLayer(dim, heads, RADIAL, dropout) for _ in range(layers))
        self.read = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU())
        self.out = nn.Linear(2 * dim, outputs)

    def forward(self, batch: ComplexBatch, atom_weights: Tensor | None = None) -> Tensor:
        """Return the features of a batch; `atom_weights` (ΣN,) multiply the channels of the ligands' atoms."""
        count, atoms = batch.num_graphs, len(batch.z_atoms)
        contacts = contacts_of(batch)
        ligand = self.channels.of_ligands(batch, atom_weights)  # (ΣN, 12)
        site = self.channels(batch.site_z[contacts.touched], batch.site_features[contacts.touched])  # (U, 12)
        states = torch.cat([self.ligand(ligand), self.site(site)])  # (ΣN + U, dim)
        bonds, bond_features = both_directions(batch.bonds), batch.bond_features.repeat(2, 1)
        distances = radial(contacts.distance)  # (2 ΣC, RADIAL)
        for along_bonds, along_contacts in zip(self.bonds, self.contacts, strict=True):
            states = along_bonds(states, bonds, bond_features)
            states = along_contacts(states, contacts.edges, distances)
        told = self.read(states)  # (ΣN + U, dim)
        ligands = scatter(told[:atoms], batch.atoms_batch, 0, count) / _LIGAND_ATOMS  # (B, dim)
        touched = scatter(told[atoms:], batch.sites_batch[contacts.touched], 0, count) / _TOUCHED_ATOMS
        return self.out(torch.cat([ligands, touched], 1))
