"""The processes that train one model together: one per GPU, or several on the CPU."""

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import ProcessException, start_processes

log = logging.getLogger(__name__)

#: How long a process that lost another one waits for the end that explains it [s].
_PATIENCE = 60


class TeamError(RuntimeError):
    """A process of the team ended; the message says which and why."""


class _Lost(RuntimeError):
    """The connection to another process is gone."""


@contextlib.contextmanager
def _exchange() -> Iterator[None]:
    """Raise _Lost where an exchange with the other processes fails."""
    try:
        yield
    except RuntimeError as error:
        raise _Lost(str(error)) from error


@dataclass(frozen=True)
class Team:
    """This process's place in the team; alone unless told otherwise. Rank 0 writes the files."""

    rank: int = 0
    size: int = 1

    def add_up(self, values: Tensor) -> None:
        """Replace `values` by their sum over all processes."""
        if self.size > 1:
            with _exchange():
                distributed.all_reduce(values)

    def gather(self, value: Any) -> list[Any]:
        """Return the value of every process, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _exchange():
            distributed.all_gather_object(values, value)
        return values


def run_team(work: Callable[..., Any], size: int, device: str, arguments: Sequence[Any]) -> Any:
    """Call work(team, *arguments) in `size` processes and return what rank 0, this process, returned.

    `work` and `arguments` must be picklable where size > 1. Raises what rank 0 raised, or TeamError where another
    process ended first; no process outlives the call.
    """
    if size == 1:
        return work(Team(), *arguments)
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        others = start_processes(
            _member, (meeting, work, size, device, arguments), size - 1, join=False, start_method="spawn"
        )
        try:
            while not all(_sign(meeting, rank).exists() for rank in range(1, size)):
                others.join(timeout=0.05)  # raises where one ended before it could meet the others
            result = _work(0, meeting, work, size, device, arguments)
            while not others.join():
                pass
            return result
        except (_Lost, ProcessException) as error:
            raise _first_end(others, size, error) from error
        finally:
            for process in others.processes:
                process.kill()
                process.join()


def _member(number: int, *arguments: Any) -> None:
    """The life of every process but the first; torch ends it where the first one is gone."""
    _sign(arguments[0], number + 1).touch()
    try:
        _work(number + 1, *arguments)
    except _Lost:
        time.sleep(2 * _PATIENCE)  # the first process ends this one, and takes no notice of it
        raise


def _sign(meeting: Path, rank: int) -> Path:
    """Return the file that a process leaves where it has come as far as to meet the others."""
    return meeting.with_name(f"rank{rank}")


def _work(rank: int, meeting: Path, work: Callable[..., Any], size: int, device: str, arguments: Sequence[Any]) -> Any:
    if device == "cuda":
        torch.cuda.set_device(rank)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=size)
    try:
        return work(Team(rank, size), *arguments)
    finally:
        distributed.destroy_process_group()


def _first_end(others: Any, size: int, error: Exception) -> TeamError:
    """Return the error that says which process ended first, and why."""
    first = error
    deadline = time.monotonic() + _PATIENCE
    while not isinstance(first, ProcessException) and time.monotonic() < deadline:
        try:
            others.join(timeout=1)
        except ProcessException as ended:
            first = ended
    log.error("%s", first)
    if not isinstance(first, ProcessException):
        return TeamError(f"a process of {size} does not answer: {error}")
    reason = getattr(first, "signal_name", None) or str(first).strip().splitlines()[-1]
    return TeamError(f"process {first.error_index + 2} of {size} ended first: {reason}")
