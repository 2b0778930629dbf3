"""A model trained on the batches of loaders, resumed where it was killed, whatever it learns."""

import logging
from pathlib import Path
from typing import Any

import torch

from psigraph.config import Training
from psigraph.training.execution import Execution, choose_execution, has_kernel
from psigraph.training.module import TrainingModule
from psigraph.training.recorder import Recorder, RunState, Stopping
from psigraph.training.resume import find_resumable
from psigraph.training.stream import Stream
from psigraph.training.task import Task
from psigraph.training.trainer import Setting, begin_after, make_trainer, matmul_precision, notes_of, quiet, resumable

log = logging.getLogger(__name__)


def fit(
    model: torch.nn.Module,
    train_loader: Any,
    validation_loader: Any | None,
    training: Training,
    task: Task,
    folder: Path,
    setting: Setting,
) -> tuple[RunState, list[str]]:
    """Train `model` in place and return the course of the run and notes for its record.

    Without a validation set early stopping watches the training loss. `folder` gets history.csv and last.ckpt; a
    last.ckpt with the same key is resumed from. Afterwards the model carries the best weights, or the last where there
    is no validation set (their average where `ema_decay` asks for one). Loaders give this process's share of every
    global batch. Raises TrainingError where too many batches of an epoch fail.
    """
    notes: list[str] = []
    if not validation_loader:
        notes.append("validation set empty: early stopping watched the training loss and the last weights were kept")
        log.warning("the validation set is empty: early stopping watches the training loss, the last weights are kept")
    path = choose_execution(training.execution, has_kernel=has_kernel(model, setting.device), device=setting.device)
    execution = Execution(model, path)
    train, validation = Stream(train_loader), Stream(validation_loader) if validation_loader else None
    module = TrainingModule(
        model, training, task, train, validation, seed=setting.seed, predict=execution, team=setting.team
    )
    key = {**setting.key, "execution": path}  # another path gives other bits
    recorder = Recorder(folder, training, key, keep_best=validation is not None)
    found = find_resumable(folder / "last.ckpt", key)
    stopping = Stopping(training.patience)
    if found is not None:
        recorder.state = RunState(**found["recorder"])
        module.restore(found["run"])
        stopping.load_state_dict(found["stopping"])
        train.start = found["batches"]
        where = f"epoch {found['epochs']}" + (f" and batch {train.start} of the next" if train.start else "")
        log.info("resuming from %s after %s, of %d epochs", folder / "last.ckpt", where, training.epochs)
    if recorder.state.stopped:
        log.info("training was over already: %s", recorder.state.stopped)
    else:
        with quiet(), matmul_precision("high"), resumable():
            trainer = make_trainer(training, [stopping, recorder], folder, setting)
            begin_after(trainer, found["epochs"] if found is not None else 0)
            trainer.fit(module, train, validation)
    recorder.state.execution = execution.path
    notes += notes_of(execution, module, recorder.state)
    model.to("cpu")
    weights = recorder.state.best_weights or recorder.state.last_weights
    assert weights is not None, "the run is over"
    model.load_state_dict(weights)
    return recorder.state, notes
