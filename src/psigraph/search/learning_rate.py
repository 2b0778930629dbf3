"""Where the loss falls fastest while the learning rate rises: Lightning's finder on the shared training's parts.

The trainer's own module steps by itself (manual optimisation), which the finder cannot follow: it counts Lightning's
steps and reads the loss from `training_step`. So a small module with automatic optimisation has the same model, task,
optimiser and batches. The finder raises the rate and ends the test. Smoothing and suggestion are not Lightning's: its
running mean lags by half of the steps, and version 2.6 takes the slope by the rate itself instead of its logarithm, so
that it suggests the smallest rates (its issue 21141).
"""

import contextlib
import csv
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.tuner import Tuner
from torch import Tensor, nn

from psigraph.config import Training
from psigraph.graphs.loader import make_loader
from psigraph.search.figures import draw_rates
from psigraph.stores import atomic_path
from psigraph.training.device import choose_device
from psigraph.training.engine import new_model, prepare_run
from psigraph.training.execution import Execution, has_kernel
from psigraph.training.schedule import make_optimizer
from psigraph.training.settings import RunSettings
from psigraph.training.start import read_start
from psigraph.training.stream import Stream
from psigraph.training.task import Task
from psigraph.training.team import Team
from psigraph.training.trainer import Setting, make_trainer, quiet

log = logging.getLogger(__name__)

#: Lowest and highest learning rate.
RATES = (1e-7, 1.0)
#: Steps that losses are averaged over.
WINDOW = 11


class FinderModule(pl.LightningModule):
    """Trains `model` on the loss of `task`; learns what the last epoch of a run would, not what a pretraining would."""

    def __init__(self, model: nn.Module, settings: Training, task: Task, train: Stream, setting: Setting) -> None:
        super().__init__()
        self.model, self.settings, self.task, self.stream, self.seed = model, settings, task, train, setting.seed
        self.losses: list[Tensor] = []
        self.predict = Execution(model, "kernel" if has_kernel(model, setting.device) else "torch")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.model, self.settings)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch)
        self.task.begin_epoch(self.settings.epochs - 1)
        self.stream.begin_epoch(self.current_epoch)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch if device.type == "cpu" else batch.to(device, non_blocking=True)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """Return the loss; None, which Lightning skips, for a batch that raises."""
        loss = None
        try:
            loss = self.task.loss(self.predict(batch), batch, batch.num_graphs)
        except Exception as error:  # as in training
            log.warning("batch %d skipped (%s: %s)", batch_idx, type(error).__name__, error)
        self.losses.append(torch.tensor(torch.nan) if loss is None else loss.detach())
        return loss

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        self.clip_gradients(optimizer, gradient_clip_val=self.settings.clip_norm, gradient_clip_algorithm="norm")

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, *rest: Any, **options: Any) -> None:
        """Step with the finder's one rate times the factor of each group."""
        with scaled(optimizer.param_groups):
            super().optimizer_step(epoch, batch_idx, optimizer, *rest, **options)


def find_lr(
    shards: Sequence[str | Path],
    *,
    experiment: str,
    architecture: str,
    seed: int,
    settings: Mapping[str, Any],
    start_from: str | Path | None = None,
    gpus: int = 0,
    threads: int | None = None,
    table: Path,
    plot: Path,
) -> float | None:
    """Write the finder's curve for one run as CSV and PNG and return the suggested `training.lr`, if there is one.

    Arguments as those of psigraph.training.engine.train_run; raises what it raises before the first batch.
    """
    checked = RunSettings.parse(architecture, settings)
    device = choose_device(gpus, cuda_available=torch.cuda.is_available(), environment=os.environ)
    torch.set_num_threads(threads or checked.training.threads)
    run = prepare_run(Team(), shards, checked, (experiment, architecture, seed), device)
    training, train = run.settings.training, run.train
    statistics = run.family.statistics(train)
    start = None if start_from is None else read_start(start_from, architecture, seed)
    model, start = new_model(run, statistics, start)
    task = run.family.task(model, train, statistics, run.settings, start.learned if start else ())
    samples = run.family.training_samples(run.data, run.split["train"], training, seed)
    loader = make_loader(samples, shuffle=True, seed=seed, batch_size=training.batch_size, device_type=device)
    precision = "float32" if run.precision == "float16" else run.precision  # its scaled gradients would be clipped
    rates, losses, place = find_rate(model, task, loader, training, Setting(seed, {}, device, precision))
    write_rates(table, rates, losses, place)
    title = f"{experiment}, {architecture}: the loss while the learning rate rises"
    draw_rates(plot, title, rates, losses, smooth(losses), place)
    if place is None:
        log.warning("%s, %s: no suggestion, for the loss does not fall", experiment, architecture)
        return None
    log.info("%s, %s: suggested training.lr %.2g; it is %.2g", experiment, architecture, rates[place], training.lr)
    return float(rates[place])


