"""Rows of shards read in bulk are those of the files, mapped or not, however they are cut into chunks."""

import dataclasses

import h5py
import numpy as np
import pytest
import torch

from psigraph.graphs import reading
from psigraph.graphs.build import build_shard
from psigraph.graphs.columns import layout_of
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.reading import ShardReader
from psigraph.graphs.shards import FORMAT, VERSION, read_shard, read_shards
from psigraph.stores import StoreError, write_store


def compressed(path):
    """Rewrite a shard with its columns in compressed chunks."""
    copy = path.with_suffix(".copy")
    with h5py.File(path) as old, h5py.File(copy, "w") as new:
        new.attrs.update(old.attrs)
        for name, column in old.items():
            storage = {"chunks": True, "compression": "gzip", "shuffle": True} if column.size else {}
            new.create_dataset(name, data=column[...], dtype=column.dtype, **storage).attrs.update(column.attrs)
    copy.replace(path)


@pytest.fixture(params=["mapped", "compressed"])
def shards(request, shard_paths):
    if request.param == "compressed":
        for path in shard_paths:
            compressed(path)
    found = read_shards(shard_paths)
    starts = [shard.places["pos_atoms"].start for shard in found.shards]
    assert all((start is None) == (request.param == "compressed") for start in starts)
    return found


@pytest.mark.parametrize("chunk", [1, 2000, 10**9])
@pytest.mark.parametrize("rows", [[], [0], [7], [3, 4], [0, 2, 5, 6], list(range(8))])
def test_rows_are_those_of_the_file(shards, chunk, rows, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", chunk)
    found = ShardReader(shards, np.float32).read(np.array(rows, dtype=np.int64))
    assert len(found) == len(rows) and found.values["pairs"].shape[1] == 2
    for k, row in enumerate(rows):
        for name, counted in layout_of("delta").batch.items():
            here, there = slice(k, k + 1), slice(row, row + 1)
            if counted:
                here = slice(*found.offsets[counted][k : k + 2])
                there = slice(*shards[counted][row : row + 2])
            expected = shards[name][there]
            expected = expected.astype(np.float32) if expected.dtype.kind == "f" else expected
            np.testing.assert_array_equal(found.values[name][here], expected)


def test_size_in_memory_is_what_the_columns_take(shards):
    reader = ShardReader(shards, np.float32)
    columns = reader.read(np.arange(8))
    arrays = [*columns.offsets.values(), *columns.values.values()]
    assert reader.nbytes == sum(array.nbytes for array in arrays)


def test_batches_of_both_kinds_of_file_are_the_same(shards, shard_paths):
    plain = CachedDimerDataset(shards).batch([5, 0, 7])
    mapped = CachedDimerDataset(shards, memory=0).batch([5, 0, 7])
    assert all(torch.equal(plain[name], mapped[name]) for name in ("pos_atoms", "pairs", "u", "z_atoms", "index"))


def test_graphs_without_atom_features(tmp_path, maker, no_level):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("a", 3), maker.structure("b", 5)])
    path = tmp_path / "s.h5"
    settings = dataclasses.replace(no_level, atom_features=())
    build_shard({"d": store}, {}, path, tmp_path / "s.csv", settings)
    for memory in (0, None):
        batch = CachedDimerDataset([path], memory=memory).batch([1, 0])
        assert batch.atomic_node_attr.shape == (8, 0) and batch.z_atoms_ptr.tolist() == [0, 5, 8]


def test_a_shard_written_again_while_in_use_is_an_error(shard_paths):
    dataset = CachedDimerDataset(shard_paths, memory=0)
    content = shard_paths[1].read_bytes()
    shard_paths[1].unlink()
    shard_paths[1].write_bytes(content)
    with pytest.raises(StoreError, match=rf"{shard_paths[1]}: was written again while it was in use"):
        list(make_loader(dataset, 4))
    shard_paths[1].unlink()
    with pytest.raises(StoreError, match=rf"{shard_paths[1]}: was written again"):
        _ = dataset.ids


def test_equal_ids_in_two_shards_are_found(shard_paths):
    """Shard 1 written again with the content of shard 0."""
    store = read_shard(shard_paths[0])
    rewrite = {"format": FORMAT, "version": VERSION, "columns": store.columns, "attributes": store.attributes}
    write_store(shard_paths[1], settings={**store.settings, "shard": 1}, inputs=store.inputs, **rewrite)
    with pytest.raises(StoreError, match="the id 'd0' occurs more than once in its graphset; rebuild the shards with"):
        read_shards(shard_paths)
