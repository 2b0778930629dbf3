"""The optimiser and its learning rate over the steps of a run."""

from typing import Any

import torch
from torch import nn

from psigraph.config import Training


def make_optimizer(model: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """Return Adam, or AdamW where weights are to decay."""
    if settings.weight_decay:
        parameters = model.parameters()
        return torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.Adam(model.parameters(), lr=settings.lr, fused=True)


def scheduler(optimizer: torch.optim.Optimizer, settings: Training, batches: int) -> Any:
    """Return the learning rate's schedule over steps, `batches` of them an epoch."""
    schedules = torch.optim.lr_scheduler
    if settings.schedule == "warm_restarts":
        first = settings.restart_epochs * batches
        return schedules.CosineAnnealingWarmRestarts(optimizer, T_0=first, T_mult=settings.restart_factor)
    steps = scheduler_steps(settings.epochs, batches, settings.min_scheduler_steps)
    return schedules.OneCycleLR(optimizer, max_lr=settings.lr, total_steps=steps, pct_start=settings.pct_start)


def scheduler_steps(epochs: int, batches: int, minimum: int) -> int:
    """Return how many steps OneCycleLR is laid out for: those of the run, at least `minimum` (20, spec/delta.md §8)."""
    return max(epochs * batches, minimum)
