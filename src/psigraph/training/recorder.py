"""What a run remembers of its epochs: history, best weights, bad batches, and why it stopped; saved with last.ckpt."""

import csv
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint

from psigraph.stores import atomic_path

log = logging.getLogger(__name__)

HISTORY_COLUMNS = ("epoch", "train_loss", "val_mape", "val_mae", "lr", "seconds")


@dataclass
class RunState:
    """The course of a run up to its last finished epoch; epochs count from 1."""

    history: list[dict[str, float | int | None]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    best_weights: dict[str, torch.Tensor] | None = None
    bad_batches: int = 0
    resumed_after: list[int] = field(default_factory=list)
    stopped: str | None = None  # the reason, once the run is over


class Recorder(Checkpoint):
    """Keep the state of the run, log, and write history.csv and last.ckpt at the end of each epoch.

    Being a Checkpoint, it runs after the module's own hook and after early stopping, whose state it saves. Its hook
    reads `epoch_record()`, `monitored` and `bad_batches` of the Lightning module.
    """

    def __init__(self, folder: Path, *, epochs: int, log_every: int, keep_best: bool, unit: str) -> None:
        self.state = RunState()
        self.folder, self.epochs, self.log_every, self.keep_best, self.unit = folder, epochs, log_every, keep_best, unit

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        record, value = pl_module.epoch_record(), pl_module.monitored
        epoch, state = record["epoch"], self.state
        state.history.append(record)
        state.bad_batches += pl_module.bad_batches
        if math.isfinite(value) and (state.best_value is None or value < state.best_value):
            state.best_epoch, state.best_value = epoch, value
            if self.keep_best:
                weights = pl_module.model.state_dict()
                state.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        if epoch >= self.epochs:
            state.stopped = "all epochs done"
        elif trainer.should_stop:
            state.stopped = stop_reason(trainer, value)
        if epoch == 1 or epoch % self.log_every == 0 or state.stopped:
            log.info("%s", self._line(record))
            write_history(self.folder / "history.csv", state.history)
        if state.stopped:
            log.info("training is over after epoch %d: %s", epoch, state.stopped)
        trainer.save_checkpoint(self.folder / "last.ckpt")

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.state = RunState(**state_dict)

    def _line(self, record: dict[str, Any]) -> str:
        parts = [f"epoch {record['epoch']}/{self.epochs}: training loss {record['train_loss']:.4g} {self.unit}"]
        if record["val_mae"] is not None:
            parts.append(f"validation MAE {record['val_mae']:.4g} {self.unit}, MAPE {record['val_mape']:.4g} %")
        return ", ".join([*parts, f"learning rate {record['lr']:.3g}", f"{record['seconds']:.2f} s"])


def stop_reason(trainer: pl.Trainer, value: float) -> str:
    """Return in words why early stopping ended the run."""
    stopping = trainer.early_stopping_callback
    if stopping is None or not math.isfinite(value):
        return "the watched value is not finite"
    return f"no improvement in {stopping.patience} epochs"


def write_history(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one line per epoch; what a run does not have stays empty."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if value is None else value for name, value in row.items()})
