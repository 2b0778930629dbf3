"""Which regions are joined at which step, until each molecule is one item: a plan made of whole numbers.

"Nearest" is counted in bonds, not in Å: two items are candidates where a bond runs between them, so a plan is the same
for all positions with the same bonds, and predictions stay smooth in the positions (distances enter as features of what
is joined). Joining the two items nearest in space would let a prediction jump wherever the nearest neighbour changes.

At each step two items are joined where each is the nearest of the other. Nearest is the neighbour with which an item is
smallest (heavy atoms); of these the one with the strongest bonds; then what the surroundings say, from near to far, as
hashed colours (B. Weisfeiler, A. Leman, Nauchno-Tekh. Inf. 2(9), 12, 1968). Neighbours that still tie are joined all
together: no numbering of atoms enters, and what a symmetry of the molecule exchanges is treated alike. So hydrogens
come to their heavy atom first (CH3, OH), and the six CH of benzene are joined in one step. After MUTUAL steps every
item joins its nearest, which at least halves their number (Borůvka's algorithm: J. Nešetřil, E. Milková,
H. Nešetřilová, Discrete Math. 233, 3, 2001): no molecule needs more than MUTUAL + log2(items) steps.

Parts of a molecule that no bond connects are joined in one last step.

Legend of shapes: X items of a level, E bonds between them, B molecules.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from psigraph.graphs.molecule_batch import MoleculeBatch

Array = NDArray[np.int64]

#: Rounds of refinement after which colours are compared; surroundings equal within the last many bonds tie.
ROUNDS = (0, 1, 2, 4, 8)
#: Steps in which items join only where each is the nearest of the other.
MUTUAL = 2
#: Bonds that an atom makes at least; what it lacks of them makes its bonds stronger. Others: as many as it has.
_VALENCE = {1: 1, 5: 3, 6: 4, 7: 3, 8: 2, 9: 1, 14: 4, 15: 3, 16: 2, 17: 1, 35: 1, 53: 1}
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Items:
    """The items of one level in the molecules that are not yet one item, and the bonds between them."""

    molecule: Array  # (X,)
    size: Array  # (X,) heavy atoms
    colour: Array  # (X,) what the item is made of, hashed
    edges: Array  # (E, 2) items I < J, each pair once
    strength: Array  # (E,) total order of the pooled bonds, as far as counts of neighbours tell


@dataclass(frozen=True)
class Join:
    """One step: X items become X' items, E bonds between them E' generalised bonds.

    Items and bonds of the level before are named by their numbers there; those of molecules that are one item already
    do not appear.
    """

    part: Tensor  # (X,) int64, an item of the level before
    owner: Tensor  # (X,) int64, the item it joins
    molecule: Tensor  # (X',) int64
    edges: Tensor  # (E', 2) int64, items I < J
    crossing: Tensor  # bonds of the level before that run between new items
    crossing_owner: Tensor  # the generalised bond each is pooled into
    inner: Tensor  # bonds of the level before within one new item
    inner_owner: Tensor  # that item


@dataclass(frozen=True)
class Plan:
    """Every step for a batch. The bonds of the first level are pooled from those of the atoms."""

    edges: Tensor  # (E, 2) int64, regions I < J that at least one bond joins
    bonds: Tensor  # bonds of the batch that run between regions
    bonds_owner: Tensor  # the pair of regions each belongs to
    steps: list[Join]


def joining_plan(batch: MoleculeBatch, most: int | None = None) -> Plan:
    """Return the plan for the regions of a batch, or its first `most` steps; the first level is every region.

    Raises ValueError where an atom is the core of no region or of several.
    """
    device = batch.z_atoms.device
    items, bonds, owner = region_items(batch)
    edges, between, between_owner = (_tensor(array, device) for array in (items.edges, bonds, owner))
    plan = Plan(edges, between, between_owner, [])
    part, edge = np.arange(len(items.molecule)), np.arange(len(items.edges))
    while True:
        items, part, edge = _unfinished(items, part, edge)
        if len(items.molecule) == 0 or len(plan.steps) == most:
            return plan
        items, owner, edge_owner, inner = join(items, mutual=len(plan.steps) < MUTUAL)
        fields = (
            part,
            owner,
            items.molecule,
            items.edges,
            edge[~inner],
            edge_owner[~inner],
            edge[inner],
            edge_owner[inner],
        )
        plan.steps.append(Join(*(_tensor(array, device) for array in fields)))
        part, edge = np.arange(len(items.molecule)), np.arange(len(items.edges))


def region_items(batch: MoleculeBatch) -> tuple[Items, Array, Array]:
    """Return regions as items, the bonds that run between regions, and the pair of regions each of these belongs to."""
    z, bonds, members, core, molecule = (
        tensor.detach().cpu().numpy()
        for tensor in (batch.z_atoms, batch.bonds, batch.members, batch.core, batch.regions_batch)
    )
    regions, atoms = members[core].T
    counts = np.bincount(atoms, minlength=len(z))
    if (counts != 1).any():
        atom = int(np.flatnonzero(counts != 1)[0])
        raise ValueError(f"atom {atom} of the batch is the core of {counts[atom]} regions; each must be of one")
    home = np.empty(len(z), dtype=np.int64)
    home[atoms] = regions
    pairs = np.sort(home[bonds], 1)
    crossing = np.flatnonzero(pairs[:, 0] != pairs[:, 1])
    edges, owner = _unique_pairs(pairs[crossing], len(molecule))
    order = _orders(z, bonds)
    n = len(molecule)
    inner = pairs[:, 0] == pairs[:, 1]
    kind = _mix(z)
    colour = _sum(home, kind, n) + _sum(pairs[inner, 0], _mix(kind[bonds[inner]].sum(1) + order[inner]), n)
    strength = _sum(owner, order[crossing], len(edges))
    return Items(molecule, _sum(home, (z > 1).astype(np.int64), n), _mix(colour), edges, strength), crossing, owner


def join(items: Items, mutual: bool = True) -> tuple[Items, Array, Array, NDArray[np.bool_]]:
    """Return the next level, the new item of each item (X,), and of each bond (E,) the new bond or item, and whether it
    is inside the item.

    Every molecule must have at least two items. Without `mutual` every item joins its nearest.
    """
    x, molecules = len(items.molecule), int(items.molecule.max()) + 1
    first, second = items.edges.T
    rank = ranks(items)
    nearest = np.full(x, len(rank), dtype=np.int64)
    np.minimum.at(nearest, first, rank)
    np.minimum.at(nearest, second, rank)
    both = np.stack([rank == nearest[first], rank == nearest[second]])
    chosen = both.all(0) if mutual else both.any(0)
    links = coo_matrix((np.ones(chosen.sum()), (first[chosen], second[chosen])), shape=(x, x))
    n, label = connected_components(links, directed=False)
    bonded = np.bincount(items.molecule[first], minlength=molecules) > 0
    label = np.where(bonded[items.molecule], label, n + items.molecule)  # no bonds left: all that remain
    _, start, owner = np.unique(label, return_index=True, return_inverse=True)
    n = len(start)
    pairs = np.sort(owner[items.edges], 1)
    inner = pairs[:, 0] == pairs[:, 1]
    edges, crossing_owner = _unique_pairs(pairs[~inner], n)
    edge_owner = pairs[:, 0].copy()
    edge_owner[~inner] = crossing_owner
    within = _mix(items.colour[items.edges[inner]].sum(1) + items.strength[inner])
    colour = _mix(_sum(owner, _mix(items.colour), n) + _sum(edge_owner[inner], within, n))
    strength = _sum(crossing_owner, items.strength[~inner], len(edges))
    joined = Items(items.molecule[start], _sum(owner, items.size, n), colour, edges, strength)
    return joined, owner, edge_owner, inner


def ranks(items: Items) -> Array:
    """Return the place of each bond (E,) in the order of joining, nearest first; bonds that tie share it."""
    if len(items.edges) == 0:
        return np.empty(0, dtype=np.int64)
    keys = [items.size[items.edges].sum(1), -items.strength]
    keys += [colour[items.edges].sum(1) for colour in colours(items)]
    order = np.lexsort(keys[::-1])
    differs = np.zeros(len(order), dtype=np.int64)
    for key in keys:
        differs[1:] |= key[order][1:] != key[order][:-1]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = differs.cumsum()
    return rank


def colours(items: Items) -> list[Array]:
    """Return colours (X,) after each of ROUNDS: the item, with its neighbours, with their neighbours, ...

    A round hashes an item's colour with the sum of its neighbours' and of the strengths of the bonds to them.
    """
    both = np.concatenate([items.edges, items.edges[:, ::-1]])
    strength = _mix(np.concatenate([items.strength, items.strength]))
    colour, found = items.colour, [items.colour]
    for number in range(1, ROUNDS[-1] + 1):
        around = _sum(both[:, 0], _mix(colour[both[:, 1]] + strength), len(colour))
        colour = _mix(3 * colour + around)
        if number in ROUNDS:
            found.append(colour)
    return found


def _unfinished(items: Items, part: Array, edge: Array) -> tuple[Items, Array, Array]:
    """Return the items of molecules that have more than one, and which of `part` and `edge` they are."""
    if len(items.molecule) == 0:
        return items, part, edge
    keep = np.bincount(items.molecule)[items.molecule] > 1
    if keep.all():
        return items, part, edge
    number = keep.cumsum() - 1
    kept = keep[items.edges[:, 0]]
    edges, strength = number[items.edges[kept]], items.strength[kept]
    return Items(items.molecule[keep], items.size[keep], items.colour[keep], edges, strength), part[keep], edge[kept]


def _orders(z: Array, bonds: Array) -> Array:
    """Return 1 + the bonds that both ends lack (ΣB,): 2 for C=O, 3 for C≡N, and at least 2 along an aromatic ring."""
    valence = np.zeros(256, dtype=np.int64)
    valence[list(_VALENCE)] = list(_VALENCE.values())
    lacking = np.maximum(valence[z] - np.bincount(bonds.ravel(), minlength=len(z)), 0)
    return 1 + lacking[bonds].min(1) if len(bonds) else np.empty(0, dtype=np.int64)


def _unique_pairs(pairs: Array, n: int) -> tuple[Array, Array]:
    """Return pairs (E, 2) of numbers below n without repetition, and of each the place of its like."""
    found, place = np.unique(pairs[:, 0] * n + pairs[:, 1], return_inverse=True)
    return np.stack([found // max(n, 1), found % max(n, 1)], 1), place


def _mix(values: Array) -> Array:
    """Return hashes below 2^40 (the finaliser of splitmix64): sums of thousands of them are exact in float64."""
    x = values.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(24)).astype(np.int64)


def _sum(index: Array, values: Array, n: int) -> Array:
    """Return the sum (n,) of the values at each index, exact below 2^53."""
    return np.bincount(index, values, minlength=n).astype(np.int64)


def _tensor(array: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
