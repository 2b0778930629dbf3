"""PAMNet (S. Zhang, Y. Liu, L. Xie, Sci. Rep. 13, 19171, 2023; spec/regional.md), the reference of the family.

Its configuration for QM9: a global layer on all pairs within the cutoff, with distances, then a local layer on bonds,
with distances and angles over one and two hops; both layers' outputs of every depth are fused by attention and summed
over atoms. The first layer of each message network, on [x_i, x_j, e], is written as A x_i + B x_j + C e: what belongs
to an atom is computed once for each atom, what belongs to an edge once for both directions; the numbers are the same.

Other than the paper: features of atoms, bonds, regions and molecules enter where the graphs have them; there is an
output and an attention score for each target; the embedding of global distances has no bias, so that messages vanish
smoothly at the cutoff; the spherical basis has no 1/r; the last layers of the outputs begin at 0.

Shapes: N atoms, E = B bonds or P pairs, T triplets, D = dim, K targets.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.kernels.edge_sum import edge_sum, pair_silu
from psigraph.models.regional.base import Encoding, RegionalModel
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.pooling import gather, pool_mean
from psigraph.models.regional.readout import pool_targets
from psigraph.models.spherical import BesselBasis, SphericalBasis

NUM_RBF = 16
SPHERICAL = (7, 6)  # orders and radial functions of the spherical basis
#: Å, range of the local layer's functions; it joins bonded atoms only, whose distances are well below.
LOCAL_CUTOFF = 5.0
_SLOPE = 0.2  # of the leaky ReLU on attention scores


class Triplets(NamedTuple):
    """Pairs of different bonds that meet in an atom j, in both orders: i -> j and k -> j.

    Bond b stands for its direction first -> second as edge b, and for the other one as edge b + ΣB.
    """

    other: Tensor  # (T,) edge k -> j, whose message is used
    two_hop: Tensor  # (T,) edge j -> i, which receives it over two hops
    one_hop: Tensor  # (T,) edge i -> j, which receives it over one hop


class Local(NamedTuple):
    """What all local layers of a batch share."""

    edges: Tensor  # (B, D)
    angles: Tensor  # (2T, D): of messages over one hop, then over two
    other: Tensor  # (2T,) edges that send
    receiver: Tensor  # (2T,) edges that receive


@dataclass
class FusedEncoding(Encoding):
    """An encoding with the outputs of all layers, fused."""

    outputs: Tensor  # (N, K)


def triplets(bonds: Tensor, atoms: int) -> Triplets:
    """Return the pairs of bonds (ΣB, 2) that share an atom."""
    count = len(bonds)
    target = torch.cat([bonds[:, 1], bonds[:, 0]])  # (2 ΣB,) where each edge ends
    by_target = target.argsort(stable=True)
    degree = torch.bincount(target, minlength=atoms)
    each = degree[target]  # edges that end where this one does, itself included
    edge = torch.repeat_interleave(each)
    begins = (degree.cumsum(0) - degree)[target] - (each.cumsum(0) - each)
    other = by_target[torch.arange(len(edge), device=edge.device) + begins[edge]]
    differ = (edge != other).nonzero().squeeze(1)
    edge, other = edge[differ], other[differ]
    return Triplets(other, torch.where(edge < count, edge + count, edge - count), edge)


def mlp(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths, each followed by SiLU."""
    layers = [[nn.Linear(a, b), nn.SiLU()] for a, b in zip(widths, widths[1:], strict=False)]
    return nn.Sequential(*(part for layer in layers for part in layer))


class Residual(nn.Module):
    """x + MLP(x) with two layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = mlp(dim, dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(x)


class Update(nn.Module):
    """What follows the messages in both layers: three residual blocks and the layer's output with its score."""

    def __init__(self, dim: int, targets: int) -> None:
        super().__init__()
        self.first = mlp(dim, dim)
        self.blocks = nn.ModuleList(Residual(dim) for _ in range(3))
        self.output = mlp(dim, dim, dim, dim)
        self.value = nn.Linear(dim, targets)
        self.score = nn.Linear(dim, targets, bias=False)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return states (N, D), output (N, K) and attention score (N, K)."""
        x = self.blocks[0](self.first(x)) + before
        x = self.blocks[2](self.blocks[1](x))
        out = self.output(x)
        return x, self.value(out), nn.functional.leaky_relu(self.score(out), _SLOPE)


class GlobalLayer(nn.Module):
    """Messages silu(A x_i + B x_j + C e + b) ⊙ W e over the pairs within the cutoff, in both directions."""

    def __init__(self, dim: int, targets: int) -> None:
        super().__init__()
        self.first = mlp(dim, dim)
        self.nodes = nn.Linear(dim, 2 * dim, bias=False)  # A, B
        self.edges = nn.Linear(dim, dim)  # C, b
        self.gate = nn.Linear(dim, dim, bias=False)  # W
        self.update = Update(dim, targets)

    def forward(self, x: Tensor, edges: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return states (N, D), output and score (N, K); edges (P, D) and pairs (P, 2) stand once."""
        before, x = x, self.first(x)
        return self.update(x + pair_silu(self.nodes(x), self.edges(edges), self.gate(edges), pairs), before)


