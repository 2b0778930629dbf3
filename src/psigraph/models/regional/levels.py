"""Levels of items: what stands where, how parts become one item, and the generalised bonds between items.

Legend of shapes: X items of a level, E bonds between them, K parts (an item of the level before and the item it joins),
C vectors, W columns of a bond's state. Positions are in Å; all is invariant or turns with the molecule, and smooth.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.regional.creation import Regions
from psigraph.models.regional.geometry import INVARIANTS, RadialBasis, RelativeEncoding, displacement, make_edges
from psigraph.models.regional.joining import Join, Plan
from psigraph.models.regional.pooling import gather, pool_sum
from psigraph.models.regional.tiers import CHANNELS, ENCODING, Items, Surroundings, TierLayer
from psigraph.models.regional.vectors import bent

#: Vectors stay below this from level to level: products of theirs are in what the next ones are multiplied by, so that
#: their growth would be that of a tower of powers. Trained ones are of length 0.5 to 4.
_LONGEST = 20.0
#: Columns of `Edges.invariants` for one hop, and for the number of bonds (as log(1 + n)).
_ONE_HOP, _BONDS = 0, 6


@dataclass(frozen=True)
class Level:
    """The items of one level and the generalised bonds between them."""

    molecule: Tensor  # (X,) int64
    states: Tensor  # (X, dim)
    vectors: Tensor  # (X, 3, C)
    positions: Tensor  # (X, 3) Å, the centre of the joined regions
    mass: Tensor  # (X,) regions in each item
    spread: Tensor  # (X,) Å², mean square distance of the regions from the centre
    quantum: Tensor  # (X, Q) means over the regions
    edges: Tensor  # (E, 2) int64
    count: Tensor  # (E,) bonds between atoms pooled into each
    bonds: Tensor  # (E, W)


@dataclass(frozen=True)
class Parts:
    """Which item goes where, and with what share of it."""

    part: Tensor  # (K,) int64, an item of the level before
    owner: Tensor  # (K,) int64, an item of the next level
    share: Tensor | None = None  # (K,), all of it where None


class FirstBonds(nn.Module):
    """The bonds between regions: sums over the atoms' bonds of what their features and lengths say."""

    def __init__(self, bond_width: int, num_rbf: int, longest: float = 3.0) -> None:
        super().__init__()
        self.basis = RadialBasis(num_rbf, longest)
        self.encode = nn.Sequential(nn.Linear(num_rbf + bond_width, ENCODING), nn.SiLU())

    def forward(self, batch: MoleculeBatch, plan: Plan, regions: Regions, features: Tensor, quantum: Tensor) -> Level:
        """Return the regions of a batch as the first level; `features` are of all bonds (ΣB, bond_width)."""
        first, second = gather(batch.bonds, plan.bonds).unbind(1)
        length, _ = displacement(gather(batch.pos_atoms, first), gather(batch.pos_atoms, second))
        bonds = self.encode(torch.cat([self.basis(length), gather(features, plan.bonds)], 1))
        count = len(plan.edges)
        ones = torch.ones_like(regions.positions[:, 0])
        return Level(
            batch.regions_batch,
            regions.states,
            regions.vectors,
            regions.positions,
            ones,
            torch.zeros_like(ones),
            quantum,
            plan.edges,
            pool_sum(torch.ones_like(length), plan.bonds_owner, count),
            pool_sum(bonds, plan.bonds_owner, count),
        )


