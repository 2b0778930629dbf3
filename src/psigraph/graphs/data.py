"""PyG samples of dimers and the loaders that batch them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from psigraph.fields import EDGE_IRREPS

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
#: Sign of each of the 16 harmonics when an edge is reversed: -1 for odd l.
_REVERSED = torch.tensor([1.0] + [-1.0] * 3 + [1.0] * 5 + [-1.0] * 7)


class DimerData(Data):
    """One dimer, with the fields of `psigraph.fields`; `index` and `graph_id` say which one it is."""

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key == "edge_index_atoms":
            return self.num_nodes
        return 0

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return 1 if key == "edge_index_atoms" else 0


def numpy_dtype(dtype: torch.dtype | None) -> Any:
    """Return the NumPy type of a torch type (None: torch's default). Raises ValueError but for float32 and float64."""
    dtype = dtype or torch.get_default_dtype()
    if dtype not in _NUMPY:
        raise ValueError(f"samples come as float32 or float64, not {dtype}; lower precision is the training's business")
    return _NUMPY[dtype]


def dimer_data(
    *,
    z_atoms: np.ndarray,
    pos_atoms: np.ndarray,
    atomic_node_attr: np.ndarray,
    field_node_features: np.ndarray,
    u: np.ndarray,
    y: float,
    y_true_vref: float,
    R_internal_val: float,
    pairs: np.ndarray,
    distances: np.ndarray,
    index: int,
    graph_id: str,
    dtype: torch.dtype,
    spherical_harmonics: bool = False,
) -> DimerData:
    """Return the PyG sample of one dimer from its arrays (`psigraph.fields`); every tensor is a copy in `dtype`.

    pairs (P, 2) become 2P directed edges: i -> j for all pairs, then j -> i for all pairs. distances is (P,).
    """
    scalars = torch.tensor([[y], [y_true_vref], [R_internal_val]], dtype=dtype)
    edges = directed_edges(pairs)
    lengths = torch.tensor(distances, dtype=dtype)
    optional = {}
    if spherical_harmonics:
        optional["edge_attr_sh"] = edge_harmonics(pos_atoms, pairs).to(dtype)
    return DimerData(
        z_atoms=torch.tensor(z_atoms, dtype=torch.int64),
        pos_atoms=torch.tensor(pos_atoms, dtype=dtype),
        atomic_node_attr=torch.tensor(atomic_node_attr, dtype=dtype),
        field_node_features=torch.tensor(field_node_features, dtype=dtype).view(1, 8),
        u=torch.tensor(u, dtype=dtype).view(1, 4),
        y=scalars[0],
        y_true_vref=scalars[1],
        R_internal_val=scalars[2],
        edge_index_atoms=torch.from_numpy(edges),
        edge_attr_atoms=torch.cat([lengths, lengths]).view(-1, 1),
        num_nodes=len(z_atoms),
        graph_id=graph_id,
        index=torch.tensor([index]),
        **optional,
    )


def directed_edges(pairs: np.ndarray) -> np.ndarray:
    """Return the directed edges (2, 2P) int64 of undirected pairs (P, 2): all i -> j, then all j -> i."""
    n = len(pairs)
    edges = np.empty((2, 2 * n), dtype=np.int64)
    edges[:, :n] = pairs.T
    edges[:, n:] = edges[::-1, :n]
    return edges


def edge_harmonics(positions: np.ndarray, pairs: np.ndarray) -> torch.Tensor:
    """Return the spherical harmonics (2P, 16) float64 of the directed edges' vectors pos[dst] - pos[src]."""
    from e3nn import o3

    vectors = torch.from_numpy(np.asarray(positions[pairs[:, 1]] - positions[pairs[:, 0]], dtype=np.float64))  # (P, 3)
    forward = o3.spherical_harmonics(o3.Irreps(EDGE_IRREPS), vectors, normalize=True, normalization="component")
    return torch.cat([forward, forward * _REVERSED.to(forward.dtype)])


class EpochSampler(Sampler[int]):
    """Indices 0..n-1, in an order that depends on the seed and the epoch alone, or in rising order."""

    def __init__(self, n: int, *, shuffle: bool, seed: int = 0) -> None:
        self.n, self.shuffle, self.seed, self.epoch = n, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(self.n))
        return iter(np.random.default_rng((self.seed, self.epoch)).permutation(self.n).tolist())


class DimerLoader(DataLoader):
    """A PyG loader whose order and augmentation follow the epoch; call `set_epoch` before every epoch."""

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)


def loader_settings(device_type: str) -> dict[str, Any]:
    """Return the loader's workers and pinning for a device: `cpu`, `cuda` or another torch device type.

    Graphs lie in memory, and on a CPU worker processes slow every format down; beside a GPU two of them make the
    batches while it computes, and pinned memory lets the copies overlap.
    """
    if device_type == "cuda":
        return {"num_workers": 2, "pin_memory": True, "persistent_workers": True}
    return {"num_workers": 0, "pin_memory": False, "persistent_workers": False}


def make_loader(
    dataset: Any, batch_size: int, shuffle: bool = False, seed: int = 0, *, device_type: str = "cpu"
) -> DimerLoader:
    """Return a loader of PyG batches with `z_atoms_batch`, the graph of every atom.

    The order depends on (seed, epoch) alone. Lightning calls `set_epoch` on the sampler only; call it on the loader,
    which passes it on to the dataset.
    Raises ValueError for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    settings = loader_settings(device_type)
    if settings["num_workers"] and hasattr(dataset, "share_epoch"):
        dataset.share_epoch()
    return DimerLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), shuffle=shuffle, seed=seed),
        follow_batch=["z_atoms"],
        generator=torch.Generator().manual_seed(seed),
        **settings,
    )
