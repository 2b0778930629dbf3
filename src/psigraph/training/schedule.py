"""The optimiser and its learning rates over the steps of a run."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from psigraph.config import Training


def make_optimizer(model: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """Return Adam, or AdamW where weights are to decay. Raises ValueError for groups that the model does not have."""
    parameters = parameter_groups(model, settings) if settings.lr_factors else model.parameters()
    options: dict[str, Any] = {"lr": settings.lr, "betas": settings.betas, "eps": settings.eps, "fused": True}
    if settings.weight_decay:
        return torch.optim.AdamW(parameters, weight_decay=settings.weight_decay, **options)
    return torch.optim.Adam(parameters, **options)


def parameter_groups(model: nn.Module, settings: Training) -> Iterator[dict[str, Any]]:
    """Yield the model's groups of parameters as an optimiser takes them, each with its rate and its factor.

    A model says by `parameter_groups()` what it has: lists of parameters by name, each parameter in one of them. Raises
    ValueError for factors of groups that it does not have.
    """
    find = getattr(model, "parameter_groups", None)
    if find is None:
        raise ValueError(
            f"training.lr_factors {settings.lr_factors}: {type(model).__name__} has no groups of parameters; leave it "
            "out"
        )
    groups = find()
    for name in settings.lr_factors:
        if name not in groups:
            raise ValueError(f"training.lr_factors: no group {name!r}; {type(model).__name__} has {', '.join(groups)}")
    found = [id(parameter) for parameters in groups.values() for parameter in parameters]
    assert sorted(found) == sorted(map(id, model.parameters())), "every parameter is in one group"
    factors = {name: settings.lr_factors.get(name, 1.0) for name in groups}
    for name in sorted(groups, key=lambda name: factors[name] != 1):  # one with the base rate comes first: see base_lr
        yield {"params": groups[name], "lr": settings.lr * factors[name], "factor": factors[name]}


def scheduler(optimizer: torch.optim.Optimizer, settings: Training, batches: int) -> Any:
    """Return the learning rates' schedule over steps, `batches` of them an epoch."""
    schedules = torch.optim.lr_scheduler
    if settings.schedule == "warm_restarts":
        first = settings.restart_epochs * batches
        cosines = schedules.CosineAnnealingWarmRestarts(optimizer, T_0=first, T_mult=settings.restart_factor)
        return warmed_up(optimizer, cosines, settings.warmup_epochs * batches)
    steps = scheduler_steps(settings.epochs, batches, settings.min_scheduler_steps)
    rates = [group["lr"] for group in optimizer.param_groups]
    return schedules.OneCycleLR(optimizer, max_lr=rates, total_steps=steps, pct_start=settings.pct_start)


def warmed_up(optimizer: torch.optim.Optimizer, schedule: Any, steps: int) -> Any:
    """Return the schedule after so many steps with 1/(steps + 1), 2/(steps + 1), … of the rates that it begins with."""
    if not steps:
        return schedule
    schedules = torch.optim.lr_scheduler
    rise = schedules.LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps)
    return schedules.SequentialLR(optimizer, [rise, schedule], [steps])


def scheduler_steps(epochs: int, batches: int, minimum: int) -> int:
    """Return how many steps OneCycleLR is laid out for: those of the run, at least `minimum` (20, spec/delta.md §8)."""
    return max(epochs * batches, minimum)


def base_lr(optimizer: torch.optim.Optimizer, schedule: Any) -> float:
    """Return the learning rate of a factor of 1, whether or not a group of the optimiser has it."""
    factor = float(optimizer.param_groups[0].get("factor", 1.0))
    return float(schedule.get_last_lr()[0]) / factor
