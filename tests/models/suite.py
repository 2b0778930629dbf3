"""What every model has to keep: symmetries, batching, smoothness, gradients, saving, learning.

A test file of a model subclasses `ModelSuite` and says `architecture` and small `hyperparameters`. A tolerance is
relative to max(|ΔV|, SD of ΔV in training): 1e-5 in float32 (matrix products at "highest"), 1e-10 in float64.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from common import TOLERANCE, ExactProducts, agree, both_precisions, descend
from scipy.spatial.transform import Rotation
from synthetic import CUTOFF, SCALE, batch, moved, permuted, random_graphs, reconnected, training_arrays

from psigraph.graphs.graph import Graph
from psigraph.graphs.settings import atom_columns
from psigraph.models import build_model
from psigraph.training.checkpoint import load_model, save_model
from psigraph.training.losses import distance_weighted_l1_on_vref_loss

#: Models by suite, precision and seed: training one takes a second.
_trained: dict[tuple[type, torch.dtype, int], Any] = {}


class ModelSuite(ExactProducts):
    architecture: ClassVar[str]
    hyperparameters: ClassVar[dict[str, Any]]
    #: Features of each atom, as names of the table; a subclass may take others.
    atom_features: ClassVar[tuple[str, ...]] = ("mulliken_spd",)

    @property
    def width(self) -> int:
        return sum(columns for _, columns in self.columns)

    @property
    def columns(self) -> list[list[Any]]:
        return atom_columns(self.atom_features)

    def random_graphs(self, n: int, seed: int = 0) -> list[Graph]:
        return random_graphs(n, seed, width=self.width)

    def untrained(self) -> Any:
        graphs = {"cutoff": CUTOFF, "length_scale": SCALE, "atom_width": self.width}
        return build_model(self.architecture, self.hyperparameters, **graphs)

    @pytest.fixture
    def graphs(self) -> list[Graph]:
        return self.random_graphs(6)

    def model(self, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
        """Return a model with the normalisation of a training set, after some steps of training."""
        if (type(self), dtype, seed) in _trained:
            return copy.deepcopy(_trained[type(self), dtype, seed])
        torch.manual_seed(seed)
        model = self.untrained().to(dtype)
        model.fit_normalisation(training_arrays(self.random_graphs(20, seed=1)))
        train(model, batch(self.random_graphs(8, seed=1), dtype), steps=40)
        _trained[type(self), dtype, seed] = model.eval()
        return copy.deepcopy(model)

    def agree(self, model: Any, first: torch.Tensor, second: torch.Tensor) -> None:
        agree(first, second, model.delta_scale)

    def predict(self, model: Any, graphs: list[Graph], dtype: torch.dtype) -> torch.Tensor:
        with torch.inference_mode():
            out = model(batch(graphs, dtype))
        assert out.shape == (len(graphs),) and out.dtype == dtype
        return out

    @both_precisions
    def test_predictions_differ_between_dimers(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        """Without this the symmetry tests could pass on a constant."""
        model = self.model(dtype)
        out = self.predict(model, graphs, dtype)
        assert float(out.std()) > 1e-2 * float(model.delta_scale)

    @both_precisions
    def test_rotation(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        model = self.model(dtype)
        matrix = Rotation.random(rng=3).as_matrix()
        turned = [moved(graph, matrix) for graph in graphs]
        self.agree(model, self.predict(model, graphs, dtype), self.predict(model, turned, dtype))

    @both_precisions
    def test_rotating_the_atoms_alone_does_change_it(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        """The control of the rotation test: the multipoles have a direction relative to the atoms."""
        model = self.model(dtype)
        matrix = Rotation.random(rng=3).as_matrix()
        turned = [replace(graph, pos_atoms=graph.pos_atoms @ matrix.T) for graph in graphs]
        change = (self.predict(model, graphs, dtype) - self.predict(model, turned, dtype)).abs().max()
        assert float(change) > 20 * TOLERANCE[dtype] * float(model.delta_scale)

    @both_precisions
    def test_reflection(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        model = self.model(dtype)
        matrix = -Rotation.random(rng=4).as_matrix()
        mirrored = [moved(graph, matrix) for graph in graphs]
        self.agree(model, self.predict(model, graphs, dtype), self.predict(model, mirrored, dtype))

    @both_precisions
    def test_translation(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        model = self.model(dtype)
        shifted = [moved(graph, np.eye(3), np.array([0.3, -0.7, 0.2])) for graph in graphs]
        self.agree(model, self.predict(model, graphs, dtype), self.predict(model, shifted, dtype))

    @both_precisions
    def test_permutation(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        model = self.model(dtype)
        rng = np.random.default_rng(5)
        shuffled = [permuted(graph, rng.permutation(len(graph.z_atoms))) for graph in graphs]
        self.agree(model, self.predict(model, graphs, dtype), self.predict(model, shuffled, dtype))

    @both_precisions
    def test_batch_equals_singles(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        model = self.model(dtype)
        singles = torch.cat([self.predict(model, [graph], dtype) for graph in graphs])
        self.agree(model, self.predict(model, graphs, dtype), singles)

    @both_precisions
    def test_every_atom_feature_matters(self, graphs: list[Graph], dtype: torch.dtype) -> None:
        model = self.model(dtype)
        for column in range(self.width):
            changed = []
            for graph in graphs:
                features = graph.atomic_node_attr.copy()
                features[:, column] += 1.0
                changed.append(replace(graph, atomic_node_attr=features))
            change = (self.predict(model, graphs, dtype) - self.predict(model, changed, dtype)).abs().max()
            assert float(change) > 20 * TOLERANCE[dtype] * float(model.delta_scale), column

    def test_smooth_at_the_cutoff(self, graphs: list[Graph]) -> None:
        """Moving an atom across the cutoff changes the prediction as little as the same step elsewhere."""
        model, graph, step = self.model(torch.float64), graphs[0], 1e-7

        def at(z: float) -> float:
            position = graph.pos_atoms.copy()
            position[-1] = position[0] + [0, 0, z]
            return float(self.predict(model, [reconnected(replace(graph, pos_atoms=position))], torch.float64)[0])

        def slope(z: float) -> float:
            return abs(at(z + step) - at(z - step)) / (2 * step)

        edge = CUTOFF * SCALE
        near = [slope(edge + shift) for shift in (-0.04, -0.02, 0.02, 0.04)]
        assert max(near) > 0
        assert slope(edge) < 10 * max(near)

    def test_gradients_finite(self, graphs: list[Graph]) -> None:
        """Of every parameter and of the positions; every parameter takes part."""
        model = self.model(torch.float64).train()
        data = batch(graphs, torch.float64)
        data.pos_atoms.requires_grad_(True)
        model(data).square().sum().backward()
        assert torch.isfinite(data.pos_atoms.grad).all() and data.pos_atoms.grad.abs().max() > 0
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0, name

    def test_saves_and_loads(self, graphs: list[Graph], tmp_path: Path) -> None:
        model = self.model(seed=7)
        meta = {
            "architecture": self.architecture,
            "hyperparameters": model.hyperparameters,
            "inputs": {"cutoff": CUTOFF, "length_scale": SCALE, "atom_width": self.width},
            "graphset": {"cutoff": CUTOFF, "length_scale": SCALE, "atom_features": self.columns},
            "experiment": "test",
            "seed": 7,
            "training": {},
        }
        save_model(tmp_path / "model.pt", model, meta)
        loaded = load_model(tmp_path / "model.pt", self.architecture)
        before, after = (self.predict(m, graphs, torch.float32) for m in (model, loaded.model))
        assert torch.equal(before, after)

    def test_trains_two_steps_and_gets_better(self) -> None:
        torch.manual_seed(0)
        model = self.untrained()
        graphs = self.random_graphs(8, seed=1)
        model.fit_normalisation(training_arrays(graphs))
        losses = train(model, batch(graphs), steps=3)
        assert losses[2] < losses[0]


def train(model: Any, data: Any, steps: int) -> list[float]:
    """Take Adam steps on one batch and return the loss before each."""

    def loss() -> torch.Tensor:
        return distance_weighted_l1_on_vref_loss(
            model(data), data.u[:, 2], data.y_true_vref, torch.ones_like(data.y), data.num_graphs
        )

    return descend(model, loss, steps)
