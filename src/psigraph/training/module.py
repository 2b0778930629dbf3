"""The training of every architecture and family, on Lightning: steps, validation, and what an epoch's line says."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from psigraph.config import Training
from psigraph.training.ema import WeightAverage, averaged
from psigraph.training.epoch import Epoch, Sums, look_every
from psigraph.training.optimisation import Accumulation, Optimisation
from psigraph.training.schedule import base_lr, make_optimizer, scheduler
from psigraph.training.stream import NOTHING, Stream
from psigraph.training.task import Task
from psigraph.training.team import Team


class TrainingModule(pl.LightningModule):
    """Train `model` on the loss of `task` (spec/delta.md §5, §6).

    Optimisation is manual: a batch that raises or is not finite is skipped (see Optimisation), up to a share of an
    epoch's batches. Lightning does precision, devices and loops. `predict` is the model on one of its paths
    (see Execution). `state_dict` of the run, from which a killed one goes on: `run_state`, `restore`.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Training,
        task: Task,
        train: Stream,
        validation: Stream | None,
        *,
        seed: int = 0,
        predict: Callable[[Any], Any] | None = None,
        team: Team | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.predict = predict or model.__call__
        self.settings, self.task, self.seed, self.team = settings, task, seed, team or Team()
        self.train_stream, self.validation_stream = train, validation
        self.monitor = monitored(settings, task)
        self.accumulation = Accumulation(settings.accumulate, settings.batch_size)
        self.average: WeightAverage | None = None
        self.optimisation: Optimisation | None = None
        self.values: dict[str, float] | None = None
        self._resumed: Mapping[str, Any] | None = None

    # set-up

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.settings)
        return [optimizer], [scheduler(optimizer, self.settings, self.train_stream.whole)]

    def on_train_start(self) -> None:
        """Take over the state of a killed run, now that everything is on its device."""
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        schedule: Any = self.lr_schedulers()
        self.lr_scheduler = schedule
        if self.settings.ema_decay is not None:
            self.average = WeightAverage(averaged(self.model), self.settings.ema_decay)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        self.optimisation = Optimisation(
            self.model,
            self.loss,
            self.settings,
            optimizer,
            accumulation=self.accumulation,
            scaler=scaler,
            team=self.team,
            average=self.average,
        )
        if self._resumed is not None:
            optimizer.load_state_dict(self._resumed["optimizer"])
            schedule.load_state_dict(self._resumed["scheduler"])
            if scaler is not None:
                scaler.load_state_dict(self._resumed["scaler"])
            if self.average is not None:
                self.average.load_state_dict(self._resumed["average"])

    def run_state(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on, up to the last batch."""
        made = self.optimisation
        assert made is not None, "the run has begun"
        self.epoch.look()
        self.epoch.stop_clock()
        return {
            "model": self.model.state_dict(),
            "optimizer": made.optimizer.state_dict(),
            "scheduler": self.lr_scheduler.state_dict(),
            "scaler": made.scaler.state_dict() if made.scaler is not None else None,
            "average": self.average.state_dict() if self.average is not None else None,
            "parts": self.accumulation.parts,
            "parts_note": self.accumulation.note,
            "lr": self.lr,
            "seconds": time.perf_counter() - self.started,
            "sums": self.epoch.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `run_state`; what needs a device is taken over at the start of training."""
        self._resumed = state
        self.model.load_state_dict(state["model"])
        self.accumulation.parts, self.accumulation.note = state["parts"], state["parts_note"]

    # steps

    def on_train_epoch_start(self) -> None:
        resumed, self._resumed = self._resumed, None
        stream, settings = self.train_stream, self.settings
        self.number = stream.start
        self.values = None
        self.started = time.perf_counter()
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        self.lr = base_lr(optimizer, self.lr_scheduler)
        sums = None
        if resumed is not None and stream.start:
            sums, self.lr = Sums(**resumed["sums"]), resumed["lr"]
            self.started -= resumed["seconds"]
        every = look_every(self.device.type)
        self.epoch = Epoch(self.current_epoch, stream.whole, settings.max_bad_batches, every, sums)
        self.task.begin_epoch(self.current_epoch)
        stream.begin_epoch(self.current_epoch)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch if batch is NOTHING or device.type == "cpu" else batch.to(device, non_blocking=True)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Take one step; a batch that raises or is not finite changes nothing but the counter."""
        assert self.optimisation is not None
        self._seed(self.number)
        self.epoch.add(self.optimisation.step(None if batch is NOTHING else batch))
        self.lr_scheduler.step()
        self.number += 1

    def loss(self, part: Any, size: int) -> Tensor:
        """Return the part's share of the loss of its global batch of `size` graphs."""
        return self.task.loss(self.predict(part), part, size)

    def _seed(self, number: int) -> None:
        """Whatever draws random numbers in a model depends on the run, the epoch, the batch and the process alone."""
        self._draw_from(((self.seed * 1_000_003 + self.current_epoch) * 1_000_003 + number) * 1_009 + self.team.rank)

    def _draw_from(self, seed: int) -> None:
        seed %= 2**63
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    # validation

    def on_validation_start(self) -> None:
        self._pause()
        self.outcomes: list[tuple[Tensor, ...]] = []
        self.bad_validation = 0
        self.task.begin_validation()
        if self.average is not None:
            self.average.swap()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collect predicted and reference values; a model that draws numbers draws the same ones in every epoch."""
        if batch is NOTHING:
            return
        self._draw_from(batch_idx * 1_009 + self.team.rank)
        try:
            self.outcomes += self.accumulation.each(batch, self._outcome)
        except Exception as error:  # as in training
            self.bad_validation += 1
            self.epoch.skip("validation", batch_idx, error)

    def _outcome(self, part: Any) -> tuple[Tensor, ...]:
        predicted, reference = self.task.outcome(self.predict(part), part)
        if not bool(torch.isfinite(predicted).all()):
            raise FloatingPointError("a prediction is not finite")
        return predicted.cpu(), reference.cpu(), part.index.cpu()

    def on_validation_end(self) -> None:
        if self.average is not None:
            self.average.swap()
        assert self.validation_stream is not None
        mine = [tuple(torch.cat(side).numpy() for side in zip(*self.outcomes, strict=True)), self.bad_validation]
        everyone = self.team.gather(mine)
        self.epoch.validated(sum(bad for _, bad in everyone), self.validation_stream.whole)
        parts = [outcome for outcome, _ in everyone if outcome]
        if parts:
            self.values = self.task.evaluate(*(np.concatenate(side) for side in zip(*parts, strict=True)))

    # epoch

    def on_train_epoch_end(self) -> None:
        if self.validation_stream is None:
            self._pause()
        self.train_stream.end_epoch()
        self.log("monitored", self.cost)

    def _pause(self) -> None:
        """The training batches of this epoch are over."""
        self.epoch.look()
        self.epoch.stop_clock()

    @property
    def monitored(self) -> float:
        """What selects and stops: the chosen validation metric, or the training loss where there is none."""
        return self.epoch.train_loss if self.values is None else self.values.get(self.monitor, math.nan)

    @property
    def cost(self) -> float:
        """What early stopping watches: the monitored value, with the sign that makes lower better."""
        higher = self.values is not None and self.monitor in self.task.higher_is_better
        return -self.monitored if higher else self.monitored

    def kept_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights as validation sees them: their average where there is one."""
        with self.average.applied() if self.average is not None else contextlib.nullcontext():
            return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def epoch_record(self) -> dict[str, Any]:
        """Return this epoch's line of history.csv; `lr` is the learning rate at its start."""
        values: Mapping[str, float] = self.values or {}
        return {
            "epoch": self.current_epoch + 1,
            "train_loss": self.epoch.train_loss,
            **{f"val_{name}": values.get(name) for name in self.task.metrics},
            "lr": self.lr,
            "seconds": round(time.perf_counter() - self.started, 3),
            "graphs_per_s": round(self.epoch.graphs_per_s, 1),
        }


def monitored(settings: Training, task: Task) -> str:
    """Return the validation metric that selects and stops. Raises ValueError for one that the task does not have."""
    name = task.monitor if settings.monitor == "auto" else settings.monitor
    if name not in task.metrics:
        raise ValueError(f"training.monitor is {name}, but this task has {', '.join(task.metrics)}; take auto")
    return name
