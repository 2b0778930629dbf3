"""One optimisation step, one validation step and the epoch's sums, for every architecture, on Lightning."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from psigraph import metrics
from psigraph.config import Training
from psigraph.models.base import DeltaModel
from psigraph.models.shapes import globals_by_graph
from psigraph.training.losses import DistanceWeight, distance_weighted_l1_on_vref_loss
from psigraph.training.resume import KEY

log = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


class TrainingModule(pl.LightningModule):
    """Train `model` on the distance-weighted L1 loss of V_ref (spec/delta.md §5, §6).

    Optimisation is manual, so that an error anywhere in a batch (forward, backward, optimiser) can skip that batch; too
    many of them stop the run with the first error. Lightning still does precision, gradient scaling, devices and loops.
    `predict` stands in for the model where it was compiled.
    """

    def __init__(
        self,
        model: DeltaModel,
        settings: Training,
        weight: DistanceWeight,
        *,
        batches: int,
        validation_batches: int,
        seed: int,
        key: Mapping[str, Any] | None = None,
        predict: Callable[[Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.predict = predict or model.__call__
        self.settings, self.weight, self.seed, self.key = settings, weight, seed, dict(key or {})
        self.batches, self.validation_batches = batches, validation_batches
        self._start_epoch()

    def _start_epoch(self) -> None:
        self.loss_sum, self.graphs, self.bad_batches = 0.0, 0, 0
        self.bad = {"training": 0, "validation": 0}
        self.first_error: BaseException | None = None
        self.predicted: list[Tensor] = []
        self.reference: list[Tensor] = []
        self.started = time.perf_counter()

    # set-up

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.lr)
        steps = scheduler_steps(self.settings.epochs, self.batches, self.settings.min_scheduler_steps)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.settings.lr, total_steps=steps, pct_start=self.settings.pct_start
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self.key

    # steps

    def on_train_epoch_start(self) -> None:
        self._start_epoch()
        # Whatever draws random numbers in a model must not depend on whether the run was resumed.
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch)
        loader: Any = self.trainer.train_dataloader
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(self.current_epoch)
        self.lr = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Take one step; a batch that raises or has no finite loss changes nothing but the counter."""
        optimizer = self.optimizers()
        try:
            size = int(batch.num_graphs)
            loss = self.loss(batch)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss is {value}")
            optimizer.zero_grad(set_to_none=True)  # type: ignore[union-attr]
            self.manual_backward(loss)
            optimizer.step()  # type: ignore[union-attr]
            self.loss_sum += value * size
            self.graphs += size
        except Exception as error:  # any error of one batch is skipped, up to a limit (spec/delta.md §6)
            self._skip("training", batch_idx, error, self.batches)
        self.lr_schedulers().step()  # type: ignore[union-attr]

    def loss(self, batch: Any) -> Tensor:
        """Return the loss of a batch, divided by its number of graphs."""
        v_0 = globals_by_graph(batch.u, batch.num_graphs)[:, 2]
        delta = self.predict(batch).to(v_0.dtype)
        weights = self.weight(batch.R_internal_val.view(-1))
        return distance_weighted_l1_on_vref_loss(delta, v_0, batch.y_true_vref.view(-1), weights, batch.num_graphs)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collect predicted and reference V_ref."""
        try:
            v_0 = globals_by_graph(batch.u, batch.num_graphs)[:, 2]
            predicted = v_0 + self.predict(batch).to(v_0.dtype)
            if not bool(torch.isfinite(predicted).all()):
                raise FloatingPointError("a prediction is not finite")
            self.predicted.append(predicted.cpu())
            self.reference.append(batch.y_true_vref.view(-1).cpu())
        except Exception as error:  # as in training_step
            self._skip("validation", batch_idx, error, self.validation_batches)

    def _skip(self, stage: str, number: int, error: Exception, batches: int) -> None:
        """Count and log a batch that was skipped. Raises TrainingError where there were too many in this epoch."""
        self.bad[stage] += 1
        self.bad_batches += 1
        self.first_error = self.first_error or error
        epoch = self.current_epoch + 1
        log.warning("epoch %d: %s batch %d skipped (%s: %s)", epoch, stage, number, type(error).__name__, error)
        if self.bad[stage] > self.settings.max_bad_batches * batches:
            first = self.first_error
            raise TrainingError(
                f"epoch {epoch}: {self.bad[stage]} of {batches} {stage} batches failed, more than the share of "
                f"{self.settings.max_bad_batches:g} that training.max_bad_batches allows; "
                f"the first error was {type(first).__name__}: {first}"
            ) from first

    # epoch

    def on_train_epoch_end(self) -> None:
        self.log("monitored", self.monitored)

    @property
    def train_loss(self) -> float:
        """The mean loss over the graphs that took part in this epoch."""
        return self.loss_sum / self.graphs if self.graphs else math.nan

    def validation_metrics(self) -> dict[str, float] | None:
        """Return MAE [V unit] and MAPE [%] of V_ref over the validation set, or None where it is empty."""
        if not self.predicted:
            return None
        predicted, reference = torch.cat(self.predicted).numpy(), torch.cat(self.reference).numpy()
        percent, _ = metrics.mape(predicted, reference, self.settings.mape_epsilon)
        return {"mae": metrics.mae(predicted, reference), "mape": percent}

    @property
    def monitored(self) -> float:
        """What early stopping watches: the chosen validation metric, or the training loss where there is none."""
        values = self.validation_metrics()
        return self.train_loss if values is None else values[self.settings.monitor]

    def epoch_record(self) -> dict[str, Any]:
        """Return this epoch's line of history.csv; `lr` is the learning rate at its start."""
        values: Mapping[str, float | None] = self.validation_metrics() or {"mae": None, "mape": None}
        return {
            "epoch": self.current_epoch + 1,
            "train_loss": self.train_loss,
            "val_mape": values["mape"],
            "val_mae": values["mae"],
            "lr": float(self.lr),
            "seconds": round(time.perf_counter() - self.started, 3),
        }


def scheduler_steps(epochs: int, batches: int, minimum: int) -> int:
    """Return how many steps OneCycleLR is laid out for: those of the run, at least `minimum` (20, spec/delta.md §8)."""
    return max(epochs * batches, minimum)
