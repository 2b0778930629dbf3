"""Where regions lie, which regions (or atoms) each tier of attention joins, and what an edge says about its two ends.

Legend: E edges of a tier, from a sender (a region; of the tier `inner` an atom) to the region that asks; C vectors of a
region. A position is in Å. Everything is invariant or turns with the molecule.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.kernels.edge_sum import edge_dot
from psigraph.models.regional.pooling import gather
from psigraph.models.regional.weights import linear

#: Columns of `Edges.invariants`: hops 1, 2, 3, 4 or more, not connected; log(1 + x) of atoms shared, bonds between and
#: steric hindrance; chirality; whether the sender is the receiver itself, or in its core.
INVARIANTS = 10
_HOPS = 5
#: Directions shrink to 0 below this distance [Å]: the atom in the middle of its own region has none.
_BLUR = 0.1
#: α of the radial functions [1/Å], and the shortest distance they resolve [Å].
_DECAY, _SHORTEST = 0.35, 0.7


@dataclass(frozen=True)
class Edges:
    """Directed edges of one tier."""

    receivers: Tensor  # (E,) int64, the region that asks
    senders: Tensor  # (E,) int64, the region or atom that answers
    distance: Tensor  # (E,) Å
    direction: Tensor  # (E, 3) towards the sender, of length d / sqrt(d² + 0.01 Å²)
    envelope: Tensor  # (E,) 1 at distance 0, falling to 0 with its slope at the cutoff
    invariants: Tensor  # (E, INVARIANTS)
    pairs: int = 0  # P: the first P edges and the next P are the same pairs, one way and the other


def envelope(distance: Tensor, cutoff: float) -> Tensor:
    """Return 1 - 10 x³ + 15 x⁴ - 6 x⁵ of x = distance / cutoff, 0 beyond: value and two slopes vanish at the cutoff."""
    x = (distance / cutoff).clamp(max=1.0)
    return 1 - x**3 * (10 - x * (15 - 6 * x))


def displacement(receivers: Tensor, senders: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances (E,) [Å] and directions (E, 3) between positions (E, 3) of receivers and senders."""
    step = senders - receivers
    square = step.square().sum(1)
    return square.clamp(min=1e-12).sqrt(), step * (square + _BLUR**2).rsqrt().unsqueeze(1)


def make_edges(
    receivers: Tensor,
    senders: Tensor,
    positions: tuple[Tensor, Tensor],
    invariants: Tensor,
    cutoff: float | None = None,
    pairs: int = 0,
) -> Edges:
    """Return edges between given ends; `positions` are those of all receivers (R, 3) and of all senders (S, 3).

    Without a cutoff, for edges that bonds or membership decide, the envelope is 1.
    """
    here, there = gather(positions[0], receivers), gather(positions[1], senders)
    distance, direction = displacement(here, there)
    weight = torch.ones_like(distance) if cutoff is None else envelope(distance, cutoff)
    return Edges(receivers, senders, distance, direction, weight, invariants, pairs)


def tier_edges(batch: MoleculeBatch, tier: str, positions: Tensor, cutoff: float) -> Edges:
    """Return the edges of a tier between the regions at `positions` (ΣR, 3).

    inner: a region's own atoms; neighbour: regions that share an atom with it or that a bond joins; global: all within
    the cutoff [Å], itself included; global_cross: those of them that share no atom with it.
    """
    if tier == "inner":
        region, atom = batch.members.unbind(1)
        return make_edges(region, atom, (positions, batch.pos_atoms), _own_atoms(batch))
    chosen, features = _pairs_of_tier(batch, tier)
    first, second = chosen.unbind(1)
    receivers, senders = torch.cat([first, second]), torch.cat([second, first])
    invariants = pair_invariants(features).repeat(2, 1)
    if tier == "global":
        own = torch.arange(len(positions), device=positions.device)
        receivers, senders = torch.cat([receivers, own]), torch.cat([senders, own])
        invariants = torch.cat([invariants, _same_place(len(own), positions)])
    return make_edges(receivers, senders, (positions, positions), invariants, cutoff, pairs=len(chosen))


def _pairs_of_tier(batch: MoleculeBatch, tier: str) -> tuple[Tensor, Tensor]:
    features = batch.region_pair_features
    shared, bonds = features[:, 1], features[:, 2]
    if tier == "neighbour":
        keep = (shared > 0) | (bonds > 0)
    elif tier == "global_cross":
        keep = shared == 0
    elif tier == "global":
        return batch.region_pairs, features
    else:
        raise ValueError(f"unknown tier {tier!r}; known: inner, neighbour, global, global_cross")
    place = keep.nonzero().squeeze(1)
    return gather(batch.region_pairs, place), gather(features, place)


