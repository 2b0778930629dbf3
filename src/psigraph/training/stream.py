"""A loader as the engine serves it to Lightning: from the middle of an epoch where a run was resumed there."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

#: Stands for a batch of which this process has no share; Lightning would take None for a mistake.
NOTHING = ()


class Stream:
    """The batches of a loader's epoch, from batch `start` on where the epoch is a resumed one.

    A loader with `set_epoch(epoch, start)` starts there itself, any other iterable is skipped ahead. `whole`: batches
    of a whole epoch; the length is what is left of this one.
    """

    def __init__(self, loader: Any) -> None:
        self.loader, self.whole, self.start = loader, len(loader), 0

    def begin_epoch(self, epoch: int) -> None:
        """Say which epoch is served from now on; `start` was set before."""
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(epoch, self.start)

    def end_epoch(self) -> None:
        """Serve the next epoch from its first batch."""
        self.start = 0

    def __len__(self) -> int:
        return self.whole - self.start

    def __iter__(self) -> Iterator[Any]:
        skip = 0 if hasattr(self.loader, "set_epoch") else self.start
        for batch in islice(self.loader, skip, None):
            yield NOTHING if batch is None else batch
