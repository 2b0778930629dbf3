"""Lightning, set up for one run: device, precision, early stopping, resume, and none of its noise."""

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
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from psigraph.config import Training
from psigraph.models.base import DeltaModel
from psigraph.training.compiling import CompiledModel, compile_backend
from psigraph.training.device import lightning_precision
from psigraph.training.losses import DistanceWeight
from psigraph.training.module import TrainingModule
from psigraph.training.recorder import Recorder, RunState
from psigraph.training.resume import AtomicCheckpointIO, find_resumable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """Where and how a run computes, and what identifies it."""

    seed: int
    key: Mapping[str, Any]  # see settings.run_key
    device: str = "cpu"
    precision: str = "float32"
    unit: str = ""


def fit(
    model: DeltaModel,
    train_loader: Any,
    validation_loader: Any | None,
    training: Training,
    weight: DistanceWeight,
    folder: Path,
    setting: Setting,
) -> tuple[RunState, list[str]]:
    """Train `model` in place and return the course of the run and notes for its record.

    Without a validation set early stopping watches the training loss. `folder` gets history.csv and last.ckpt; a
    last.ckpt with the same key is resumed from. Afterwards the model carries the best weights, or the last where there
    is no validation set. Raises TrainingError where too many batches of an epoch fail.
    """
    notes: list[str] = []
    if not validation_loader:
        notes.append("validation set empty: early stopping watched the training loss and the last weights were kept")
        log.warning("the validation set is empty: early stopping watches the training loss, the last weights are kept")
    compiled = CompiledModel(model, compile_backend(sys.platform)) if training.compile else None
    module = TrainingModule(
        model,
        training,
        weight,
        batches=len(train_loader),
        validation_batches=len(validation_loader or ()),
        seed=setting.seed,
        key=setting.key,
        predict=compiled,
    )
    keep_best = bool(validation_loader)
    recorder = Recorder(
        folder, epochs=training.epochs, log_every=training.log_every, keep_best=keep_best, unit=setting.unit
    )
    last = folder / "last.ckpt"
    found = find_resumable(last, setting.key)
    if found is not None:
        _restore(found, recorder, module, last)
    if not recorder.state.stopped:
        loaders = (train_loader, validation_loader or None)
        with _quiet(), _matmul_precision("high"):
            trainer = _trainer(training, recorder, folder, setting)
            _train(trainer, module, *loaders, resume=last if found is not None else None)
    if compiled is not None and compiled.failure:
        notes.append(f"torch.compile failed, the run was eager ({compiled.failure})")
    if recorder.state.bad_batches:
        notes.append(f"{recorder.state.bad_batches} batches were skipped, see the log")
    model.to("cpu")
    if recorder.state.best_weights is not None:
        model.load_state_dict(recorder.state.best_weights)
    return recorder.state, notes


def _restore(found: Mapping[str, Any], recorder: Recorder, module: TrainingModule, last: Path) -> None:
    """Take over the course of a run that was killed; Lightning restores the rest when it starts."""
    recorder.load_state_dict(found["callbacks"][recorder.state_key])
    log.info("resuming from %s after epoch %d of %d", last, len(recorder.state.history), recorder.epochs)
    if recorder.state.stopped:
        log.info("training was over already: %s", recorder.state.stopped)
        module.load_state_dict(found["state_dict"])


def _train(
    trainer: pl.Trainer, module: TrainingModule, train: Any, validation: Any | None, resume: Path | None
) -> None:
    try:
        trainer.fit(module, train, validation, ckpt_path=resume, weights_only=True)
    except SIGTERMException:  # Lightning would end with exit status 0
        raise SystemExit("terminated; the same command resumes after the last finished epoch") from None


def _trainer(training: Training, recorder: Recorder, folder: Path, setting: Setting) -> pl.Trainer:
    """Return a Trainer for one device. It never looks at the cluster: one job is one process."""
    stopping = EarlyStopping("monitored", patience=training.patience, mode="min", check_on_train_epoch_end=True)
    return pl.Trainer(
        accelerator="gpu" if setting.device == "cuda" else "cpu",
        devices=1,
        precision=lightning_precision(setting.precision),  # type: ignore[arg-type]
        max_epochs=training.epochs,
        callbacks=[stopping, recorder],
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
def _matmul_precision(precision: str) -> Iterator[None]:
    """Set the precision of float32 matrix products for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
