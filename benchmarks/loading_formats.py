"""The same graphs as other projects keep them: PyG's InMemoryDataset, and LMDB with a pickled `Data` for each key."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data, InMemoryDataset

from psigraph.graphs.batch import GraphBatch
from psigraph.graphs.columns import layout_of


class PlainData(Data):
    """A sample whose edges are counted in its atoms, as in `DimerData`."""

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self.num_nodes if key == "edge_index_atoms" else 0

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return 1 if key == "edge_index_atoms" else 0


def samples(batch: GraphBatch) -> list[PlainData]:
    """Return the graphs of a batch as PyG samples with the fields that a batch has, and nothing more."""
    atoms, pairs = batch.z_atoms_ptr.tolist(), batch.pair_ptr.tolist()
    out = []
    for k in range(batch.num_graphs):
        here, found = slice(atoms[k], atoms[k + 1]), batch.pairs[pairs[k] : pairs[k + 1]] - atoms[k]
        fields = {name: batch[name][here].clone() for name in layout_of("delta").counted_by("offsets")}
        fields |= {name: batch[name][k : k + 1].clone() for name in (*layout_of("delta").counted_by(None), "index")}
        edges = torch.cat([found, found.flip(1)]).T.contiguous()
        out.append(PlainData(**fields, edge_index_atoms=edges, num_nodes=atoms[k + 1] - atoms[k]))
    return out


class InMemory(InMemoryDataset):
    """All samples in one collated file, as PyG's own datasets are."""

    def __init__(self, root: Path, data: list[PlainData] | None = None) -> None:
        self._samples = data
        super().__init__(str(root))
        self.load(self.processed_paths[0], data_cls=PlainData)

    @property
    def processed_file_names(self) -> str:
        return "data.pt"

    def process(self) -> None:
        assert self._samples is not None
        self.save(self._samples, self.processed_paths[0])


class Lmdb(torch.utils.data.Dataset):
    """One pickled sample for each key of an LMDB file."""

    def __init__(self, path: Path, data: list[PlainData] | None = None) -> None:
        import lmdb

        if data is not None:
            with lmdb.open(str(path), subdir=False, map_size=2**36) as store, store.begin(write=True) as transaction:
                for i, sample in enumerate(data):
                    transaction.put(str(i).encode(), pickle.dumps(sample, protocol=-1))
        self.store = lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False)
        with self.store.begin() as transaction:
            self.n = transaction.stat()["entries"]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Data:
        with self.store.begin() as transaction:
            return pickle.loads(transaction.get(str(i).encode()))
