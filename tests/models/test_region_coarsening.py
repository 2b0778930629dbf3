"""Region coarsening keeps what every model keeps; joins pool what they should, and smoothly."""

from dataclasses import replace

import numpy as np
import torch
from regional_suite import RegionalSuite
from synthetic_molecules import molecules, sample, water_dimer

from psigraph.models.regional.joining import joining_plan
from psigraph.models.regional.levels import Level, Parts


class TestRegionCoarsening(RegionalSuite):
    architecture = "region_coarsening"
    hyperparameters = {"dim": 16, "heads": 4, "num_rbf": 8}

    def levels(self) -> tuple[object, list[Level], list[Parts], object]:
        model, data = self.model(), self.batch(molecules(), torch.float64)
        plan = joining_plan(data)
        bonds, quantum = model.bond_inputs(data), model.quantum_of_regions(data)
        regions = model.creation(data, model.embed_atoms(data), bonds, model.region_inputs(data))
        with torch.no_grad():
            levels, chosen, _ = model.climb(data, model.first_bonds(data, plan, regions, bonds, quantum), plan)
        return data, levels, chosen, plan

    def test_items_are_what_their_regions_make(self) -> None:
        """Centre, mass, spread, quantum columns and bonds of all items, from the regions in them."""
        data, levels, chosen, plan = self.levels()
        inside = torch.eye(len(data.regions_batch), dtype=torch.float64)  # (regions, items)
        first, edges = levels[0], data.bonds
        for level, parts in zip(levels[1:], chosen, strict=True):
            goes = torch.zeros(inside.shape[1], len(level.mass), dtype=torch.float64)
            goes[parts.part, parts.owner] = 1
            inside = inside @ goes
            assert torch.allclose(level.mass, inside.sum(0))
            share = inside / inside.sum(0)
            centre = share.T @ first.positions
            assert torch.allclose(level.positions, centre, atol=1e-12)
            distance = torch.cdist(first.positions, centre).square()
            assert torch.allclose(level.spread, (share * distance).sum(0), atol=1e-10)
            assert torch.allclose(level.quantum, share.T @ first.quantum, atol=1e-10)
            adjacent = inside.T[:, edges[:, 0]] @ inside[edges[:, 1]]
            adjacent = adjacent + adjacent.T
            ends = level.edges.unbind(1)
            assert torch.allclose(level.count, adjacent[ends])
            assert int((adjacent.triu(1) > 0).sum()) == len(level.edges)

    def test_a_generalised_bond_knows_the_distance_of_the_joined_centres(self) -> None:
        model, (_, levels, _, _) = self.model(), self.levels()
        longer = replace(levels[1], positions=1.1 * levels[1].positions)
        with torch.no_grad():
            before, after = model.level_pass(levels[1]), model.level_pass(longer)
        assert len(before.bonds) and bool(((before.bonds - after.bonds).abs().amax(1) > 1e-4).all())

    def test_every_level_is_read(self) -> None:
        model, data = self.model(), self.batch(molecules(), torch.float64)
        encoding = model.encode(data)
        steps = joining_plan(data).steps
        created, regions, items, last = encoding.readout
        assert torch.equal(regions[0], encoding.regions) and created[0].shape == regions[0].shape
        assert torch.equal(items[1], torch.cat([step.molecule for step in steps]))
        assert last[0].shape == (data.num_graphs, model.dim) and bool((last[0].abs().amax(1) > 0).all())
        ends = [items[0][items[1] == molecule][-1] for molecule in range(data.num_graphs)]
        assert torch.allclose(last[0], torch.stack(ends))

    def test_equivalent_regions_are_treated_alike(self) -> None:
        """Benzene, exactly hexagonal: all CH and all H have the same state at the end."""
        angle = np.arange(6) * np.pi / 3
        ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
        data = self.batch([sample([6] * 6 + [1] * 6, np.concatenate([1.39 * ring, 2.48 * ring]))], torch.float64)
        columns = {name: getattr(data, name).clone() for name in ("atom_features", "bond_features", "region_features")}
        same = {name: torch.zeros_like(value) for name, value in columns.items()}
        with torch.no_grad():
            states = self.model().encode(replace(data, **same)).regions
        for kind in (slice(0, 6), slice(6, 12)):
            assert torch.allclose(states[kind], states[kind][:1].expand(6, -1), atol=1e-9)
        assert not torch.allclose(states[0], states[6], atol=1e-3)

    def test_smooth_where_the_nearest_changes_in_space(self) -> None:
        """A water molecule moves from one to another: no step along the way stands out.

        A jump would be as large in the second differences as in the first.
        """
        model, water = self.model(), water_dimer().structure.positions[:3]
        places = np.linspace(3.2, 3.8, 41)
        three = [np.concatenate([water, water + [0, 0, 7.0], water + [0, 0, place]]) for place in places]
        found = sample(3 * [8, 1, 1], three[0])
        samples = [replace(found, structure=replace(found.structure, positions=p)) for p in three]
        steps = self.predict(model, samples).diff(dim=0)
        assert len({len(step.molecule) for step in joining_plan(self.batch(samples[:1], torch.float64)).steps}) == 2
        assert bool((steps.diff(dim=0).abs().amax(0) < 0.3 * steps.abs().amax(0)).all())
        assert bool((steps.abs().amax(0) > 1e-6 * model.target_scale).all())