def pair_invariants(features: Tensor) -> Tensor:
    """Return `Edges.invariants` (Q, INVARIANTS) of pairs of regions from their features (Q, 5), see psigraph.fields."""
    known = features.nan_to_num(0.0)
    hops, counts, chirality = known[:, 0], known[:, 1:4].log1p(), known[:, 4:5]
    kind = torch.where(hops < 0, _HOPS - 1, hops.clamp(1, _HOPS - 1) - 1).long()
    one_hot = nn.functional.one_hot(kind, _HOPS).to(features.dtype)
    return torch.cat([one_hot, counts, chirality, torch.zeros_like(chirality)], 1)


def _same_place(edges: int, like: Tensor) -> Tensor:
    invariants = like.new_zeros(edges, INVARIANTS)
    invariants[:, -1] = 1
    return invariants


def _own_atoms(batch: MoleculeBatch) -> Tensor:
    """Of a region's own atoms all that is known is whether one is in its core."""
    invariants = batch.pos_atoms.new_zeros(len(batch.core), INVARIANTS)
    invariants[:, -1] = batch.core.to(invariants.dtype)
    return invariants


class RadialBasis(nn.Module):
    """h exp(-β (e^(-αd) - μ_k)²), μ_k evenly spaced: fine steps where bonds are, wide ones far away; mean square 1.

    The form is that of O. Unke, M. Meuwly, J. Chem. Theory Comput. 15, 3678 (2019) without their cutoff function.
    """

    centres: Tensor

    def __init__(self, num_rbf: int, cutoff: float) -> None:
        super().__init__()
        far, near = torch.exp(-_DECAY * torch.tensor([cutoff, _SHORTEST])).tolist()
        self.register_buffer("centres", torch.linspace(far, near, num_rbf), persistent=False)
        self.sharpness = ((num_rbf - 1) / (near - far)) ** 2 / 2
        self.height = (num_rbf / pi**0.5) ** 0.5

    def forward(self, distance: Tensor) -> Tensor:
        """Return the basis (E, num_rbf) of distances (E,) [Å]."""
        place = torch.exp(-_DECAY * distance).unsqueeze(1) - self.centres
        return self.height * torch.exp(-self.sharpness * place.square())


class RelativeEncoding(nn.Module):
    """What an edge says of its two ends: distance, direction, hops, steric hindrance, chirality, shared atoms, bonds.

    Direction enters as dot products of both ends' vectors with the edge's and with one another (angles at linear cost).
    One encoding serves all layers of a tier; each projects it for itself. All but the direction is the same both ways,
    and computed once for a pair.
    """

    def __init__(self, width: int, *, num_rbf: int, cutoff: float, channels: int) -> None:
        super().__init__()
        self.basis = RadialBasis(num_rbf, cutoff)
        self.both_ways = linear(num_rbf + INVARIANTS + channels, width, 0.7)
        self.one_way = linear(2 * channels, width, 0.7, bias=False) if channels else None

    def forward(self, edges: Edges, receivers: Tensor, senders: Tensor) -> Tensor:
        """Return (E, width), given the vectors of all receivers (R, 3, C) and of all senders (S, 3, C)."""
        p = edges.pairs
        parts = [self.basis(_once(edges.distance, p)), _once(edges.invariants, p)]
        if self.one_way is None:
            return nn.functional.silu(_twice(self.both_ways(torch.cat(parts, 1)), p))
        here, there = _once(edges.receivers, p), _once(edges.senders, p)  # (E - P,)
        receivers, senders, channels = receivers.flatten(1), senders.flatten(1), receivers.shape[2]
        along = _once(edges.direction, p).repeat_interleave(channels, 1)  # (E - P, 3 C)
        each = torch.arange(len(here), device=here.device)
        near = edge_dot(receivers, along, here, each, channels)  # (E - P, C)
        far = edge_dot(senders, along, there, each, channels)
        same = self.both_ways(torch.cat([*parts, edge_dot(receivers, senders, here, there, channels)], 1))
        forth = same + self.one_way(torch.cat([near, far], 1))
        if not p:
            return nn.functional.silu(forth)
        back = same[:p] - self.one_way(torch.cat([far[:p], near[:p]], 1))
        return nn.functional.silu(torch.cat([forth[:p], back, forth[p:]]))


def _once(values: Tensor, pairs: int) -> Tensor:
    """Return the rows of edges without the opposite directions of the first `pairs`."""
    return torch.cat([values[:pairs], values[2 * pairs :]]) if pairs else values


def _twice(values: Tensor, pairs: int) -> Tensor:
    """Undo `_once` for what is the same both ways."""
    return torch.cat([values[:pairs], values]) if pairs else values