class LocalLayer(nn.Module):
    """Messages over bonds, each with those of the bonds that meet it in one of its atoms, weighted by the angle."""

    def __init__(self, dim: int, targets: int) -> None:
        super().__init__()
        self.first = mlp(dim, dim)
        self.nodes = nn.Linear(dim, 4 * dim, bias=False)  # A, B of a bond's own message, A, B of that to other bonds
        self.own = nn.Linear(dim, dim)
        self.other = nn.Linear(dim, dim)
        self.other_gate = nn.Linear(dim, dim, bias=False)
        self.angle = mlp(dim, dim, dim)
        self.gate = nn.Linear(dim, dim, bias=False)
        self.update = Update(dim, targets)

    def forward(self, x: Tensor, local: Local, bonds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return states (N, D), output and score (N, K)."""
        before, x = x, self.first(x)
        i, j = bonds.unbind(1)
        own, other = self.nodes(x).chunk(2, 1)
        own = nn.functional.silu(both_directions(own, self.own(local.edges), i, j))  # (2B, D)
        other = nn.functional.silu(both_directions(other, self.other(local.edges), i, j))
        other = other * self.other_gate(local.edges).repeat(2, 1)
        own = own + edge_sum(self.angle(local.angles), other, local.receiver, local.other, len(own))
        messages = own * self.gate(local.edges).repeat(2, 1)
        return self.update(x.index_add(0, torch.cat([j, i]), messages), before)


def both_directions(nodes: Tensor, edges: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return A x_target + B x_source + C e (2B, D) of edges i -> j, then j -> i, of node parts (N, 2D) = [A x, B x]."""
    (to_i, from_i), (to_j, from_j) = gather(nodes, i).chunk(2, 1), gather(nodes, j).chunk(2, 1)
    return torch.cat([to_j + from_i + edges, to_i + from_j + edges])


class PAMNet(RegionalModel):
    """The published model, with one output and one attention score per target."""

    target_weights = ("update.value", "update.score")

    def __init__(self, inputs: MoleculeInputs, *, dim: int, layers: int, quantum: bool, intensive: str) -> None:
        super().__init__(inputs, dim=dim, quantum=quantum, intensive=intensive, readouts=0)
        targets = len(inputs.targets)
        self.global_basis = BesselBasis(NUM_RBF, inputs.cutoff)
        self.local_basis = BesselBasis(NUM_RBF, LOCAL_CUTOFF)
        self.spherical = SphericalBasis(*SPHERICAL, LOCAL_CUTOFF)
        self.embed_pairs = nn.Linear(NUM_RBF, dim, bias=False)
        self.embed_bonds = nn.Linear(NUM_RBF + self.bond_width, dim)
        self.embed_angles = nn.Linear(self.spherical.width, 2 * dim)  # over one hop, over two
        self.embed_regions = nn.Linear(self.region_width, dim, bias=False) if self.region_width else None
        self.global_layers = nn.ModuleList(GlobalLayer(dim, targets) for _ in range(layers))
        self.local_layers = nn.ModuleList(LocalLayer(dim, targets) for _ in range(layers))

    def encode(self, batch: MoleculeBatch) -> FusedEncoding:
        """Return the last layer's states, a region's being the mean of its atoms', and the fused outputs."""
        x = self.first_states(batch)
        pairs = nn.functional.silu(self.embed_pairs(self.global_basis(lengths(batch.pos_atoms, batch.pairs))))
        local = self.local(batch)
        fused: Any = 0
        for global_layer, local_layer in zip(self.global_layers, self.local_layers, strict=True):
            x, *far = global_layer(x, pairs, batch.pairs)
            x, *near = local_layer(x, local, batch.bonds)
            fused = fused + fuse(*zip(far, near, strict=True))
        region, atom = batch.members.unbind(1)
        regions = pool_mean(gather(x, atom), region, len(batch.region_features))
        return FusedEncoding(x, regions, [], fused)

    def first_states(self, batch: MoleculeBatch) -> Tensor:
        """Return (N, D): of elements and features, and of the regions an atom is in."""
        x = self.embed_atoms(batch)
        if self.embed_regions is None:
            return x
        region, atom = batch.members.unbind(1)
        return x + pool_mean(gather(self.embed_regions(self.region_inputs(batch)), region), atom, len(x))

    def local(self, batch: MoleculeBatch) -> Local:
        """Return what all local layers share: embedded lengths and angles of bonds."""
        first, second = batch.bonds.unbind(1)
        vector = gather(batch.pos_atoms, second) - gather(batch.pos_atoms, first)  # (B, 3)
        length = vector.norm(dim=1)
        basis = torch.cat([self.local_basis(length), self.bond_inputs(batch)], 1)
        meeting = triplets(batch.bonds, len(batch.z_atoms))
        unit = vector / length[:, None]
        unit = torch.cat([unit, -unit])  # (2B, 3) along each edge
        cosine = (gather(unit, meeting.one_hop) * gather(unit, meeting.other)).sum(1)  # of the angle i-j-k
        bond = meeting.other % max(len(batch.bonds), 1)
        angles = self.embed_angles(self.spherical(gather(self.spherical.radial(length), bond), cosine))  # (T, 2D)
        return Local(
            edges=nn.functional.silu(self.embed_bonds(basis)),
            angles=nn.functional.silu(torch.cat(angles.chunk(2, 1))),
            other=meeting.other.repeat(2),
            receiver=torch.cat([meeting.one_hop, meeting.two_hop]),
        )

    def read(self, batch: MoleculeBatch, encoding: Encoding) -> Tensor:
        assert isinstance(encoding, FusedEncoding)
        return pool_targets(encoding.outputs, batch.atoms_batch, batch.num_graphs, self.summed)


def lengths(positions: Tensor, pairs: Tensor) -> Tensor:
    """Return the distances (P,) of pairs (P, 2) of atoms."""
    return (gather(positions, pairs[:, 1]) - gather(positions, pairs[:, 0])).norm(dim=1)


def fuse(outputs: tuple[Tensor, Tensor], scores: tuple[Tensor, Tensor]) -> Tensor:
    """Return the outputs (N, K) of a global and a local layer, weighted by the softmax of their scores."""
    weights = torch.stack(scores).softmax(0)
    return (torch.stack(outputs) * weights).sum(0)
