"""Joining one after another along the chain, as a polymer is built: the sequential order of architecture 4.

A chain begins at an end of the longest chain of the molecule: an item from which the farthest other is as far, in
bonds, as any two are. Then come the items one bond away, two bonds, ... So a molecule without branches is read from
both ends; where several items are such ends (all of a ring), there is a chain from each, and what they say is averaged:
no numbering of atoms enters. Items that no bond connects with the beginning come last, together.

Legend of shapes: X items, E bonds between them, C chains, K places in chains (a chain and an item).
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from psigraph.models.regional.geometry import RadialBasis, displacement
from psigraph.models.regional.levels import Level
from psigraph.models.regional.pooling import gather, pool_mean, pool_sum
from psigraph.models.regional.tiers import CHANNELS

Array = NDArray[np.int64]


@dataclass(frozen=True)
class Turn:
    """The chains that take items at one step, and the items each takes."""

    chains: Tensor  # (A,) int64
    items: Tensor  # (K,) int64
    taker: Tensor  # (K,) int64, place in `chains`


@dataclass(frozen=True)
class Chains:
    """All chains of a batch, step by step."""

    molecule: Tensor  # (C,) int64
    share: Tensor  # (C,) 1 / number of chains of the molecule
    turns: list[Turn]


def hops_between(molecule: Array, edges: Array) -> Array:
    """Return bonds from each item to each of its molecule (X, n), -1 where there is no way or no item.

    Column k is the k-th item of the molecule; n is the number of items of the largest.
    """
    if len(molecule) == 0:
        return np.empty((0, 0), dtype=np.int64)
    _, row, counts = np.unique(molecule, return_inverse=True, return_counts=True)
    order = np.argsort(row, kind="stable")
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - np.repeat(counts.cumsum() - counts, counts)
    n = int(counts.max())
    near = np.zeros((len(counts), n, n), dtype=np.float32)
    first, second = edges.T
    near[row[first], place[first], place[second]] = near[row[first], place[second], place[first]] = 1
    hops = np.full(near.shape, -1, dtype=np.int64)
    hops[row, place, place] = 0
    reached, step = (hops == 0).astype(np.float32), 0
    while True:
        step += 1
        new = (reached @ near > 0) & (hops < 0)
        if not new.any():
            return hops[row, place]
        hops[new] = step
        reached = new.astype(np.float32)


def chains_of(molecule: Tensor, edges: Tensor) -> Chains:
    """Return the chains of items of molecules (X,) with bonds (E, 2) between them; items of a molecule need not be
    neighbours in the list."""
    owner, pairs = molecule.detach().cpu().numpy(), edges.detach().cpu().numpy()
    device = molecule.device
    hops = hops_between(owner, pairs)
    if len(owner) == 0:
        return Chains(molecule, molecule.to(torch.get_default_dtype()), [])
    reach = hops.max(1)
    longest = np.zeros(int(owner.max()) + 1, dtype=np.int64)
    np.maximum.at(longest, owner, reach)
    begins = np.flatnonzero(reach == longest[owner])
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    items = _ranges((counts.cumsum() - counts)[owner[begins]], counts[owner[begins]])
    chain = np.repeat(np.arange(len(begins)), counts[owner[begins]])
    column = items - np.repeat((counts.cumsum() - counts)[owner[begins]], counts[owner[begins]])
    step = hops[begins[chain], column]
    step = np.where(step < 0, reach[begins[chain]] + 1, step)
    turns = []
    by_step = np.argsort(step, kind="stable")
    for rows in np.split(by_step, np.bincount(step).cumsum()[:-1]):
        taking, taker = np.unique(chain[rows], return_inverse=True)
        turns.append(Turn(*(torch.from_numpy(a).to(device) for a in (taking, order[items[rows]], taker))))
    of = owner[begins]
    share = torch.from_numpy(1 / np.bincount(of)[of]).to(device)
    return Chains(torch.from_numpy(of).to(device), share, turns)


class ChainCell(nn.Module):
    """A gated recurrent unit (K. Cho et al., EMNLP 2014) that takes the items of a chain in turn.

    Its state asks the items that are next, each with its distance from where the chain has come to; what they answer is
    the unit's input. An item hears the state that took it in.
    """

    def __init__(self, dim: int, num_rbf: int, cutoff: float) -> None:
        super().__init__()
        self.basis = RadialBasis(num_rbf, cutoff)
        self.norm = nn.LayerNorm(dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.query = nn.Linear(dim, dim)
        self.relative = nn.Linear(num_rbf + CHANNELS, dim + 1)
        self.cell = nn.GRUCell(dim, dim)
        self.begin = nn.Parameter(torch.zeros(dim))

    def forward(self, level: Level, chains: Chains, molecules: int) -> tuple[Tensor, Tensor]:
        """Return what the items of a level hear (X, dim), and each molecule's state at the end of its chains (B, dim).

        Both are means over the molecule's chains; a molecule without chains has 0.
        """
        key_value = self.key_value(self.norm(level.states))
        dim = level.states.shape[1]
        share = chains.share.to(key_value).unsqueeze(1)  # (C, 1)
        state = self.begin.expand(len(share), dim)
        tip = level.positions.new_zeros(len(share), 3)
        heard = torch.zeros_like(level.states)
        for number, turn in enumerate(chains.turns):
            place = gather(level.positions, turn.items)
            next_tip = pool_mean(place, turn.taker, len(turn.chains))
            here = gather(next_tip if number == 0 else gather(tip, turn.chains), turn.taker)
            before = gather(state, turn.chains)
            answer = self._answers(level, turn, key_value, before, displacement(here, place))
            after = self.cell(pool_sum(answer, turn.taker, len(turn.chains)), before)
            state, tip = state.index_copy(0, turn.chains, after), tip.index_copy(0, turn.chains, next_tip)
            heard = heard.index_add(0, turn.items, gather(after * gather(share, turn.chains), turn.taker))
        return heard, pool_sum(state * share, chains.molecule, molecules)

    def _answers(
        self, level: Level, turn: Turn, key_value: Tensor, before: Tensor, step: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Return the weighted values (K, dim) of the items that are next."""
        distance, direction = step
        key, value = gather(key_value, turn.items).chunk(2, 1)
        along = (gather(level.vectors, turn.items) * direction.unsqueeze(2)).sum(1)
        gate, bias = self.relative(torch.cat([self.basis(distance), along], 1)).split([key.shape[1], 1], 1)
        asked = gather(self.query(before), turn.taker)
        score = (asked * key).sum(1, keepdim=True) / sqrt(key.shape[1]) + bias
        return torch.sigmoid(score) * value * (1 + gate)


def _ranges(starts: Array, counts: Array) -> Array:
    """Return starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ..."""
    before = counts.cumsum() - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)
