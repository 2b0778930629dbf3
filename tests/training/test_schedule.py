"""Learning rates over steps, by group of parameters, against closed formulas; the optimiser's other numbers."""

import io
import math
from typing import Any

import pytest
import torch
from torch import nn

from psigraph.config import ConfigError, Training, validate_config
from psigraph.training.schedule import base_lr, make_optimizer, scheduler

BATCHES = 3


class Grouped(nn.Module):
    """A model with three groups of parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn, self.transformer, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(part.parameters()) for name, part in self.named_children()}


def rates(steps: int, made: Any = None, **training: Any) -> list[list[float]]:
    """The rate of every group in each step of a run; `made` goes on with an optimiser and a schedule."""
    optimizer, schedule = made or begin(**training)
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def begin(**training: Any) -> tuple[torch.optim.Optimizer, Any]:
    settings = Training(**training)
    optimizer = make_optimizer(Grouped(), settings)
    return optimizer, scheduler(optimizer, settings, BATCHES)


def warm_restarts(step: int, lr: float, warm: int, first: int, factor: int) -> float:
    """Linear rise over `warm` steps, then cosines of `first`, `first` · factor, … steps, one after another."""
    if step < warm:
        return lr * (step + 1) / (warm + 1)
    step, length = step - warm, first
    while step >= length:
        step, length = step - length, length * factor
    return lr * (1 + math.cos(math.pi * step / length)) / 2


@pytest.mark.parametrize(("warm", "first", "factor"), [(0, 2, 2), (2, 1, 2), (10, 15, 2), (3, 4, 1), (1, 2, 3)])
def test_warm_up_and_restarts_follow_the_formula(warm: int, first: int, factor: int) -> None:
    training = {"warmup_epochs": warm, "restart_epochs": first, "restart_factor": factor, "lr": 2e-4}
    steps = 100 * BATCHES
    found = [row[0] for row in rates(steps, schedule="warm_restarts", **training)]
    expected = [warm_restarts(s, 2e-4, warm * BATCHES, first * BATCHES, factor) for s in range(steps)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert max(found) == pytest.approx(2e-4) and found[warm * BATCHES] == pytest.approx(2e-4)


@pytest.mark.parametrize("stop", [1, 8, 9, 10, 20, 40])
def test_schedule_goes_on_where_it_was(stop: int) -> None:
    """Before, at and after the end of the warm-up of 9 steps, and in a later cosine, through a file."""
    training = {
        **{"schedule": "warm_restarts", "warmup_epochs": 3, "restart_epochs": 2},
        "lr_factors": {"cnn": 0.5, "transformer": 1.5},
    }
    made = begin(**training)
    rates(stop, made)
    file = io.BytesIO()
    torch.save([part.state_dict() for part in made], file)
    file.seek(0)
    again = begin(**training)
    for part, state in zip(again, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    assert rates(60, again) == rates(60, made) == rates(stop + 60, **training)[stop:]


@pytest.mark.parametrize(
    "schedule", [{"schedule": "one_cycle", "epochs": 10}, {"schedule": "warm_restarts", "warmup_epochs": 2}]
)
def test_groups_have_their_factors_in_every_step(schedule: dict[str, Any]) -> None:
    plain = [row[0] for row in rates(30, lr=2e-4, **schedule)]
    made = begin(lr=2e-4, lr_factors={"cnn": 0.5, "transformer": 1.5}, **schedule)
    assert [group["factor"] for group in made[0].param_groups] == [1.0, 0.5, 1.5], "the base rate first"
    for expected, row in zip(plain, rates(30, made), strict=True):
        assert row == pytest.approx([expected, 0.5 * expected, 1.5 * expected], rel=1e-12)


@pytest.mark.parametrize("factors", [{}, {"cnn": 0.5, "transformer": 1.5}, {"cnn": 0.5, "transformer": 2, "head": 4}])
def test_base_rate_is_that_of_factor_one(factors: dict[str, float]) -> None:
    made = begin(lr=3e-3, epochs=10, lr_factors=factors)
    plain = [row[0] for row in rates(20, lr=3e-3, epochs=10)]
    for expected in plain:
        assert base_lr(*made) == pytest.approx(expected, rel=1e-12)
        assert base_lr(*made) == expected or "head" in factors, "exact where a group has the base rate"
        rates(1, made)


def test_every_parameter_steps_with_the_rate_of_its_group() -> None:
    """The first step of Adam is the rate itself where the gradient is far above eps."""
    model = Grouped()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = make_optimizer(model, Training(lr=1e-3, lr_factors={"cnn": 0.5, "transformer": 1.5}))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    factors = {"cnn": 0.5, "transformer": 1.5, "head": 1.0}
    for name, value in model.named_parameters():
        step = (before[name] - value).detach()
        assert torch.allclose(step, torch.full_like(step, 1e-3 * factors[name.split(".")[0]]), rtol=1e-3)


def adam(gradients: list[float], lr: float, betas: tuple[float, float], eps: float, decay: float) -> float:
    """A weight, 1 at first, after steps of AdamW written out, decay first (Loshchilov, Hutter, ICLR 2019)."""
    weight = 1.0
    mean = square = 0.0
    for step, gradient in enumerate(gradients, 1):
        weight *= 1 - lr * decay
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        weight -= lr * (mean / (1 - betas[0] ** step)) / (math.sqrt(square / (1 - betas[1] ** step)) + eps)
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("betas", "eps"), [((0.9, 0.999), 1e-8), ((0.5, 0.9), 1e-8), ((0.9, 0.999), 0.1)])
def test_betas_eps_and_decay(betas: tuple[float, float], eps: float, decay: float) -> None:
    model = nn.Module()
    model.w = nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer = make_optimizer(model, Training(lr=0.01, betas=betas, eps=eps, weight_decay=decay))
    gradients = [0.3, -0.1, 0.7, 0.2]
    for gradient in gradients:
        model.w.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    assert model.w.item() == pytest.approx(adam(gradients, 0.01, betas, eps, decay), rel=1e-12)


def test_factors_of_groups_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="no group 'gnn'; Grouped has cnn, transformer, head"):
        make_optimizer(Grouped(), Training(lr_factors={"gnn": 2.0}))
    with pytest.raises(ValueError, match="Linear has no groups of parameters; leave it out"):
        make_optimizer(nn.Linear(1, 1), Training(lr_factors={"gnn": 2.0}))


def test_without_factors_nothing_is_asked_of_the_model() -> None:
    model: Any = Grouped()
    model.parameter_groups = None
    (group,) = make_optimizer(model, Training()).param_groups
    assert len(group["params"]) == 6


def message(**training: Any) -> str:
    raw = {
        "datasets": {"d": {"source": "psi4_databases", "databases": ["A24"]}},
        "graphsets": {"g": {"family": "delta", "datasets": ["d"], "level": None, "v0": "column"}},
        "experiments": {"e": {"graphset": "g", "architectures": {"delta_coupling": {}}, "training": training}},
    }
    with pytest.raises(ConfigError) as caught:
        validate_config(raw)
    return str(caught.value)


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"warmup_epochs": 3}, "warmup_epochs 3 is for schedule warm_restarts"),
        ({"loss_weights": {"mse": 0}}, "one of mse, mae and huber must be above 0"),
        ({"loss_weights": {"mape": 1}}, "'mse', 'mae' or 'huber'"),
        ({"lr_factors": {"cnn": 0}}, "greater than 0"),
        ({"betas": [0.9, 1.0]}, "less than 1"),
        ({"monitor": "rmsd"}, "'rmse'"),
    ],
)
def test_wrong_settings_are_named(training: dict[str, Any], words: str) -> None:
    found = message(**training)
    assert words in found and "experiments.e.training" in found