class Joining(nn.Module):
    """Items of one level become those of the next.

    Parts p have shares w_p and masses m_p, d_p and n_p are distance and direction from the new centre, b bonds inside:

        s = Σ_p w_p m_p s_p / Σ_p w_p m_p + U [N^-a (Σ_p w_p V s_p ⊙ (1 + G [d_p, v_p·n_p]) + Σ_b B b), |v|², m, spread]

    with N = Σ_p w_p, and a in (0, 1) learned for each column: between a sum over the parts and a mean.
    """

    def __init__(self, dim: int, num_rbf: int, cutoff: float) -> None:
        super().__init__()
        self.basis = RadialBasis(num_rbf, cutoff)
        self.norm = nn.LayerNorm(dim)
        self.value = nn.Linear(dim, dim + CHANNELS)
        self.gate = nn.Linear(num_rbf + CHANNELS, dim)
        self.inner = nn.Linear(ENCODING, dim, bias=False)
        self.turn = nn.Linear(CHANNELS, CHANNELS, bias=False)
        self.power = nn.Parameter(torch.zeros(dim))
        self.update = nn.Sequential(nn.Linear(dim + CHANNELS + 2, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, level: Level, join: Join, parts: Parts) -> Level:
        """Return the next level; its bonds are sums of the old ones, not yet of the new geometry."""
        items, part, owner = len(join.molecule), parts.part, parts.owner
        share = torch.ones_like(gather(level.mass, part)) if parts.share is None else parts.share
        mass_of_part = share * gather(level.mass, part)
        mass = pool_sum(mass_of_part, owner, items)
        portion = (mass_of_part / gather(mass, owner)).unsqueeze(1)  # (K, 1)
        place = gather(level.positions, part)
        centre = pool_sum(portion * place, owner, items)
        distance, direction = displacement(gather(centre, owner), place)
        spread = pool_sum(portion.squeeze(1) * (gather(level.spread, part) + distance.square()), owner, items)

        states, vectors = gather(level.states, part), gather(level.vectors, part)
        along = (vectors * direction.unsqueeze(2)).sum(1)  # (K, C)
        value, pull = self.value(self.norm(states)).split([len(self.power), CHANNELS], 1)
        message = share.unsqueeze(1) * value * (1 + self.gate(torch.cat([self.basis(distance), along], 1)))
        number = pool_sum(share, owner, items).unsqueeze(1)
        total = pool_sum(message, owner, items) + self._inner_bonds(level, join, items)
        total = total * number ** -torch.sigmoid(self.power)
        turned = share.view(-1, 1, 1) * (self.turn(vectors) + direction.unsqueeze(2) * pull.unsqueeze(1))
        vectors = pool_sum(turned, owner, items) / number.unsqueeze(2)
        size = torch.stack([mass.log1p(), spread.log1p()], 1)
        new = self.update(torch.cat([total, vectors.square().sum(1), size], 1))
        mean = pool_sum(portion * states, owner, items)
        edges = len(join.edges)
        return Level(
            join.molecule,
            mean + new,
            vectors,
            centre,
            mass,
            spread,
            pool_sum(portion * gather(level.quantum, part), owner, items),
            join.edges,
            pool_sum(gather(level.count, join.crossing), join.crossing_owner, edges),
            pool_sum(gather(level.bonds, join.crossing), join.crossing_owner, edges),
        )

    def _inner_bonds(self, level: Level, join: Join, items: int) -> Tensor:
        found: Tensor = self.inner(pool_sum(gather(level.bonds, join.inner), join.inner_owner, items))
        return found


class LevelPass(nn.Module):
    """One pass of attention along the generalised bonds of a level, with quantum information at its end.

    A bond's state is made of what was pooled into it, the distance of the joined centres and their vectors; the next
    level pools it.
    """

    def __init__(self, dim: int, heads: int, kind: str, *, quantum_width: int, num_rbf: int, cutoff: float) -> None:
        super().__init__()
        self.relative = RelativeEncoding(ENCODING, num_rbf=num_rbf, cutoff=cutoff, channels=CHANNELS)
        self.pooled = nn.Linear(ENCODING, ENCODING, bias=False)
        self.layer = TierLayer(dim, heads, {"neighbour": kind}, quantum_width=quantum_width)

    def forward(self, level: Level) -> Level:
        """Return the level with the next states of its items and bonds."""
        first, second = level.edges.unbind(1)
        invariants = level.states.new_zeros(len(first), INVARIANTS)
        invariants[:, _ONE_HOP] = 1
        invariants[:, _BONDS] = level.count.log1p()
        both = (torch.cat([first, second]), torch.cat([second, first]))
        edges = make_edges(*both, (level.positions, level.positions), invariants.repeat(2, 1), pairs=len(first))
        encoding = self.relative(edges, level.vectors, level.vectors)
        encoding = encoding + nn.functional.silu(self.pooled(level.bonds)).repeat(2, 1)
        items = Items(level.states, level.vectors)
        items = self.layer(items, items, {"neighbour": Surroundings(edges, encoding)}, level.quantum)
        bonds = encoding.view(2, len(first), ENCODING).mean(0)
        return replace(level, states=items.states, vectors=bent(items.vectors, _LONGEST), bonds=bonds)
