"""What every model of the family `regional` has to keep: symmetries, batching, smoothness, gradients, learning.

A test file of a model subclasses `RegionalSuite` and says `architecture` and small `hyperparameters`. A tolerance is
relative to max(|target|, SD of its residual in training): 1e-5 in float32, 1e-10 in float64.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from common import ExactProducts, agree, both_precisions, descend
from scipy.spatial.transform import Rotation
from synthetic import needs_kernel
from synthetic_molecules import (
    SETTINGS,
    SMILES,
    TARGETS,
    Sample,
    batch,
    mirrored,
    molecules,
    moved,
    permuted,
    smallest,
    targets_of,
    water_dimer,
)

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models import build_model
from psigraph.models.regional.inputs import Target
from psigraph.models.regional.normalisation import GROUPS, MoleculeStatistics
from psigraph.training.checkpoint import load_model, save_model

#: Models by suite: training one takes a second.
_trained: dict[type, Any] = {}


class RegionalSuite(ExactProducts):
    architecture: ClassVar[str]
    hyperparameters: ClassVar[dict[str, Any]]
    settings: ClassVar[MoleculeSettings] = SETTINGS
    smiles: ClassVar[tuple[str, ...]] = SMILES

    def untrained(self, targets: Sequence[Target] = TARGETS, **changed: Any) -> Any:
        torch.manual_seed(0)
        inputs = self.settings.inputs(targets)
        return build_model(self.architecture, {**self.hyperparameters, **changed}, inputs=inputs)

    def fitted(self, y: np.ndarray | None = None, **settings: Any) -> tuple[Any, MoleculeBatch]:
        """Return a model with the normalisation of a training set, and that set."""
        data = self.batch([*self.molecules(1), *self.molecules(2)], torch.float32, y)
        model = self.untrained(**settings)
        model.fit_normalisation(MoleculeStatistics.of([data]))
        return model, data

    def model(self, dtype: torch.dtype = torch.float64) -> Any:
        """Return a model after some steps of training."""
        if type(self) not in _trained:
            model, data = self.fitted()
            descend(model, lambda: properties_loss(model, data), steps=15, lr=5e-3)
            _trained[type(self)] = model.eval()
        return copy.deepcopy(_trained[type(self)]).to(dtype)

    def molecules(self, seed: int = 0) -> list[Sample]:
        return molecules(seed, self.smiles)

    def batch(self, samples: Sequence[Sample], dtype: torch.dtype, y: np.ndarray | None = None) -> MoleculeBatch:
        return batch(samples, dtype, y, self.settings)

    def predict(self, model: Any, samples: Sequence[Sample], dtype: torch.dtype = torch.float64) -> torch.Tensor:
        with torch.inference_mode():
            out = model(self.batch(samples, dtype)).labels
        assert out.shape == (len(samples), len(model.inputs.targets)) and out.dtype == dtype
        assert bool(torch.isfinite(out).all())
        return out

    def unchanged(self, dtype: torch.dtype, change: Callable[[Sample], Sample]) -> None:
        """Check that changing molecules leaves their predictions."""
        model, samples = self.model(dtype), [*self.molecules(), *smallest()]
        changed = [change(sample) for sample in samples]
        agree(self.predict(model, samples, dtype), self.predict(model, changed, dtype), model.target_scale)

    def test_predictions_differ_between_molecules_and_from_the_baseline(self) -> None:
        """Without this the symmetry tests could pass on a constant, or on the sum over elements."""
        model, samples = self.model(), self.molecules()
        rest = self.predict(model, samples) - model.baseline(self.batch(samples, torch.float64))
        assert bool((rest.std(0) > 1e-2 * model.target_scale).all())

    @both_precisions
    def test_rotation(self, dtype: torch.dtype) -> None:
        matrix = Rotation.random(rng=3).as_matrix()
        self.unchanged(dtype, lambda sample: moved(sample, matrix))

    def test_changing_the_shape_does_change_it(self) -> None:
        """The control of the rotation test."""
        model, stretch = self.model(), np.diag([1.03, 0.97, 1.0])
        change = self.predict(model, self.molecules()) - self.predict(
            model, [moved(s, stretch) for s in self.molecules()]
        )
        assert bool((change.abs().amax(0) > 1e-4 * model.target_scale).all())

    @both_precisions
    def test_reflection(self, dtype: torch.dtype) -> None:
        """The mirror image has features of its own: CIP labels and dihedrals change their sign."""
        images = [mirrored(sample) for sample in self.molecules()]
        labels = [np.nan_to_num(sample.values["cip_label"]) for sample in self.molecules()]
        assert any((image.values["cip_label"] == -label).all() and label.any() for image, label in
                   zip(images, labels, strict=True))  # fmt: skip
        self.unchanged(dtype, mirrored)

    @both_precisions
    def test_translation(self, dtype: torch.dtype) -> None:
        self.unchanged(dtype, lambda sample: moved(sample, np.eye(3), [0.3, -0.7, 0.2]))

    @both_precisions
    def test_permutation(self, dtype: torch.dtype) -> None:
        rng = np.random.default_rng(5)
        self.unchanged(dtype, lambda sample: permuted(sample, rng.permutation(sample.structure.n_atoms)))

    @both_precisions
    def test_batch_equals_singles(self, dtype: torch.dtype) -> None:
        model, samples = self.model(dtype), [*self.molecules(), *smallest()]
        singles = torch.cat([self.predict(model, [sample], dtype) for sample in samples])
        agree(self.predict(model, samples, dtype), singles, model.target_scale)

    @pytest.mark.parametrize("reach", ["cutoff", "region_cutoff"])
    def test_smooth_at_the_cutoff(self, reach: str) -> None:
        """Moving two molecules past a distance at which something is cut off changes the prediction as elsewhere."""
        model, step, edge = self.model(), 1e-7, getattr(self.settings, reach)
        shifts = np.array([-0.04, -0.02, 0.02, 0.04, 0.0])
        distances = edge + np.concatenate([shifts - step, shifts + step])
        values = self.predict(model, [_oxygens_apart(distance) for distance in distances])
        slopes = (values[5:] - values[:5]).abs() / (2 * step)
        near = slopes[:4].amax(0)
        assert bool((near > 0).all())
        assert bool((slopes[4] < 10 * near).all()), (slopes, near)

    def test_every_feature_column_matters(self) -> None:
        """Those from Psi4 if `quantum` is on; if it is off they change nothing."""
        model, data = self.model(), self.batch(self.molecules(), torch.float64)
        slopes = feature_slopes(model, data)
        for name in GROUPS:
            assert bool((slopes[name] > 1e-6).all()), (name, slopes[name])
        model, data = self.fitted(quantum=False)
        descend(model, lambda: properties_loss(model, data), steps=3)
        slopes = feature_slopes(model, data)
        for name in GROUPS:
            quantum = getattr(model, f"{name}_is_quantum")
            assert quantum.any() and not slopes[name][quantum].any(), name
            assert bool((slopes[name][~quantum] > 0).all()), name

    def test_unknown_features_are_left_out(self) -> None:
        """A prediction without any feature is finite; a feature that is not known counts as its mean."""
        model, data = self.model(), self.batch(self.molecules(), torch.float64)
        nothing = {field: torch.full_like(getattr(data, field), torch.nan) for field in GROUPS.values()}
        means = {
            field: getattr(model, f"{name}_mean").expand_as(getattr(data, field)) for name, field in GROUPS.items()
        }
        with torch.inference_mode():
            missing, mean = (model(replace(data, **values)).labels for values in (nothing, means))
        assert bool(torch.isfinite(missing).all())
        agree(missing, mean, model.target_scale)

    def test_gradients_finite(self) -> None:
        """Of every parameter and of the positions; every parameter takes part in one of the objectives."""
        model = self.model().train()
        data = self.batch([*self.molecules(), *smallest()], torch.float64)
        data.pos_atoms.requires_grad_(True)
        properties_loss(model, data).backward()
        for objective in ("quantum", "contrast"):
            model.objective = objective
            objective_loss(model, data).backward()
        assert torch.isfinite(data.pos_atoms.grad).all() and data.pos_atoms.grad.abs().max() > 0
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0, name

    def test_large_molecules_stay_finite_where_vectors_grow(self) -> None:
        """What multiplies vectors in every step may not make them grow like a tower of powers: float32 overflows."""
        model = self.model(torch.float32)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "passing" in name:
                    parameter.mul_(10)
        data = self.batch(molecules(0, ("CC(C)CC(CC(C)C)CC(CCC(C)CC(C)C)CC(CC(C)C)CCCCCCC",)), torch.float32)
        labels = model(data).labels
        labels.sum().backward()
        assert bool(torch.isfinite(labels).all())
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)

    @needs_kernel
    @both_precisions
    def test_kernel_equals_plain_torch(self, dtype: torch.dtype) -> None:
        """Predictions to 1e-5 and gradients to 1e-4 in float32, to 1e-12 and 1e-11 in float64."""
        model, data = self.model(dtype), self.batch([*self.molecules(), *smallest()], dtype)
        found = []
        for model.kernel in (True, False):
            labels = model(data).labels
            labels = labels / model.target_scale
            gradients = torch.autograd.grad(labels.sin().sum(), list(model.parameters()), allow_unused=True)
            found.append((labels.detach(), torch.cat([g.flatten() for g in gradients if g is not None])))
        tolerances = (1e-5, 1e-4) if dtype == torch.float32 else (1e-12, 1e-11)
        for fast, slow, tolerance in zip(*found, tolerances, strict=True):
            assert float((fast - slow).abs().max()) <= tolerance * max(1.0, float(slow.abs().max()))

    @pytest.mark.parametrize("objective", ["quantum", "contrast"])
    def test_learns_the_objective(self, objective: str) -> None:
        model, data = self.fitted()
        model.objective = objective
        assert model.measures
        losses = descend(model, lambda: objective_loss(model, data), steps=8)
        assert min(losses[-2:]) < losses[0]
        out = model.eval()(data)
        assert out.labels.isnan().all() and torch.isfinite(out.objective).all()
        assert out.measures.shape == (data.num_graphs, len(model.measures))
        assert torch.equal(out.objective, model(data).objective), "validation draws nothing"

    def test_quantum_targets_are_hidden_while_they_are_learned(self) -> None:
        model, data = self.fitted()
        model.objective = "quantum"
        model.eval()
        noise = {
            field: getattr(data, field).where(~getattr(model, f"{name}_is_quantum"), 7.0)
            for name, field in GROUPS.items()
        }
        with torch.inference_mode():
            first, second = model.encode(data).atoms, model.encode(replace(data, **noise)).atoms
        assert torch.equal(first, second)

    def test_saves_and_loads(self, tmp_path: Path) -> None:
        model = self.model(torch.float32)
        meta = {
            "architecture": self.architecture,
            "hyperparameters": model.hyperparameters,
            "inputs": model.inputs.as_dict(),
            "graphset": self.settings.identity(),
            "experiment": "test",
            "seed": 7,
            "training": {},
        }
        save_model(tmp_path / "model.pt", model, meta)
        loaded: Any = load_model(tmp_path / "model.pt", self.architecture).model
        before, after = (self.predict(m, self.molecules(), torch.float32) for m in (model, loaded))
        assert torch.equal(before, after)

    def test_encoder_state_is_all_but_what_belongs_to_targets(self) -> None:
        names = {targets: self.untrained(TARGETS[:targets]).encoder_state() for targets in (1, 3)}
        assert names[1] == names[3]
        one, three = (self.untrained(TARGETS[:targets]).state_dict() for targets in (1, 3))
        assert {name for name in one if one[name].shape != three[name].shape}.isdisjoint(names[1])
        kept = sum(one[name].numel() for name in names[1])
        assert kept > 0.5 * sum(value.numel() for value in one.values())

    def test_trains_two_steps_and_gets_better(self) -> None:
        model, data = self.fitted()
        losses = descend(model, lambda: properties_loss(model, data), steps=3)
        assert losses[2] < losses[0]

    def test_twelve_targets_some_of_them_missing(self) -> None:
        """A missing target has no say; a target that nobody has leaves everything finite."""
        samples = [*self.molecules(1), *self.molecules(2)]
        y = np.tile(targets_of(samples), 4) * np.linspace(0.5, 2, 12)
        y[0], y[1:4, 1], y[:, 5] = np.nan, np.nan, np.nan
        targets = [Target(f"t{k}", "eV", k % 3 != 1) for k in range(12)]
        model, data = self.fitted(y, targets=targets)
        losses = descend(model, lambda: properties_loss(model, data), steps=3)
        assert losses[2] < losses[0]
        assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
        assert self.predict(model, self.molecules(), torch.float32).shape == (len(self.molecules()), 12)


def properties_loss(model: Any, data: MoleculeBatch) -> torch.Tensor:
    """Return the mean absolute error of known targets, standardised and weighted by their learned uncertainty."""
    known = torch.isfinite(data.y)
    errors = (model(data).labels - torch.nan_to_num(data.y)) / model.target_scale
    weighted = errors.abs() * torch.exp(-model.log_scale) + model.log_scale
    return weighted[known].mean()


def objective_loss(model: Any, data: MoleculeBatch) -> torch.Tensor:
    """Return the loss of the model's objective, with the same views at every call."""
    torch.manual_seed(0)
    return model(data).objective.mean()


def feature_slopes(model: Any, data: MoleculeBatch) -> dict[str, torch.Tensor]:
    """Return by group how strongly each column of features acts on the predictions, in spreads of both."""
    features = {
        field: torch.nan_to_num(getattr(data, field)).detach().requires_grad_(True) for field in GROUPS.values()
    }
    data = replace(data, **features)
    (model(data).labels / model.target_scale).square().sum().backward()
    zero = {field: torch.zeros_like(value) for field, value in features.items()}
    return {
        name: (features[field].grad if features[field].grad is not None else zero[field]).abs().amax(0)
        * getattr(model, f"{name}_scale")
        for name, field in GROUPS.items()
    }


def _oxygens_apart(distance: float) -> Sample:
    """Return the water dimer with this distance between its oxygen atoms, which are centres of regions too."""
    found = water_dimer()
    positions = found.structure.positions.copy()
    step = positions[3] - positions[0]
    positions[3:] += step * (distance / np.linalg.norm(step) - 1)
    return replace(found, structure=replace(found.structure, positions=positions))
