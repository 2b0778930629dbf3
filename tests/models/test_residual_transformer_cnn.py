"""ResidualTransformerCNN keeps what every model of its family keeps; each component reaches the others."""

from typing import Any

import torch
from affinity_suite import AffinitySuite

from psigraph.models import build_model


class TestResidualTransformerCNN(AffinitySuite):
    architecture = "residual_transformer_cnn"
    hyperparameters = {"dim": 32, "blocks": 2, "heads": 4}
    parameters = (3.0e6, 0.15)


def test_components_do_not_share_weights() -> None:
    """The same densities in all components give each other features."""
    model: Any = build_model("residual_transformer_cnn", {"grid_points": 8}).eval()
    grid = torch.rand(1, 12, 8, 8, 8)
    with torch.inference_mode():
        first, second, third = (network(grid) for network in model.cnn)
    assert not torch.allclose(first, second, atol=1e-2) and not torch.allclose(second, third, atol=1e-2)
