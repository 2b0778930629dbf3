"""What a run remembers of its epochs: history, best weights, bad batches, and why it stopped; and last.ckpt."""

import csv
import logging
import math
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from psigraph.config import Training
from psigraph.stores import atomic_path
from psigraph.training.checkpoint import write_torch
from psigraph.training.resume import KEY

log = logging.getLogger(__name__)

#: Metrics whose names in log lines are not their letters in capitals.
_TITLES = {"r2": "R²", "loss": "loss", "accuracy": "accuracy"}


@dataclass
class RunState:
    """The course of a run up to its last finished epoch; epochs count from 1."""

    history: list[dict[str, float | int | None]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    best_cost: float | None = None  # the value with the sign that makes lower better
    best_weights: dict[str, torch.Tensor] | None = None
    last_weights: dict[str, torch.Tensor] | None = None  # once the run is over
    bad_batches: int = 0
    graphs: int = 0  # trained on, over all epochs
    train_seconds: float = 0.0
    stopped: str | None = None  # the reason, once the run is over
    execution: str | None = None  # kernel, compile or torch, likewise


class Recorder(Checkpoint):
    """Keep the state of the run, log, and write history.csv and last.ckpt.

    last.ckpt is written at the end of each epoch, every `checkpoint_minutes` within it, and on SIGTERM. Being a
    Checkpoint, it runs after the module's own hook and after early stopping, whose state it saves. Of several
    processes only rank 0 writes.
    """

    def __init__(self, folder: Path, training: Training, key: Mapping[str, Any], *, keep_best: bool) -> None:
        self.state = RunState()
        self.folder, self.training, self.key, self.keep_best = folder, training, dict(key), keep_best
        self.saved = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.saved = time.monotonic()
        if pl_module.team.rank:  # rank 0 decides when to end, so that all take the same steps
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        due = time.monotonic() - self.saved > 60 * self.training.checkpoint_minutes
        if (due or trainer.received_sigterm) and pl_module.number < pl_module.train_stream.whole:
            self._save(trainer, pl_module, pl_module.current_epoch, pl_module.number)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        record, value, cost = pl_module.epoch_record(), pl_module.monitored, pl_module.cost
        epoch, state, sums = record["epoch"], self.state, pl_module.epoch.sums
        state.history.append(record)
        state.bad_batches += sums.bad + pl_module.epoch.bad_validation
        state.graphs += sums.graphs
        state.train_seconds += sums.train_seconds
        better = math.isfinite(cost) and (state.best_cost is None or cost < state.best_cost)
        if better and pl_module.task.selecting:
            state.best_epoch, state.best_value, state.best_cost = epoch, value, cost
            if self.keep_best:
                state.best_weights = pl_module.kept_weights()
        if epoch >= self.training.epochs:
            state.stopped = "all epochs done"
        elif trainer.should_stop:
            state.stopped = stop_reason(trainer, value)
        if state.stopped:
            state.last_weights = pl_module.kept_weights()
        self._report(epoch, record, pl_module)
        self._save(trainer, pl_module, epoch, 0)

    def _report(self, epoch: int, record: Mapping[str, Any], pl_module: Any) -> None:
        state = self.state
        if pl_module.team.rank == 0 and (epoch == 1 or epoch % self.training.log_every == 0 or state.stopped):
            log.info("%s", self._line(record, pl_module.task))
            write_history(self.folder / "history.csv", state.history)
            if state.stopped:
                log.info("training is over after epoch %d: %s", epoch, state.stopped)

    def _save(self, trainer: pl.Trainer, pl_module: Any, epochs: int, batches: int) -> None:
        """Write last.ckpt: the run after this many whole epochs and batches of the next."""
        if pl_module.team.rank:
            return
        stopping: Any = trainer.early_stopping_callback
        content = {
            KEY: self.key,
            "epochs": epochs,
            "batches": batches,
            "recorder": asdict(self.state),
            "stopping": stopping.state_dict(),
            "run": pl_module.run_state(),
        }
        write_torch(self.folder / "last.ckpt", content)
        self.saved = time.monotonic()
        pl_module.epoch.resume_clock()

    def _line(self, record: Mapping[str, Any], task: Any) -> str:
        loss = f"training loss {record['train_loss']:.4g} {task.unit}".rstrip()
        parts = [f"epoch {record['epoch']}/{self.training.epochs}: {loss}"]
        found = [(name, unit) for name, unit in task.metrics.items() if record[f"val_{name}"] is not None]
        if found:
            figures = (f"{_title(name)} {record[f'val_{name}']:.4g} {unit}".rstrip() for name, unit in found)
            parts.append(f"validation {', '.join(figures)}")
        parts += [f"learning rate {record['lr']:.3g}", f"{record['seconds']:.2f} s"]
        verdict = task.verdict({name: record[f"val_{name}"] for name, _ in found}) if found else ""
        return ", ".join([*parts, f"{record['graphs_per_s']:.3g} graphs/s", *([verdict] if verdict else [])])


class Stopping(EarlyStopping):
    """Early stopping on what the module monitors, in the epochs that may be selected."""

    def __init__(self, patience: int) -> None:
        super().__init__("monitored", patience=patience, mode="min", check_on_train_epoch_end=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if pl_module.task.selecting:
            super().on_train_epoch_end(trainer, pl_module)


def _title(metric: str) -> str:
    """Return a metric's name as log lines show it: `mae_u0` is `MAE u0`."""
    name, _, target = metric.partition("_")
    return f"{_TITLES.get(name, name.upper())} {target}".rstrip()


def stop_reason(trainer: pl.Trainer, value: float) -> str:
    """Return in words why early stopping ended the run."""
    stopping = trainer.early_stopping_callback
    if stopping is None or not math.isfinite(value):
        return "the watched value is not finite"
    return f"no improvement in {stopping.patience} epochs"


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one line per epoch; what a run does not have stays empty."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if value is None else value for name, value in row.items()})
