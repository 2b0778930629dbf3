"""Tiered layers keep what every model keeps, for all tiers and kinds of regions, and their order matters."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from regional_suite import RegionalSuite
from synthetic_molecules import SETTINGS, TARGETS, Sample, batch, molecules, sample

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models import build_model


class TestTieredLayers(RegionalSuite):
    architecture = "tiered_layers"
    hyperparameters = {"dim": 16, "heads": 4, "num_rbf": 8}

    def test_the_order_of_tiers_matters(self) -> None:
        """With the same weights, exchanging what two layers attend to changes the result."""
        model, data = self.model(), self.batch(molecules(), torch.float64)
        torch.manual_seed(1)
        there = self.untrained(tiers=["neighbour", "global"]).double()
        back = self.untrained(tiers=["global", "neighbour"]).double()
        assert [layer.tiers for layer in there.layers] == [("neighbour",), ("global",)]
        shapes = {name: value.shape for name, value in back.state_dict().items()}
        same = {name: value for name, value in there.state_dict().items() if shapes.get(name) == value.shape}
        back.load_state_dict(same, strict=False)
        with torch.inference_mode():
            first, second = there.encode(data).regions, back.encode(data).regions
            assert float((first - second).abs().max()) > 1e-3
            assert model.encode(data).regions.shape == first.shape

    def test_angles_are_seen_with_vectors_only(self) -> None:
        """Of water, whose hydrogen atoms are out of each other's reach, without features that depend on the angle."""
        reach = replace(SETTINGS, cutoff=1.2, region_cutoff=1.2)
        bent = [_without_features(batch([_water(angle)], settings=reach)) for angle in (90.0, 105.0)]
        for angles in (False, True):
            torch.manual_seed(0)
            settings = {**self.hyperparameters, "tiers": ["inner"], "angles": angles, "quantum": False}
            model: Any = build_model(self.architecture, settings, inputs=reach.inputs(TARGETS)).double()
            with torch.inference_mode():
                first, second = (model.encode(data).regions for data in bent)
            assert torch.allclose(first, second, atol=1e-9) != angles


def _without_features(data: MoleculeBatch) -> MoleculeBatch:
    return replace(
        data,
        atom_features=torch.zeros_like(data.atom_features),
        bond_features=torch.zeros_like(data.bond_features),
        region_features=torch.zeros_like(data.region_features),
        molecule_features=torch.zeros_like(data.molecule_features),
    )


def _water(angle: float) -> Sample:
    half = np.radians(angle / 2)
    hydrogen = 0.96 * np.array([np.sin(half), 0.0, np.cos(half)])
    return sample([8, 1, 1], np.array([[0, 0, 0], hydrogen, hydrogen * [-1, 1, 1]]))


class TestTieredLayersOfPatches(RegionalSuite):
    """Regions that do not overlap, the fourth tier, and attention kinds by tier."""

    architecture = "tiered_layers"
    hyperparameters = {
        "dim": 16, "heads": 4, "num_rbf": 8, "tiers": ["inner", "neighbour", "global_cross", "inner"],
        "attention": {"inner": "multi_query", "global_cross": "grouped_query"},
    }  # fmt: skip
    settings = MoleculeSettings(
        cutoff=4.0, region_cutoff=4.5, regions="patches", patch_atoms=6, level=SETTINGS.level, level_name="test"
    )
