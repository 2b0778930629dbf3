"""Lightning, set up for one run: device, precision, progress, and none of its noise."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from psigraph.config import Training
from psigraph.training.device import lightning_precision
from psigraph.training.execution import Execution
from psigraph.training.module import TrainingModule
from psigraph.training.recorder import RunState
from psigraph.training.team import Team

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """Where and how a run computes, and what identifies it."""

    seed: int
    key: Mapping[str, Any]  # see settings.run_key
    device: str = "cpu"
    precision: str = "float32"
    team: Team = Team()


def notes_of(execution: Execution, module: TrainingModule, state: RunState) -> list[str]:
    """Return what a reader of the run's record should know."""
    notes = []
    if execution.failure:
        notes.append(f"{execution.failure}; the run was computed in plain torch")
    if module.accumulation.note:
        notes.append(module.accumulation.note)
    if state.bad_batches:
        notes.append(f"{state.bad_batches} batches were skipped, see the log")
    return notes


def begin_after(trainer: pl.Trainer, epochs: int) -> None:
    """Let a trainer begin as one that has finished so many epochs."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    progress.processed = progress.completed = epochs


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Turn Lightning's answer to SIGTERM, an exit with status 0, into one that a workflow takes as unfinished."""
    try:
        yield
    except SIGTERMException:
        raise SystemExit("terminated; the same command resumes after the last batch") from None


def make_trainer(training: Training, callbacks: list[Any], folder: Path, setting: Setting) -> pl.Trainer:
    """Return a Trainer for one device. It never looks at the cluster, and knows nothing of other processes."""
    progress = sys.stderr.isatty() and setting.team.rank == 0
    return pl.Trainer(
        accelerator="gpu" if setting.device == "cuda" else "cpu",
        devices=[setting.team.rank] if setting.device == "cuda" else 1,
        precision=lightning_precision(setting.precision),  # type: ignore[arg-type]
        max_epochs=training.epochs,
        callbacks=[*callbacks, *([TQDMProgressBar(refresh_rate=20)] if progress else [])],
        plugins=[LightningEnvironment()],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,  # a resumed epoch is shorter
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's tips and its warnings that do not apply here; errors and our own lines stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=r".*lr_scheduler\.step\(\).*before.*optimizer\.step.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Set the precision of float32 matrix products for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
