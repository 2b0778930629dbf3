"""Tiered heads keep what every model keeps, with head groups and with a gate."""

from typing import Any

import pytest
import torch
from regional_suite import RegionalSuite
from synthetic_molecules import SETTINGS, TARGETS, batch, molecules

from psigraph.models import build_model
from psigraph.models.regional.tiers import head_groups


class TestTieredHeads(RegionalSuite):
    architecture = "tiered_heads"
    hyperparameters = {"dim": 16, "heads": 4, "num_rbf": 6, "layers": 2}


class TestTieredHeadsWithGate(RegionalSuite):
    architecture = "tiered_heads"
    hyperparameters = {
        "dim": 16, "heads": 2, "num_rbf": 8, "layers": 2, "combine": "gate", "region_encoders": "by_class",
        "tiers": ["inner", "neighbour", "global", "global_cross"],
    }  # fmt: skip


def test_head_groups() -> None:
    assert head_groups(8, 3) == [3, 3, 2] and head_groups(4, 4) == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="2 heads cannot be shared by 3 tiers"):
        head_groups(2, 3)


def test_a_gate_that_is_shut_leaves_one_tier() -> None:
    """With all weight on the first tier the others change nothing; without it they do."""
    torch.manual_seed(0)
    settings = {"dim": 16, "heads": 4, "num_rbf": 8, "layers": 1, "combine": "gate"}
    model: Any = build_model("tiered_heads", settings, inputs=SETTINGS.inputs(TARGETS)).double()
    layer, data = model.layers[0], batch(molecules())
    with torch.no_grad():
        before = model.encode(data).regions
        layer.gate.weight.zero_()
        layer.gate.bias.copy_(torch.tensor([0.0, -torch.inf, -torch.inf]))
        alone = model.encode(data).regions
        for attention in layer.attention[1:]:
            attention.out.weight.mul_(3)
        assert torch.equal(model.encode(data).regions, alone) and not torch.allclose(before, alone)
