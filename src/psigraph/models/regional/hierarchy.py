"""What architectures that join regions until one is left have in common (3 and 4 of spec/regional.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.regional.base import Encoding, RegionalModel
from psigraph.models.regional.creation import RegionCreation, Regions
from psigraph.models.regional.geometry import RelativeEncoding, tier_edges
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.joining import Join, Plan, joining_plan
from psigraph.models.regional.levels import FirstBonds, Joining, Level, LevelPass, Parts
from psigraph.models.regional.pooling import gather, pool_sum
from psigraph.models.regional.tiers import CHANNELS, ENCODING, Items, Surroundings, TierLayer, kind_of


class JoiningModel(RegionalModel):
    """Region creation, attention between neighbours, steps of joining; at last each region hears what became of it.

    Subclasses say in `choose` which part goes where. All steps share their weights, for larger molecules take more of
    them. The readout is of the regions as created and at the end, of the items of all levels, and of the last item.
    """

    #: The most steps of joining; None for as many as it takes.
    steps: int | None = None

    def __init__(
        self,
        inputs: MoleculeInputs,
        *,
        dim: int,
        quantum: bool,
        intensive: str,
        num_rbf: int,
        heads: int,
        attention: str | Mapping[str, str],
        region_encoders: str,
        layers: int,
    ) -> None:
        super().__init__(inputs, dim=dim, quantum=quantum, intensive=intensive, readouts=4)
        kind = kind_of(attention, "neighbour")
        self.creation = RegionCreation.of(self, num_rbf, channels=CHANNELS, region_encoders=region_encoders)
        self.relative = RelativeEncoding(ENCODING, num_rbf=num_rbf, cutoff=inputs.region_cutoff, channels=CHANNELS)
        self.layers = nn.ModuleList(
            TierLayer(dim, heads, {"neighbour": kind}, quantum_width=self.quantum_width) for _ in range(layers)
        )
        self.first_bonds = FirstBonds(self.bond_width, num_rbf)
        self.joining = Joining(dim, num_rbf, inputs.region_cutoff)
        self.level_pass = LevelPass(
            dim, heads, kind, quantum_width=self.quantum_width, num_rbf=num_rbf, cutoff=inputs.region_cutoff
        )
        self.told = nn.Linear(dim, dim, bias=False)
        self.hear = nn.Sequential(nn.LayerNorm(2 * dim), nn.Linear(2 * dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def choose(self, level: Level, join: Join) -> Parts:
        """Return which item of a level goes into which of the next."""
        raise NotImplementedError

    def encode(self, batch: MoleculeBatch) -> Encoding:
        """Return the states of the regions after all steps."""
        bonds = self.bond_inputs(batch)
        regions = self.creation(batch, self.embed_atoms(batch), bonds, self.region_inputs(batch))
        quantum = self.quantum_of_regions(batch)
        plan = joining_plan(batch, self.steps)
        level = self.first_bonds(batch, plan, regions, bonds, quantum)
        around = self.neighbours(batch, regions, quantum)
        level = replace(level, states=around.states, vectors=around.vectors)
        levels, chosen, last = self.climb(batch, level, plan)
        states = self.descend(levels, chosen)
        return Encoding(
            regions.atoms + gather(states, regions.home), states, _readout(batch, regions, states, levels, last)
        )

    def neighbours(self, batch: MoleculeBatch, regions: Regions, quantum: Tensor) -> Items:
        """Return the regions after attention to those they share atoms or bonds with."""
        edges = tier_edges(batch, "neighbour", regions.positions, self.inputs.region_cutoff)
        around = Surroundings(edges, self.relative(edges, regions.vectors, regions.vectors))
        found, atoms = Items(regions.states, regions.vectors), Items(regions.atoms, regions.atom_vectors)
        for layer in self.layers:
            found = layer(found, atoms, {"neighbour": around}, quantum)
        return found

    def climb(self, batch: MoleculeBatch, level: Level, plan: Plan) -> tuple[list[Level], list[Parts], Tensor]:
        """Return all levels, first to last, what was joined between them, and the states (B, dim) molecules end as."""
        levels, chosen = [level], []
        for join in plan.steps:
            parts = self.choose(level, join)
            level = self.joining(level, join, parts)
            level = self.level_pass(level)
            levels.append(level)
            chosen.append(parts)
        return levels, chosen, ends_of(levels, batch.num_graphs)

    def descend(self, levels: Sequence[Level], chosen: Sequence[Parts]) -> Tensor:
        """Return the regions' states (ΣR, dim), each with the sum of what the items it is part of tell it."""
        heard = torch.zeros_like(levels[-1].states)
        for below, above, parts in zip(levels[-2::-1], levels[:0:-1], chosen[::-1], strict=True):
            words = gather(heard + self.told(above.states), parts.owner)
            if parts.share is not None:
                words = words * parts.share.unsqueeze(1)
            heard = pool_sum(words, parts.part, len(below.states))
        states = levels[0].states
        heard_and_known: Tensor = self.hear(torch.cat([states, heard], 1))
        return states + heard_and_known


def ends_of(levels: Sequence[Level], molecules: int) -> Tensor:
    """Return the state (B, dim) of the item that is alone in its molecule, 0 where the levels have none."""
    states = []
    for level in levels:
        alone = gather(torch.bincount(level.molecule, minlength=molecules) == 1, level.molecule)
        states.append(pool_sum(level.states * alone.unsqueeze(1), level.molecule, molecules))
    return torch.stack(states).sum(0)


def _readout(
    batch: MoleculeBatch, regions: Regions, states: Tensor, levels: Sequence[Level], last: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Return the regions as created and at the end, all items made of them, and what each molecule ends as (B, dim)."""
    items = torch.cat([level.states for level in levels[1:]] or [states[:0]])
    molecules = torch.cat([level.molecule for level in levels[1:]] or [batch.regions_batch[:0]])
    return [
        (regions.states, batch.regions_batch),
        (states, batch.regions_batch),
        (items, molecules),
        (last, torch.arange(len(last), device=states.device)),
    ]
