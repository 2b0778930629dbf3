"""The loss and the metrics of properties that are partly missing, against their definitions, and the phases."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from psigraph.models.regional.base import RegionalModel, RegionalOutput
from psigraph.models.regional.inputs import MoleculeInputs, Target
from psigraph.training.regional import SMOOTH, ObjectiveTask, RegionalTask

SCALES = [0.5, 2.0, 3.0]


class Contrastive(RegionalModel):
    own_objective = "contrast"


def model(cls: type[RegionalModel] = RegionalModel, relative: bool = False) -> RegionalModel:
    targets = (Target("u0", "eV", True), Target("gap", "eV", False), Target("cv", "cal/(mol K)", True, relative))
    inputs = MoleculeInputs(targets, (), (), (), (), cutoff=5.0, region_cutoff=10.0)
    made = cls(inputs, dim=4, quantum=False, intensive="mean").double()
    made.target_scale.copy_(torch.tensor(SCALES))
    return made


def values(n: int, seed: int = 0, missing: float = 0.4) -> tuple[Tensor, Tensor]:
    """Predicted and reference values (n, 3), of which some are missing; differences from tiny to large."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=(n, 3))
    reference = predicted + rng.normal(size=(n, 3)) * 10.0 ** rng.uniform(-3, 1, size=(n, 3))
    reference[rng.random((n, 3)) < missing] = np.nan
    return torch.from_numpy(predicted).requires_grad_(), torch.from_numpy(reference)


def batch(y: Tensor) -> Any:
    return SimpleNamespace(y=y)


def known_of(y: Tensor) -> np.ndarray:
    return torch.isfinite(y).double().mean(0).numpy()


def slow_mean(predicted: Tensor, y: Tensor, weights: list[float], s: list[float] | None = None) -> float:
    """Σ_t w_t of the mean over the molecules that have t; the loss as its docstring defines it."""
    total = 0.0
    for t, weight in enumerate(weights):
        terms = []
        for a, b in zip(predicted[:, t].tolist(), y[:, t].tolist(), strict=True):
            if b == b:
                r = abs(a - b) / SCALES[t]
                value = r * r / (2 * SMOOTH) if r < SMOOTH else r - SMOOTH / 2
                terms.append(value if s is None else value * np.exp(-s[t]) + s[t])
        total += weight * sum(terms) / len(terms)
    return total


@pytest.mark.parametrize("weights", ["equal", {"u0": 2.0, "gap": 1.0, "cv": 0.0}, "uncertainty"])
def test_loss_is_the_weighted_mean_over_known_values_however_it_is_divided(weights: Any) -> None:
    """Parts of a global batch add up to the whole, and batches of an epoch to the mean over the training set."""
    predicted, y = values(40)
    net = model()
    s = [0.3, -0.7, 0.1] if weights == "uncertainty" else None
    if s is not None:
        with torch.no_grad():
            net.log_scale.copy_(torch.tensor(s, dtype=torch.float64))
    task = RegionalTask(net, known_of(y), weights)
    shares = [2 / 3, 1 / 3, 0.0] if isinstance(weights, dict) else [1 / 3] * 3
    predicted = predicted.detach()
    whole = task.loss(RegionalOutput(predicted), batch(y), 40)
    assert float(whole.detach()) == pytest.approx(slow_mean(predicted, y, shares, s), rel=1e-12)
    parts = [task.loss(RegionalOutput(predicted[a:b]), batch(y[a:b]), 40) for a, b in ((0, 7), (7, 8), (8, 40))]
    assert float(torch.stack(parts).detach().sum()) == pytest.approx(float(whole.detach()), rel=1e-12)


def test_missing_values_give_no_gradient_and_no_nan() -> None:
    predicted, y = values(10)
    y[3] = torch.nan
    task = RegionalTask(model(), known_of(y))
    task.loss(RegionalOutput(predicted), batch(y), 10).backward()
    gradient = predicted.grad
    assert gradient is not None and torch.isfinite(gradient).all()
    assert torch.equal(gradient != 0, torch.isfinite(y))


def test_uncertainty_is_learned_as_the_logarithm_of_the_loss() -> None:
    """exp(-s) L + s is least at s = log L."""
    predicted, y = values(200, missing=0.1)
    net = model()
    losses = [slow_mean(predicted.detach(), y, [float(t == k) for t in range(3)]) for k in range(3)]
    with torch.no_grad():
        net.log_scale.copy_(torch.tensor(losses, dtype=torch.float64).log())
    RegionalTask(net, known_of(y), "uncertainty").loss(RegionalOutput(predicted), batch(y), 200).backward()
    assert net.log_scale.grad is not None and float(net.log_scale.grad.abs().max()) < 1e-12


