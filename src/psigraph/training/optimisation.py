"""One optimisation step on a global batch: in parts, over processes, clipped, and guarded against non-finite values."""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from psigraph.config import Training
from psigraph.training.buffers import RunningStatistics
from psigraph.training.ema import WeightAverage
from psigraph.training.team import Team

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What a step came to.

    loss (): mean over the global batch, NaN where a process failed; taken (): whether it changed weights; graphs: size
    of the global batch; error: what kept this process from taking part.
    """

    loss: Tensor
    taken: Tensor
    graphs: Tensor | int
    error: Exception | None = None


class Accumulation:
    """How many parts a batch is computed in; doubled once where memory does not suffice."""

    def __init__(self, parts: int, batch_size: int) -> None:
        self.parts, self.batch_size = parts, batch_size
        self.note: str | None = None

    def split(self, batch: Any) -> list[Any]:
        """Return the batch in nearly equal parts, none of them empty."""
        n = min(self.parts, batch.num_graphs)
        if n == 1:
            return [batch]
        bounds = [batch.num_graphs * k // n for k in range(n + 1)]
        return [batch.part(first, last) for first, last in zip(bounds, bounds[1:], strict=False)]

    def each(self, batch: Any, work: Callable[[Any], Any], begin: Callable[[], None] = lambda: None) -> list[Any]:
        """Return what `work` gives for each part, after `begin`; anew in smaller parts where memory first runs out."""
        begin()
        try:
            return [work(part) for part in self.split(batch)]
        except (RuntimeError, MemoryError) as error:
            if self.note is not None or batch.num_graphs <= self.parts or not out_of_memory(error):
                raise
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        self._halve(reason)  # outside of the handler, which holds on to the tensors of the failed attempt
        return self.each(batch, work, begin)

    def _halve(self, reason: str) -> None:
        before = self.parts
        self.parts *= 2
        self.note = (
            f"memory did not suffice for batches of {self.batch_size} in {before} part{'s'[: before > 1]}: computed in "
            f"{self.parts} from there on, as training.accumulate: {self.parts} does from the start"
        )
        log.warning("%s; the error was: %s", self.note, reason)
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated, on a GPU or for the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


class Optimisation:
    """Takes steps down a loss, given as a function of a part of a batch and of the size of the global batch.

    Gradients are those of the global batch's mean loss, however it is split over parts and processes.

    A batch that raises, or whose loss or gradient is not finite, changes no weight and no running statistics, in any
    process. On a GPU nothing here waits for the device: the optimiser is told on the device not to step. With a
    gradient scaler an infinite gradient is the scaler's business.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss: Callable[[Any, int], Tensor],
        settings: Training,
        optimizer: torch.optim.Optimizer,
        *,
        accumulation: Accumulation,
        scaler: Any = None,
        team: Team | None = None,
        average: WeightAverage | None = None,
    ) -> None:
        self.loss, self.clip_norm = loss, settings.clip_norm
        self.optimizer, self.scaler, self.team, self.average = optimizer, scaler, team or Team(), average
        self.accumulation = accumulation
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.running = RunningStatistics(model)
        self.device = self.parameters[0].device
        self.waits = self.device.type == "cpu"  # reading a number costs nothing

    def step(self, batch: Any | None) -> Step:
        """Take a step on this process's share of a global batch, None where it has none."""
        loss, error = torch.zeros((), device=self.device), None
        graphs: Tensor | int = 0
        self.running.remember()
        try:
            if batch is None:
                self.optimizer.zero_grad(set_to_none=True)
            else:
                graphs = batch.num_graphs
                loss = self._gradients(batch, getattr(batch, "global_size", batch.num_graphs))
        except Exception as caught:  # any error of one batch is skipped, up to a limit (spec/delta.md §6)
            error, loss = caught, loss.new_full((), torch.nan)
        if self.team.size > 1:
            loss, graphs = self._add_up(loss, graphs, failed=error is not None)
        taken = self._update(loss)
        self.running.settle(taken)
        if self.average is not None:
            self.average.update(taken)
        return Step(loss, taken, graphs, error)

    def _gradients(self, batch: Any, size: int) -> Tensor:
        """Add to the gradients and return the share's part of the loss."""

        def work(part: Any) -> Tensor:
            loss = self.loss(part, size)
            if self.waits and not bool(torch.isfinite(loss)):
                return loss.detach()
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            return loss.detach()

        losses = self.accumulation.each(batch, work, self._begin)
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _begin(self) -> None:
        """Forget what a first attempt at the batch left behind."""
        self.optimizer.zero_grad(set_to_none=True)
        self.running.restore()

    def _add_up(self, loss: Tensor, graphs: Tensor | int, failed: bool) -> tuple[Tensor, Tensor]:
        """Add gradients, losses and graphs up over the processes; the NaN of a failed one reaches them all.

        Of running statistics the processes get the mean.
        A parameter that takes no part in the loss of any process has no gradient afterwards, as in a single one.
        """
        kind = self.parameters[0].dtype
        takes_part = [p.grad is not None for p in self.parameters]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        values = torch.cat([g.reshape(-1).to(kind) for g in gradients] + [loss.reshape(1).to(kind), loss.new_zeros(1)])
        if failed:
            values.fill_(torch.nan)
        values[-1] = graphs
        running = self.running.values().to(values)
        values = torch.cat([values, torch.tensor(takes_part, dtype=kind).to(values.device), running])
        self.team.add_up(values)
        sizes = [*(p.numel() for p in self.parameters), 1, 1, len(takes_part), len(running)]
        *parts, loss, counted, shares, running = values.split(sizes)
        self.running.set(running / self.team.size)
        if not all(takes_part):  # only then a device has to be waited for
            takes_part = (shares > 0).tolist()
        for parameter, part, takes in zip(self.parameters, parts, takes_part, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype) if takes else None
        return loss.reshape(()), counted.reshape(())

    def _update(self, loss: Tensor) -> Tensor:
        """Step where loss and gradient are finite; return () whether they were."""
        taken = torch.isfinite(loss)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients or (self.waits and not bool(taken)):
            return torch.zeros_like(taken)
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        norm = torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in gradients]))
        if self.scaler is None:
            taken = taken & torch.isfinite(norm)
        if self.waits and not bool(taken):
            return taken
        if self.clip_norm is not None:
            torch._foreach_mul_(gradients, (self.clip_norm / (norm + 1e-6)).clamp(max=1))
        if self.scaler is not None:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            if not self.waits:
                self.optimizer.found_inf = (~taken).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        return taken
