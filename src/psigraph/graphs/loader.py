"""Loaders of batches whose order and augmentation follow the epoch, the same in any number of processes."""

from collections.abc import Iterator
from typing import Any, Generic

import numpy as np
from torch.utils.data import DataLoader, Dataset

from psigraph.graphs.columns import offsets_of
from psigraph.graphs.plan import Block, Plan
from psigraph.graphs.sources import AnyBatch, GraphSource, Window


class _Maker(Dataset, Generic[AnyBatch]):
    """Makes blocks of batches; keeps the window that it read last, for the blocks to come."""

    def __init__(self, source: GraphSource[AnyBatch], plan: Plan) -> None:
        self.source, self.plan = source, plan
        self._key: tuple[int, range, int, int] | None = None
        self._window: Window | None = None
        self._bounds: dict[range, tuple[int, int]] = {}

    def __getitem__(self, block: Block) -> AnyBatch | None:
        """Return all graphs of a block that this process takes, as one batch; None where it takes none."""
        key = (block.epoch, block.window, block.reader, block.readers)
        if key != self._key:
            self._key = self._window = None  # before the next one is read: two would take twice the memory
            self._read(block)
            self._key = key
        assert self._window is not None
        first, last = self._bounds[block.batches]
        return self.source.assemble(self._window, first, last, block.epoch) if last > first else None

    def _read(self, block: Block) -> None:
        blocks = self.plan.share(block)
        ends = offsets_of(np.array([self.plan.sizes(batches)[0].sum() for batches in blocks])).tolist()
        self._bounds = dict(zip(blocks, zip(ends[:-1], ends[1:], strict=True), strict=True))
        self._window = self.source.window(self.plan.positions(block.epoch, blocks))


class GraphLoader(Generic[AnyBatch]):
    """Yields the batches of an epoch; `set_epoch` says which, and from which batch on.

    Every rank yields as many batches; None stands where a rank has no share of a batch. Worker processes make blocks of
    several batches, which are cut here, so few tensors travel.
    """

    def __init__(
        self, source: GraphSource[AnyBatch], plan: Plan, *, num_workers: int, pin_memory: bool, persistent_workers: bool
    ) -> None:
        self.source, self.plan, self.pin_memory, self.num_workers = source, plan, pin_memory, num_workers
        self.epoch = self.start = 0
        self._maker = _Maker(source, plan)
        self._workers: DataLoader | None = None
        if num_workers:
            self._workers = DataLoader(
                self._maker,
                batch_size=None,
                sampler=_Blocks(self),
                num_workers=num_workers,
                pin_memory=pin_memory,
                persistent_workers=persistent_workers,
            )

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Serve this epoch from now on, from batch `start` of it."""
        if not 0 <= start <= len(self):
            raise ValueError(f"an epoch has {len(self)} batches; it cannot start at batch {start}")
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        """The batches of a whole epoch."""
        return len(self.plan)

    def __iter__(self) -> Iterator[AnyBatch | None]:
        made = iter(self._workers) if self._workers else map(self._make, self.blocks())
        for block, graphs in zip(self.blocks(), made, strict=True):
            yield from self._batches(block, graphs)

    def blocks(self) -> Iterator[Block]:
        """Yield what is to be made from here on."""
        return self.plan.blocks(self.epoch, self.start, max(self.num_workers, 1))

    def _make(self, block: Block) -> AnyBatch | None:
        graphs = self._maker[block]
        return graphs.pin_memory() if self.pin_memory and graphs is not None else graphs

    def _batches(self, block: Block, graphs: AnyBatch | None) -> Iterator[AnyBatch | None]:
        sizes, whole = (values.tolist() for values in self.plan.sizes(block.batches))
        if graphs is None:
            return iter([None] * len(sizes))
        graphs.names = self.source.ids_of
        return iter(graphs.parts(sizes, whole))


class _Blocks:
    """The blocks of the epoch that a loader serves, for torch's loader to hand to its workers."""

    def __init__(self, loader: GraphLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Block]:
        return self.loader.blocks()

    def __len__(self) -> int:
        return sum(1 for _ in self.loader.blocks())


def loader_settings(device_type: str) -> dict[str, Any]:
    """Return the loader's workers and pinning for a device: `cpu`, `cuda` or another torch device type.

    On a CPU worker processes slow loading down; beside a GPU two of them make the batches while it computes, and pinned
    memory lets the copies overlap.
    """
    if device_type == "cuda":
        return {"num_workers": 2, "pin_memory": True, "persistent_workers": True}
    return {"num_workers": 0, "pin_memory": False, "persistent_workers": False}


def make_loader(
    dataset: GraphSource[AnyBatch],
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    *,
    device_type: str = "cpu",
    rank: int = 0,
    world_size: int = 1,
    **overrides: Any,
) -> GraphLoader[AnyBatch]:
    """Return a loader of the dataset's batches, in an order that depends on (seed, epoch) alone, else in rising order.

    Samples of one number in `dataset.side_by_side` stand side by side in it.
    `batch_size` counts graphs over all of `world_size` processes; process `rank` gets its share of every batch (see
    `Plan`), and None where that is empty. `overrides` replace some of `loader_settings(device_type)`. Raises ValueError
    for a batch size below 1 or a rank that is not one of the processes.
    """
    plan = Plan(len(dataset), batch_size, shuffle, seed, rank, world_size, dataset.window_graphs, dataset.side_by_side)
    return GraphLoader(dataset, plan, **{**loader_settings(device_type), **overrides})
