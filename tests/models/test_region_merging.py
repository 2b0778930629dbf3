"""Region merging keeps what every model keeps, joining by choice and in sequence."""

from dataclasses import replace

import pytest
import torch
from regional_suite import RegionalSuite
from synthetic_molecules import molecules, smallest

from psigraph.models.regional.chains import chains_of
from psigraph.models.regional.joining import joining_plan
from psigraph.models.regional.pooling import pool_sum


class TestRegionMerging(RegionalSuite):
    architecture = "region_merging"
    hyperparameters = {"dim": 16, "heads": 4, "num_rbf": 8}

    def test_shares_of_an_item_add_up_to_one(self) -> None:
        """Over its own group and every group a bond leads to, against a loop over bonds; and they are learned."""
        model, data = self.model(), self.batch([*molecules(), *smallest()], torch.float64)
        plan = joining_plan(data)
        level, chosen = self.climb(model, data)
        for before, parts, join in zip(level, chosen, plan.steps, strict=False):
            total = pool_sum(parts.share, parts.part, len(before.mass))
            assert torch.allclose(total[join.part], torch.ones_like(total[join.part]))
            group = dict(zip(join.part.tolist(), join.owner.tolist(), strict=True))
            expected = set(group.items())
            for one, two in before.edges.tolist():
                if one in group:
                    expected |= {(one, group[two]), (two, group[one])}
            found = list(zip(parts.part.tolist(), parts.owner.tolist(), strict=True))
            assert len(found) == len(set(found)) and set(found) == expected
            divided = torch.bincount(parts.part, minlength=len(total))[parts.part] > 1
            if divided.any():
                assert float(parts.share[divided].std()) > 0.01 and float(parts.share.min()) > 0

    def test_all_of_a_molecule_arrives(self) -> None:
        """Whatever is chosen, the last item has the mass of all regions and lies in their centre."""
        model, data = self.model(), self.batch(molecules(), torch.float64)
        levels, _ = self.climb(model, data)
        for level in levels:
            mass = pool_sum(level.mass, level.molecule, data.num_graphs)
            there = torch.bincount(level.molecule, minlength=data.num_graphs) > 0
            assert torch.allclose(mass[there], torch.bincount(data.regions_batch).to(mass)[there])
            centre = pool_sum(level.mass[:, None] * level.positions, level.molecule, data.num_graphs)
            expected = pool_sum(levels[0].positions, data.regions_batch, data.num_graphs)
            assert torch.allclose(centre[there], expected[there], atol=1e-9)

    def test_the_choice_is_differentiable(self) -> None:
        model, data = self.model(), self.batch(molecules(), torch.float64)
        model(data).labels.sum().backward()
        for name in ("query", "key", "bonds"):
            assert float(getattr(model.choice, name).weight.grad.abs().max()) > 0

    @torch.no_grad()
    def climb(self, model, data):  # type: ignore[no-untyped-def]
        plan, bonds = joining_plan(data), model.bond_inputs(data)
        regions = model.creation(data, model.embed_atoms(data), bonds, model.region_inputs(data))
        first = model.first_bonds(data, plan, regions, bonds, model.quantum_of_regions(data))
        levels, chosen, _ = model.climb(data, first, plan)
        return levels, chosen


class TestSequential(RegionalSuite):
    architecture = "region_merging"
    hyperparameters = {"dim": 16, "heads": 4, "num_rbf": 8, "sequential": True}

    def test_items_are_taken_in_the_order_of_the_chain(self) -> None:
        """What comes later changes what an item hears only through the chain that comes from the other end."""
        model, data = self.model(), self.batch([molecules()[4]], torch.float64)  # CH3-C≡N
        plan, bonds = joining_plan(data, 1), model.bond_inputs(data)
        regions = model.creation(data, model.embed_atoms(data), bonds, model.region_inputs(data))
        with torch.no_grad():
            level = model.first_bonds(data, plan, regions, bonds, model.quantum_of_regions(data))
            level = model.joining(level, plan.steps[0], model.choose(level, plan.steps[0]))
            chains = chains_of(level.molecule, level.edges)
            one = replace(chains, share=torch.tensor([1.0, 0.0], dtype=torch.float64))
            begin, end = int(chains.turns[0].items[0]), int(chains.turns[-1].items[0])
            heard, last = model.chain(level, one, 1)
            for item, first_changes in ((begin, True), (end, False)):
                states = level.states.clone()
                states[item] += torch.randn(model.dim, dtype=torch.float64)
                again, other_last = model.chain(replace(level, states=states), one, 1)
                assert (float((again - heard)[begin].abs().max()) > 1e-6) == first_changes
                assert float((again - heard)[end].abs().max()) > 1e-6
                assert float((other_last - last).abs().max()) > 1e-6

    def test_equals_a_loop_over_items(self) -> None:
        """The state of every chain, unit by unit, for one molecule."""
        model, data = self.model(), self.batch([molecules()[0]], torch.float64)
        plan, bonds = joining_plan(data, 1), model.bond_inputs(data)
        regions = model.creation(data, model.embed_atoms(data), bonds, model.region_inputs(data))
        with torch.no_grad():
            level = model.first_bonds(data, plan, regions, bonds, model.quantum_of_regions(data))
            level = model.joining(level, plan.steps[0], model.choose(level, plan.steps[0]))
            chains = chains_of(level.molecule, level.edges)
            heard, last = model.chain(level, chains, 1)
            ends, states = [], torch.zeros_like(heard)
            for chain in range(len(chains.molecule)):
                state, tip = model.chain.begin, None
                for turn in chains.turns:
                    items = turn.items[turn.chains[turn.taker] == chain]
                    if not len(items):
                        continue
                    middle = level.positions[items].mean(0)
                    here = middle if tip is None else tip
                    state = model.chain.cell(sum(self.answer(model.chain, level, int(k), state, here) for k in items),
                                             state)  # fmt: skip
                    tip = middle
                    states[items] += state / len(chains.molecule)
                ends.append(state)
        assert torch.allclose(heard, states, atol=1e-10)
        assert torch.allclose(last[0], torch.stack(ends).mean(0), atol=1e-10)

    @staticmethod
    def answer(cell, level, item, state, here):  # type: ignore[no-untyped-def]
        step = level.positions[item] - here
        direction = step / (step.square().sum() + 0.01).sqrt()
        distance = step.square().sum().clamp(min=1e-12).sqrt()
        key, value = cell.key_value(cell.norm(level.states[item])).chunk(2)
        *gate, bias = cell.relative(torch.cat([cell.basis(distance[None])[0], direction @ level.vectors[item]]))
        weight = torch.sigmoid(cell.query(state) @ key / key.numel() ** 0.5 + bias)
        return weight * value * (1 + torch.stack(gate))


@pytest.mark.parametrize("kind", ["grouped_query", "multi_query"])
def test_kinds_of_attention_by_tier(kind: str) -> None:
    model = TestRegionMerging().untrained(attention={"neighbour": kind})
    full = TestRegionMerging().untrained()
    assert model.layers[0].attention[0].groups < full.layers[0].attention[0].groups
    assert model.level_pass.layer.attention[0].groups == model.layers[0].attention[0].groups
