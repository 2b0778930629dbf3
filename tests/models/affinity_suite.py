"""What every model of the family `affinity` has to keep: symmetries, batching, gradients, learning.

A test file of a model subclasses `AffinitySuite` and says `architecture`, small `hyperparameters` and what `parameters`
the defaults come to. A tolerance is relative to max(|target|, SD of the targets): 1e-5 in float32, 1e-10 in float64.
"""

import copy
import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from common import ExactProducts, agree, both_precisions, descend
from scipy.spatial.transform import Rotation
from synthetic_complexes import Sample, batch, complexes

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models import build_model
from psigraph.models.affinity.base import AffinityModel

#: Models by suite: training one takes seconds.
_trained: dict[type, Any] = {}
GRID = {"grid_points": 8, "spacing": 2.0, "width": 1.5}


class AffinitySuite(ExactProducts):
    architecture: ClassVar[str]
    hyperparameters: ClassVar[dict[str, Any]]
    parameters: ClassVar[tuple[float, float]]  # of the defaults, and by how much of them it may differ

    def untrained(self, targets: int = 1, **changed: Any) -> Any:
        torch.manual_seed(0)
        return build_model(self.architecture, {**GRID, **self.hyperparameters, **changed}, targets=targets)

    def fitted(self, **changed: Any) -> tuple[Any, ComplexBatch]:
        """Return a model with the normalisation of a training set, and that set."""
        data = batch(complexes(8, seed=1), torch.float32)
        model = self.untrained(**changed)
        model.fit_normalisation(SimpleNamespace(y_mean=data.y.mean(0).numpy(), y_scale=data.y.std(0).numpy()))
        return model, data

    def model(self, dtype: torch.dtype = torch.float64) -> Any:
        """Return a model after some steps of training."""
        if type(self) not in _trained:
            model, data = self.fitted()
            descend(model, lambda: squares(model, data), steps=10, lr=1e-3)
            settle(model, data)
            _trained[type(self)] = model.eval()
        return copy.deepcopy(_trained[type(self)]).to(dtype)

    def samples(self) -> list[Sample]:
        """Return two complexes, and a ligand without bonds and protein."""
        return [*complexes(2), complexes(1, seed=5)[0].without_protein()]

    def predict(self, model: Any, samples: Sequence[Sample], dtype: torch.dtype = torch.float64) -> torch.Tensor:
        with torch.inference_mode():
            out = model(batch(samples, dtype)).labels
        assert out.shape == (len(samples), 1) and out.dtype == dtype and bool(torch.isfinite(out).all())
        return out

    def test_number_of_parameters(self) -> None:
        expected, tolerance = self.parameters
        model = build_model(self.architecture)
        assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(expected, rel=tolerance)

    def test_any_grid_has_the_same_weights(self) -> None:
        """Those of one grid predict on another."""
        model = self.untrained(grid_points=12, spacing=1.0)
        model.load_state_dict(self.model(torch.float32).state_dict())
        self.predict(model.eval(), self.samples(), torch.float32)

    def test_groups_have_every_parameter_once(self) -> None:
        model = self.untrained()
        groups = model.parameter_groups()
        assert list(groups) == ["cnn", "transformer", "head"] and all(groups.values())
        assert sorted(map(id, sum(groups.values(), []))) == sorted(map(id, model.parameters()))
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        assert all(names[id(parameter)].startswith("head.") for parameter in groups["head"])
        assert all(names[id(parameter)].startswith("cnn.") for parameter in groups["cnn"])

    def test_predictions_differ_between_complexes(self) -> None:
        """Without this the symmetry tests could pass on a constant."""
        model = self.model()
        assert float(self.predict(model, complexes(6)).std()) > 1e-2 * float(model.target_scale)

    def test_untrained_model_predicts_about_the_mean(self) -> None:
        model, data = self.fitted()
        found = (model.eval()(data).labels.detach() - model.target_mean) / model.target_scale
        assert 0 < float(found.abs().max()) < 0.5

    @both_precisions
    def test_order_of_atoms(self, dtype: torch.dtype) -> None:
        model, rng = self.model(dtype), np.random.default_rng(3)
        changed = [sample.permuted(rng) for sample in self.samples()]
        agree(self.predict(model, self.samples(), dtype), self.predict(model, changed, dtype), model.target_scale)

    def test_translation(self) -> None:
        """Only in float64: a moved complex has other roundings, which grow through the layers."""
        model = self.model()
        changed = [sample.moved(np.eye(3), [1.3, -20.7, 0.2]) for sample in self.samples()]
        agree(self.predict(model, self.samples()), self.predict(model, changed), model.target_scale)

    def test_rotation_is_not_built_in(self) -> None:
        """The grid's axes stay: what a rotation changes has to be learned, and is measured in evaluation."""
        model, turn = self.model(), Rotation.from_euler("z", 45, degrees=True).as_matrix()
        change = self.predict(model, complexes(4)) - self.predict(model, [s.moved(turn) for s in complexes(4)])
        assert float(change.abs().max()) > 1e-4 * float(model.target_scale)

    @both_precisions
    def test_batch_equals_singles(self, dtype: torch.dtype) -> None:
        model, samples = self.model(dtype), self.samples()
        singles = torch.cat([self.predict(model, [sample], dtype) for sample in samples])
        agree(self.predict(model, samples, dtype), singles, model.target_scale)

    def test_parts_of_a_batch(self) -> None:
        """As gradients are accumulated; a batch norm in training would see the parts."""
        model, data = self.model(), batch(self.samples())
        with torch.inference_mode():
            parts = torch.cat([model(data.part(first, last)).labels for first, last in ((0, 1), (1, 3))])
        agree(parts, self.predict(model, self.samples()), model.target_scale)

    def test_protein_matters(self) -> None:
        model, samples = self.model(), complexes(3)
        change = self.predict(model, samples) - self.predict(model, [s.without_protein() for s in samples])
        assert float(change.abs().min()) > 1e-4 * float(model.target_scale)

    def test_gradients_finite(self) -> None:
        """Of positions, features and every parameter, which all take part; also where there is no protein."""
        model = self.model().train()
        data = batch([*complexes(3), *self.samples()])
        leaves = [data.pos_atoms, data.site_pos, data.atom_features, data.site_features]
        for leaf in leaves:
            leaf.requires_grad_(True)
        squares(model, data).backward()
        for name, found in [*model.named_parameters(), *((f"leaf {k}", leaf) for k, leaf in enumerate(leaves))]:
            assert found.grad is not None, name
            assert torch.isfinite(found.grad).all() and found.grad.abs().max() > 0, name

    def test_saliency_by_atom_weights(self) -> None:
        """Weights of 1 change nothing; the gradient with respect to them is the slope of the prediction."""
        model, data = self.model(), batch(complexes(3))
        weights = torch.ones(len(data.z_atoms), dtype=torch.float64, requires_grad=True)
        labels = model(data, atom_weights=weights).labels
        agree(labels.detach(), self.predict(model, complexes(3)), model.target_scale)
        (slopes,) = torch.autograd.grad(labels.sum(), weights)
        assert slopes.shape == weights.shape and bool((slopes != 0).all())
        step = torch.zeros_like(weights.detach())
        step[3] = 1e-5
        with torch.no_grad():
            up, down = (model(data, weights.detach() + sign * step).labels.sum() for sign in (1, -1))
        assert float((up - down) / 2e-5) == pytest.approx(float(slopes[3]), rel=1e-5, abs=1e-8)

    def test_saves_and_loads(self) -> None:
        model: AffinityModel = self.model(torch.float32)
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        loaded = build_model(self.architecture, model.hyperparameters).eval()
        loaded.load_state_dict(torch.load(file, weights_only=True))
        before, after = (self.predict(m, self.samples(), torch.float32) for m in (model, loaded))
        assert torch.equal(before, after)

    def test_learns_eight_complexes(self) -> None:
        model, data = self.fitted(dropout=0.0)
        losses = descend(model, lambda: squares(model, data), steps=30, lr=1e-3)
        assert max(losses[-3:]) < 0.1 * losses[0]

    def test_learns_several_targets(self) -> None:
        model, data = self.untrained(targets=2), batch(complexes(8, seed=1), torch.float32)
        data.y = torch.cat([data.y, 100 - 10 * data.y], 1)
        model.fit_normalisation(SimpleNamespace(y_mean=data.y.mean(0).numpy(), y_scale=data.y.std(0).numpy()))
        losses = descend(model, lambda: squares(model, data), steps=8, lr=1e-3)
        assert losses[-1] < 0.7 * losses[0]
        assert model.eval()(data).labels.shape == (8, 2)

    def test_chance_in_training_only(self) -> None:
        """Dropout, noise on the grid and shifts of the box each change a training step, and no evaluation."""
        quiet, data = self.fitted(dropout=0.0)
        reference = quiet.eval()(data).labels
        assert torch.equal(_train_twice(quiet, data)[0], _train_twice(quiet, data)[1]), "without chance there is none"
        for name in ("dropout", "noise", "translate"):
            model, _ = self.fitted(dropout=0.5 if name == "dropout" else 0.0)
            model.translate = 1.0 if name == "translate" else 0.0
            model.voxelizer.noise = 0.1 if name == "noise" else 0.0
            assert torch.equal(model.eval()(data).labels, reference), name
            first, second = _train_twice(model, data)
            assert not torch.allclose(first, second, rtol=1e-4), name

    def test_one_complex_trains(self) -> None:
        """A part of a batch may be one complex, of which there is no variance."""
        model, _ = self.fitted()
        data = batch(complexes(1), torch.float32)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        losses = descend(model, lambda: squares(model, data), steps=3, lr=1e-4)
        assert losses[-1] < losses[0]
        statistics = [name for name in before if name.endswith(("running_mean", "running_var"))]
        assert statistics and all(torch.equal(model.state_dict()[name], before[name]) for name in statistics)


def squares(model: Any, data: ComplexBatch) -> torch.Tensor:
    """Return the mean squared error of the standardised targets."""
    return ((model(data).labels - data.y) / model.target_scale).square().mean()


def settle(model: Any, data: ComplexBatch) -> None:
    """Set the running statistics of batch norms to those of a batch; after ten steps they are still on their way."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(data)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _train_twice(model: Any, data: ComplexBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the labels of two passes in training; what batch normalisation remembers does not enter them."""
    torch.manual_seed(1)
    model.train()
    with torch.no_grad():
        return model(data).labels, model(data).labels
