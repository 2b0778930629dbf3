"""HybridCNNGNN keeps what every model of its family keeps, and sees bonds and contacts as graphs."""

from dataclasses import replace
from typing import Any

import torch
from affinity_suite import AffinitySuite
from synthetic_complexes import batch, complexes

from psigraph.models import build_model


class TestHybridCNNGNN(AffinitySuite):
    architecture = "hybrid_cnn_gnn"
    hyperparameters = {"graph_dim": 16, "graph_layers": 2, "blocks": 1, "heads": 4}
    parameters = (7.0e6, 0.15)

    def test_bonds_and_contacts_matter(self) -> None:
        """Which the grid does not show: bonds, their features, and which contacts there are."""
        model, data = self.model(), batch(complexes(3))
        keep = len(data.contacts) // 2
        ptr = data.contacts_ptr.clamp(max=keep)
        with torch.inference_mode():
            reference = model(data).labels
            for changed in (
                replace(data, bonds=data.bonds.flip(0), bond_features=data.bond_features),
                replace(data, bond_features=1 - data.bond_features),
                replace(data, contacts=data.contacts[:keep], contacts_ptr=ptr),
            ):
                assert not torch.allclose(model(changed).labels, reference, rtol=0, atol=1e-6)


def test_sizes_of_the_note() -> None:
    """256 channels of 64 tokens from the CNN, 64 features from the graphs."""
    model: Any = build_model("hybrid_cnn_gnn", {"grid_points": 16, "spacing": 1.5})
    data = batch(complexes(2), torch.float32)
    with torch.inference_mode():
        assert model.cnn(model.voxelizer(data).flatten(1, 2)).flatten(2).shape == (2, 256, 64)
        assert model.graphs(data).shape == (2, 64)
