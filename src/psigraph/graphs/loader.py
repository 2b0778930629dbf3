"""Loaders of PyG batches whose order and augmentation follow the epoch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset
from torch_geometric.data import Batch


class EpochSampler(Sampler[int]):
    """Indices 0..n-1, in an order that depends on the seed and the epoch alone, or in rising order.

    `set_epoch`, which Lightning calls before every epoch, is passed on to `dataset`, whose augmentation follows it too.
    """

    def __init__(self, n: int, *, shuffle: bool, seed: int = 0, dataset: Any = None) -> None:
        self.n, self.shuffle, self.seed, self.dataset, self.epoch = n, shuffle, seed, dataset, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(self.n))
        return iter(np.random.default_rng((self.seed, self.epoch)).permutation(self.n).tolist())


class _BatchView(Dataset):
    """Serves whole batches of a dataset, from its `batch` method where it has one, else joined by PyG."""

    def __init__(self, dataset: Any) -> None:
        self.rows = np.arange(len(dataset))
        while isinstance(dataset, Subset):
            self.rows = np.asarray(dataset.indices, dtype=np.int64)[self.rows]
            dataset = dataset.dataset
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[int(self.rows[i])]

    def __getitems__(self, positions: Sequence[int]) -> Any:
        if hasattr(self.dataset, "batch"):
            return self.dataset.batch(self.rows[positions])
        return Batch.from_data_list([self[i] for i in positions], follow_batch=["z_atoms"])


def _as_it_is(batch: Any) -> Any:
    return batch


class DimerLoader(DataLoader):
    """A loader whose order and augmentation follow the epoch; call `set_epoch` before every epoch."""

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)  # type: ignore[attr-defined]


def loader_settings(device_type: str) -> dict[str, Any]:
    """Return the loader's workers and pinning for a device: `cpu`, `cuda` or another torch device type.

    Graphs lie in memory, and on a CPU worker processes slow every format down; beside a GPU two of them make the
    batches while it computes, and pinned memory lets the copies overlap.
    """
    if device_type == "cuda":
        return {"num_workers": 2, "pin_memory": True, "persistent_workers": True}
    return {"num_workers": 0, "pin_memory": False, "persistent_workers": False}


def make_loader(
    dataset: Any,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    *,
    device_type: str = "cpu",
    **overrides: Any,
) -> DimerLoader:
    """Return a loader of PyG batches with `z_atoms_batch`, the graph of every atom.

    The order depends on (seed, epoch) alone; call `set_epoch` before every epoch. `overrides` go to torch's loader in
    place of `loader_settings(device_type)`. Raises ValueError for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    settings = {**loader_settings(device_type), **overrides}
    view = _BatchView(dataset)
    if settings["num_workers"] and hasattr(view.dataset, "share_epoch"):
        view.dataset.share_epoch()
    return DimerLoader(
        view,
        batch_size=batch_size,
        sampler=EpochSampler(len(view), shuffle=shuffle, seed=seed, dataset=view.dataset),
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(seed),
        **settings,
    )
