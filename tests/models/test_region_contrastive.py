"""Region contrastive keeps what every model keeps, and begins with the contrast."""

import torch
from common import descend
from regional_suite import RegionalSuite, objective_loss


class TestRegionContrastive(RegionalSuite):
    architecture = "region_contrastive"
    hyperparameters = {"dim": 16, "heads": 4, "num_rbf": 8, "layers": 3, "pretraining_share": 0.2}

    def test_begins_with_the_contrast(self) -> None:
        model, data = self.fitted()
        assert model.own_objective == "contrast" and model.pretraining_share == 0.2
        assert [layer.tiers for layer in model.layers] == [("inner",), ("neighbour",), ("global",)]
        model.objective = "contrast"
        before = float(model(data).accuracy.mean())
        descend(model, lambda: objective_loss(model, data), steps=20)
        torch.manual_seed(0)
        assert float(model(data).accuracy.mean()) > before

    def test_pretraining_leaves_an_encoder_for_properties(self) -> None:
        """After the contrast the same weights serve the properties."""
        model, data = self.fitted()
        model.objective = "contrast"
        descend(model, lambda: objective_loss(model, data), steps=3)
        encoded = model.encode(data).regions
        model.objective = "properties"
        assert torch.equal(model.encode(data).regions, encoded)
        assert torch.isfinite(model(data).labels).all()
