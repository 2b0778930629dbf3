"""What the log says about a batch on its way: structures done, known, failed, rate, time left."""

import logging
import time
from dataclasses import dataclass, field

import numpy as np

from psigraph.quantum.model import Result

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Counts of a batch. Structures are reported in the order of `costs`, estimates in any unit."""

    costs: np.ndarray  # (n,)
    clock: float = field(default_factory=time.monotonic)
    computed: int = 0
    known: int = 0
    failures: list[tuple[str, Result]] = field(default_factory=list)
    _spent: float = 0.0  # cost of what was computed

    @property
    def total(self) -> int:
        return len(self.costs)

    @property
    def done(self) -> int:
        return self.computed + self.known

    def report(self, name: str, result: Result, *, known: bool) -> None:
        """Count one structure and log its line."""
        if known:
            self.known += 1
        else:
            self._spent += float(self.costs[self.done])
            self.computed += 1
        if not result.ok:
            self.failures.append((name, result))
        verb = "known" if known else f"computed in {result.wall_time:.1f} s"
        if result.ok:
            log.info("%s: %s; %s", name, verb, self.line())
        else:
            log.warning("%s: %s, failed (%s): %s; %s", name, verb, result.status, result.message, self.line())

    def line(self) -> str:
        """Return done, known, failed, rate and time left, which takes the remaining structures for unknown ones."""
        text = f"done {self.done}/{self.total}, known {self.known}, failed {len(self.failures)}"
        elapsed = time.monotonic() - self.clock  # s
        if self.computed and elapsed and self._spent:
            left = elapsed / self._spent * float(self.costs[self.done :].sum())  # s
            text += f", {60 * self.computed / elapsed:.1f} per minute, about {left / 60:.1f} min left"
        return text
