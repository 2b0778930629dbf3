"""Architecture 4 of spec/regional.md: each item chooses by attention what it joins, until one embedding is left."""

from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.regional.chains import ChainCell, chains_of
from psigraph.models.regional.hierarchy import JoiningModel, ends_of
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.joining import Join, Plan
from psigraph.models.regional.levels import Level, Parts
from psigraph.models.regional.pooling import gather, pool_mean, pool_sum
from psigraph.models.regional.tiers import ENCODING

#: Scores of choices are bent to stay within this.
_LARGEST_SCORE = 8.0


class RegionMerging(JoiningModel):
    """Each item chooses the candidates it joins, until one is left: a choice by attention, differentiable.

    Candidates are the group the plan of joins puts an item into and the groups its bonds lead to. The choice is soft,
    an item goes to each with its share, so predictions are smooth in the positions; the plan (`regional.joining`) says
    how many groups there are, so the number of steps is bounded.

    With `sequential` the regions are first joined with their hydrogens (the plan's first step), then taken one after
    another along the chain (`regional.chains`).
    """

    def __init__(self, inputs: MoleculeInputs, *, sequential: bool, **settings: Any) -> None:
        super().__init__(inputs, **settings)
        dim, num_rbf = settings["dim"], settings["num_rbf"]
        self.sequential = sequential
        if sequential:
            self.steps = 1
            self.chain = ChainCell(dim, num_rbf, inputs.region_cutoff)
        else:
            self.choice = Choice(dim)

    def choose(self, level: Level, join: Join) -> Parts:
        """Return the items' choices; of the sequential order the first step, which chooses nothing."""
        if self.sequential:
            return Parts(join.part, join.owner)
        chosen: Parts = self.choice(level, join)
        return chosen

    def climb(self, batch: MoleculeBatch, level: Level, plan: Plan) -> tuple[list[Level], list[Parts], Tensor]:
        """Return the levels, the choices, and the states (B, dim) molecules end as: of chains, where they end."""
        levels, chosen, last = super().climb(batch, level, plan)
        if not self.sequential or not plan.steps:
            return levels, chosen, last
        chains = chains_of(levels[1].molecule, levels[1].edges)
        heard, end = self.chain(levels[1], chains, batch.num_graphs)
        levels[1] = replace(levels[1], states=levels[1].states + heard)
        return levels, chosen, ends_of(levels[:1], batch.num_graphs) + end


class Choice(nn.Module):
    """Shares of each item over its candidates: a softmax of q·k/√d with biases from the bonds that lead there."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.bonds = nn.Linear(ENCODING, 1, bias=False)
        self.stay = nn.Parameter(torch.ones(()))

    def forward(self, level: Level, join: Join) -> Parts:
        """Return every item of a level with each of its candidates, and its share there; shares add up to 1."""
        groups = len(join.molecule)
        states = self.norm(level.states)
        query = self.query(states)
        key = self.key(pool_mean(gather(states, join.part), join.owner, groups))
        group = torch.zeros_like(level.mass, dtype=torch.int64).index_copy(0, join.part, join.owner)
        item, candidate, leading = _candidates(level, join, group)
        bond = self.bonds(leading).squeeze(1)
        bias = torch.cat([self.stay.expand(len(join.part)), bond])
        part, owner = torch.cat([join.part, item]), torch.cat([join.owner, candidate])
        score = (gather(query, part) * gather(key, owner)).sum(1) / sqrt(query.shape[1]) + bias
        weight = torch.exp(_LARGEST_SCORE * torch.tanh(score / _LARGEST_SCORE))
        total = pool_sum(weight, part, len(level.mass))
        return Parts(part, owner, weight / gather(total, part))


def _candidates(level: Level, join: Join, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return items and the other groups their bonds lead to, each pair once, with the sum of these bonds' states."""
    first, second = gather(level.edges, join.crossing).unbind(1)
    groups = len(join.molecule)
    pair = torch.cat([first, second]) * groups + gather(group, torch.cat([second, first]))
    found, place = torch.unique(pair, return_inverse=True)
    bonds = pool_sum(gather(level.bonds, join.crossing).repeat(2, 1), place, len(found))
    return torch.div(found, max(groups, 1), rounding_mode="floor"), found % max(groups, 1), bonds
