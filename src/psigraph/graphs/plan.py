"""Which graphs stand in which batch of an epoch, for any process of a run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from psigraph.graphs.columns import ranges
from psigraph.graphs.order import EpochOrder

_BLOCK = 256  # graphs that are made into batches at once: their arrays fit in a core's cache


@dataclass(frozen=True)
class Block:
    """Batches of an epoch that are made at once, and the window they lie in; batch numbers.

    A window is read by `readers` processes, each of which makes every `readers`-th block of it.
    """

    epoch: int
    window: range
    batches: range
    reader: int
    readers: int


@dataclass(frozen=True)
class Plan:
    """The batches of n graphs: `batch_size` graphs each over all processes, of which `rank` takes its share.

    Process `rank` of `world_size` takes a contiguous, nearly equal share of every batch, which is empty where a batch
    has fewer graphs than there are processes. The order depends on (seed, epoch) alone; graphs of one number (n,) in
    `side_by_side` stand side by side in it.
    """

    n: int
    batch_size: int
    shuffle: bool
    seed: int
    rank: int
    world_size: int
    window_graphs: int
    side_by_side: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must be at least 0 and below world_size {self.world_size}, got {self.rank}")

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    @property
    def block_batches(self) -> int:
        """The number of batches of a block; the last one of a window may have fewer."""
        return max(_BLOCK // self.batch_size, 1)

    def blocks(self, epoch: int, start: int, readers: int) -> Iterator[Block]:
        """Yield the blocks of an epoch from batch `start` on, dealt out to the readers in turn."""
        turn = self.block_batches * readers
        step = max(self.window_graphs // self.batch_size // turn, 1) * turn
        for first in range(start, len(self), step):
            window = range(first, min(first + step, len(self)))
            for number, batches in enumerate(self._cut(window)):
                yield Block(epoch, window, batches, number % readers, readers)

    def share(self, block: Block) -> list[range]:
        """Return the blocks of a block's window that its reader makes."""
        return self._cut(block.window)[block.reader :: block.readers]

    def _cut(self, window: range) -> list[range]:
        step = self.block_batches
        return [range(first, min(first + step, window.stop)) for first in window[::step]]

    def sizes(self, batches: range) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of graphs of each batch (m,), this process's share and over all processes."""
        starts = np.arange(batches.start, batches.stop) * self.batch_size
        whole = np.minimum(self.batch_size, self.n - starts)
        return whole * (self.rank + 1) // self.world_size - whole * self.rank // self.world_size, whole

    def positions(self, epoch: int, blocks: list[range]) -> np.ndarray:
        """Return where this process's graphs of some batches stand in the dataset, batch by batch (m,)."""
        starts, shares = [], []
        for batches in blocks:
            share, whole = self.sizes(batches)
            first = np.arange(batches.start, batches.stop) * self.batch_size
            starts.append(first + whole * self.rank // self.world_size)
            shares.append(share)
        places = ranges(np.concatenate(starts), np.concatenate(shares))
        if not self.shuffle:
            return places
        order = EpochOrder(self.n, self.seed, epoch)
        return order(places) if self.side_by_side is None else order.together(self.side_by_side)[places]