def test_metrics_are_per_target_and_their_mean_in_scales() -> None:
    predicted, y = values(30, missing=0.3)
    task = RegionalTask(model(), known_of(y))
    assert task.metrics == {"mae": "", "mae_u0": "eV", "mae_gap": "eV", "mae_cv": "cal/(mol K)"}
    errors = np.abs(predicted.detach().numpy() - y.numpy())
    expected = np.nanmean(errors, 0)
    found = task.evaluate(predicted.detach().numpy(), y.numpy(), np.arange(30))
    assert [found[f"mae_{name}"] for name in ("u0", "gap", "cv")] == pytest.approx(expected.tolist())
    assert found["mae"] == pytest.approx((expected / SCALES).mean())
    y[:, 1] = torch.nan  # nothing known in the validation set
    left = task.evaluate(predicted.detach().numpy(), y.numpy(), np.arange(30))
    assert set(left) == {"mae", "mae_u0", "mae_cv"}
    assert left["mae"] == pytest.approx((expected / SCALES)[[0, 2]].mean())
    with pytest.raises(ValueError, match="no molecule of the validation set has any of the targets"):
        task.evaluate(predicted.detach().numpy(), np.full((30, 3), np.nan), np.arange(30))


@pytest.mark.parametrize(
    "weights",
    [{"u0": 1.0}, {"u0": 1.0, "gap": 1.0, "cv": -1.0}, {"u0": 0.0, "gap": 0.0, "cv": 0.0}, {"u0": 1, "gap": 1, "c": 1}],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="each of the targets u0, gap, cv a weight"):
        RegionalTask(model(), np.ones(3), weights)


def test_target_that_no_training_molecule_has_is_named() -> None:
    with pytest.raises(ValueError, match="no molecule of the training set has gap; leave it out"):
        RegionalTask(model(), np.array([1.0, 0.0, 0.5]))


def test_phases() -> None:
    """Its own objective first, validated on the properties and never selected; then the properties."""
    net = model(Contrastive)
    task = RegionalTask(net, np.ones(3), pretraining=2)
    seen = []
    for epoch in range(4):
        task.begin_epoch(epoch)
        training = net.objective
        task.begin_validation()
        seen.append((training, net.objective, task.selecting))
    assert seen == [("contrast", "properties", False)] * 2 + [("properties", "properties", True)] * 2
    objective = torch.tensor([0.5, 1.0], dtype=torch.float64)
    output = RegionalOutput(torch.full((2, 3), torch.nan), objective=objective)
    assert float(task.loss(output, batch(torch.full((2, 3), torch.nan)), 4)) == 1.5 / 4


def test_objective_of_a_pretraining() -> None:
    task = ObjectiveTask(model(), "contrast")
    output = RegionalOutput(torch.empty(2, 0), objective=torch.tensor([1.0, 3.0]), accuracy=torch.tensor([0.5, 1.0]))
    assert float(task.loss(output, batch(torch.empty(2, 0)), 2)) == 2.0
    predicted, reference = task.outcome(output, batch(torch.empty(2, 0)))
    assert predicted.shape == (2, 2) and reference.shape == (2, 0)
    assert task.evaluate(predicted.numpy(), reference.numpy(), np.arange(2)) == {"loss": 2.0, "accuracy": 0.75}
    assert list(ObjectiveTask(model(), "quantum").metrics) == ["loss"]


def test_relative_target_is_learned_up_to_a_constant_for_each_molecule() -> None:
    predicted, y = values(12, missing=0.1)
    molecules, rows = np.array([5, 5, 7, 7, 7, 9]), torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
    y[0] = y[2] = torch.nan
    task = RegionalTask(model(relative=True), known_of(y), molecule_of_row=molecules)
    found = task.loss(RegionalOutput(predicted), SimpleNamespace(y=y, index=rows), 12)
    residuals = predicted.detach() - y
    for molecule in (5, 7, 9):
        own = torch.from_numpy(molecules)[rows] == molecule
        residuals[own, 2] -= residuals[own, 2].nanmean()
    expected = slow_mean(torch.where(torch.isfinite(residuals), residuals, 0.0), 0 * y, [1 / 3] * 3)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-12)
    shifted = predicted.detach() + torch.tensor([[0, 0, 100.0]]) * rows.div(2, rounding_mode="floor").eq(0)[:, None]
    again = task.loss(RegionalOutput(shifted), SimpleNamespace(y=y, index=rows), 12)
    assert float(again.detach()) == pytest.approx(expected, rel=1e-12)
    found.backward()
    assert predicted.grad is not None and abs(float(predicted.grad[:, 2].sum())) < 1e-12
    mae = task.evaluate(predicted.detach().numpy(), y.numpy(), rows.numpy())["mae_cv"]
    errors = residuals[residuals[:, 2].abs() > 0, 2].abs()  # one that alone of its molecule is known has no metric
    assert 3 < len(errors) < 10 and mae == pytest.approx(float(errors.mean()))
    with pytest.raises(ValueError, match="cv is relative: molecule_of_row must be given"):
        RegionalTask(model(relative=True), known_of(y))