@contextlib.contextmanager
def scaled(groups: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Multiply the rates of an optimiser's groups by their factors for a while."""
    rates = [group["lr"] for group in groups]
    for group in groups:
        group["lr"] *= group.get("factor", 1.0)
    try:
        yield
    finally:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


def find_rate(
    model: nn.Module, task: Task, loader: Any, training: Training, setting: Setting, steps: int = 100
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Return learning rates (n,), losses (n,) and the place of the suggested rate, None where there is none.

    The rate rises by a constant factor from 1e-7 to 1 in so many steps; it ends early where Lightning's running mean of
    the loss is four times its smallest (the test is L. N. Smith's, WACV 2017). The model is left as it was.
    """
    stream = Stream(loader)
    module = FinderModule(model, training, task, stream, setting)
    enough = training.model_copy(update={"epochs": steps})  # an epoch has a step at least
    low, high = RATES
    with tempfile.TemporaryDirectory() as folder, quiet(), no_progress():
        trainer = make_trainer(enough, [], Path(folder), setting)
        found = Tuner(trainer).lr_find(
            module, stream, min_lr=low, max_lr=high, num_training=steps, update_attr=False, early_stop_threshold=4.0
        )
    assert found is not None, "fast_dev_run is off"
    rates = np.array(found.results["lr"], dtype=float)
    losses = np.array([float(loss) for loss in module.losses])[: len(rates)]
    return rates, losses, steepest(rates, losses)


def smooth(losses: np.ndarray) -> np.ndarray:
    """Return the means of losses (n,) over the 11 around each, fewer near the ends; of those that are numbers."""
    half, n = WINDOW // 2, len(losses)
    reach = [min(place, n - 1 - place, half) for place in range(n)]
    around = [losses[place - r : place + r + 1] for place, r in enumerate(reach)]
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in around])


def steepest(rates: np.ndarray, losses: np.ndarray) -> int | None:
    """Return the place where losses (n,) fall most steeply by the logarithm of rates (n,), None where they do not.

    A fall is one below the mean of all losses before it by three times the standard error of 11 losses.
    """
    half, level = WINDOW // 2, smooth(losses)
    if len(rates) < 2 * WINDOW + half or not np.isfinite(losses[:WINDOW]).any():
        return None
    slopes = np.gradient(level, np.log(rates))
    error = 1.4826 * np.nanmedian(np.abs(losses - level)) / WINDOW**0.5  # from the median, for losses may diverge
    falls = [
        (float(slopes[place]), place)
        for place in range(WINDOW + half, len(rates) - 2 * half)  # where 11 losses stand around its end
        if level[place + half] < np.nanmean(losses[: place - half]) - 3 * error
    ]
    slope, place = min(falls, default=(0.0, 0))
    return place if slope < 0 else None


@contextlib.contextmanager
def no_progress() -> Iterator[None]:
    """Keep the finder's own progress bar out of logs; a terminal gets it."""
    with contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO()):
        yield


def write_rates(path: Path, rates: np.ndarray, losses: np.ndarray, suggestion: int | None) -> None:
    """Write one line for each step; `suggested` is 1 in one of them."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lr", "loss", "smoothed", "suggested"])
        for step, row in enumerate(zip(rates.tolist(), losses.tolist(), smooth(losses).tolist(), strict=True)):
            writer.writerow([*(f"{value:.6g}" for value in row), int(step == suggestion)])
