"""What an epoch adds up to: losses, skipped batches, time."""

import logging
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from psigraph.training.optimisation import Step

log = logging.getLogger(__name__)

#: Steps between looks at the numbers on a GPU: each look waits for it.
_LOOK_EVERY = 100


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


@dataclass
class Sums:
    """Sums over the batches of an epoch so far; saved with a checkpoint in the middle of it."""

    batches: int = 0  # looked at
    graphs: int = 0  # that took part
    loss: float = 0.0
    bad: int = 0  # training batches skipped
    train_seconds: float = 0.0
    first_error: str = ""


class Epoch:
    """The sums of one epoch, numbered from 0, of `batches` training batches; stops the run where too many are bad."""

    def __init__(
        self, number: int, batches: int, max_bad: float, look_every: int = 1, sums: Sums | None = None
    ) -> None:
        self.number, self.batches, self.max_bad, self.look_every = number, batches, max_bad, look_every
        self.sums = sums or Sums()
        self.bad_validation = 0
        self._waiting: list[Step] = []
        self._began = time.perf_counter()

    def add(self, step: Step) -> None:
        """Take note of the next training batch. Raises TrainingError."""
        self._waiting.append(step)
        if len(self._waiting) >= self.look_every:
            self.look()

    def look(self) -> None:
        """Bring the sums up to date. Raises TrainingError where more batches failed than allowed."""
        if not self._waiting:
            return
        steps, self._waiting = self._waiting, []
        if len(steps) == 1:
            values = [(float(steps[0].loss), bool(steps[0].taken))]
        else:
            rows = torch.stack([torch.stack([step.loss.double(), step.taken.double()]) for step in steps]).tolist()
            values = [(loss, bool(taken)) for loss, taken in rows]
        for step, (loss, taken) in zip(steps, values, strict=True):
            if taken:
                graphs = int(step.graphs)
                self.sums.loss += loss * graphs
                self.sums.graphs += graphs
            else:
                self.sums.bad += 1
                self.skip("training", self.sums.batches, step.error or _not_finite(loss))
            self.sums.batches += 1
        self._check("training", self.sums.bad, self.batches)

    def skip(self, stage: str, batch: int, error: Exception) -> None:
        """Log a batch that was skipped."""
        what = f"{type(error).__name__}: {error}"
        self.sums.first_error = self.sums.first_error or what
        log.warning("epoch %d: %s batch %d skipped (%s)", self.number + 1, stage, batch, what)

    def validated(self, bad: int, batches: int) -> None:
        """Take note of how many validation batches were skipped. Raises TrainingError where they were too many."""
        self.bad_validation = bad
        self._check("validation", bad, batches)

    def _check(self, stage: str, bad: int, batches: int) -> None:
        if bad > self.max_bad * batches:
            raise TrainingError(
                f"epoch {self.number + 1}: {bad} of {batches} {stage} batches failed, more than the share of "
                f"{self.max_bad:g} that training.max_bad_batches allows; the first error was {self.sums.first_error}"
            )

    def stop_clock(self) -> None:
        """End (or, before a checkpoint, cut) the time spent training."""
        now = time.perf_counter()
        self.sums.train_seconds += now - self._began
        self._began = now

    def resume_clock(self) -> None:
        """Leave out the time since `stop_clock`."""
        self._began = time.perf_counter()

    @property
    def train_loss(self) -> float:
        """The mean loss over the graphs that took part."""
        return self.sums.loss / self.sums.graphs if self.sums.graphs else math.nan

    @property
    def graphs_per_s(self) -> float:
        """Graphs trained on per second, without validation."""
        return self.sums.graphs / self.sums.train_seconds if self.sums.train_seconds else 0.0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.sums)


def look_every(device: str) -> int:
    """Return after how many steps to look at the numbers: on the CPU it costs nothing."""
    return 1 if device == "cpu" else _LOOK_EVERY


def _not_finite(loss: float) -> FloatingPointError:
    return FloatingPointError("the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}")
