import copy
import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from psigraph.fields import DATA_FIELDS
from psigraph.graphs.data import directed_edges
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.shards import read_shards
from psigraph.stores import StoreError


def test_sample_has_the_listed_fields(shard_paths):
    dataset = CachedDimerDataset(shard_paths, spherical_harmonics=True)
    for sample in (dataset[i] for i in range(len(dataset))):
        sizes = {"N": sample.num_nodes, "E": sample.edge_index_atoms.shape[1], "K": 3}
        assert set(sample.keys()) == {field.name for field in DATA_FIELDS} | {"num_nodes"}
        for field in DATA_FIELDS:
            shape, dtype = field.data
            if dtype == "text":
                assert isinstance(sample[field.name], str)
                continue
            expected = tuple(
                sizes[part] if part in sizes else int(part) for part in shape.strip("()").split(",") if part
            )
            assert tuple(sample[field.name].shape) == expected, field.name
            assert sample[field.name].dtype == (torch.float32 if dtype == "float" else getattr(torch, dtype)), (
                field.name
            )
    assert "edge_attr_sh" not in CachedDimerDataset(shard_paths)[0]


def test_samples_are_the_rows_of_the_shards(shard_paths):
    shards, dataset = read_shards(shard_paths), CachedDimerDataset(shard_paths, dtype=torch.float64)
    assert len(dataset) == len(shards) == 8
    for i in range(len(dataset)):
        sample, atoms = dataset[i], slice(*shards["offsets"][i : i + 2])
        assert sample.graph_id == shards["ids"][i] and sample.index.tolist() == [i]
        for name in ("z_atoms", "pos_atoms", "atomic_node_attr"):
            np.testing.assert_array_equal(sample[name].numpy(), shards[name][atoms])
        for name in ("field_node_features", "u", "y", "y_true_vref", "R_internal_val"):
            np.testing.assert_array_equal(sample[name][0].numpy(), shards[name][i])
        pairs = shards["pairs"][slice(*shards["pair_offsets"][i : i + 2])].astype(int)
        both = np.concatenate([pairs, pairs[:, ::-1]]).T
        np.testing.assert_array_equal(sample.edge_index_atoms.numpy(), both)


def test_directed_edges_of_no_pair():
    assert directed_edges(np.zeros((0, 2), dtype=np.uint16)).shape == (2, 0)


def test_dtype_follows_the_default_or_the_argument(shard_paths):
    assert CachedDimerDataset(shard_paths)[0].pos_atoms.dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        dataset = CachedDimerDataset(shard_paths)
    finally:
        torch.set_default_dtype(torch.float32)
    assert dataset[0].pos_atoms.dtype == torch.float64
    with pytest.raises(ValueError, match="float32 or float64, not torch.bfloat16"):
        CachedDimerDataset(shard_paths, dtype=torch.bfloat16)


def test_changing_a_sample_does_not_change_the_dataset(shard_paths):
    dataset = CachedDimerDataset(shard_paths, dtype=torch.float64)
    before = copy.deepcopy(dataset[2])
    changed = dataset[2]
    for name in ("pos_atoms", "u", "field_node_features", "edge_attr_atoms", "y"):
        changed[name].mul_(3).add_(1)
    assert all(torch.equal(dataset[2][n], before[n]) for n in ("pos_atoms", "u", "edge_attr_atoms", "y"))


def test_indices_and_selection(shard_paths):
    full = CachedDimerDataset(shard_paths)
    part = full.select([5, 2], rotate=True, seed=3)
    again = CachedDimerDataset(shard_paths, indices=[5, 2], rotate=True, seed=3)
    assert part.ids.tolist() == again.ids.tolist() == [full.ids[5], full.ids[2]]
    assert part.u.tolist() == full.u[[5, 2]].tolist() and part.groups.tolist() == full.groups[[5, 2]].tolist()
    assert torch.equal(part[0].pos_atoms, again[0].pos_atoms) and part[0].index.item() == 5
    assert len(full) == 8 and full.augmentation.active is False
    part.set_epoch(9)
    assert full.epoch == 0
    for bad in ([8], [-1]):
        with pytest.raises(IndexError, match=f"index {bad[0]}: the graphset has graphs 0 to 7"):
            full.select(bad)


def test_settings_are_checked_and_exposed(shard_paths, hf_settings):
    dataset = CachedDimerDataset(shard_paths, expected=hf_settings.identity())
    assert (dataset.cutoff, dataset.length_scale, dataset.unit) == (6.0, 0.1, "kcal/mol")
    assert dataset.settings == hf_settings.identity() and dataset.level_name == "hf-def2svp"
    assert dataset.digest == read_shards(shard_paths[::-1]).digest
    with pytest.raises(StoreError, match="was built with cutoff 6.0 Å, but this run asks for 12.0 Å"):
        CachedDimerDataset(shard_paths, expected={"cutoff": 12.0})


def test_a_sample_beyond_the_end_is_an_error(shard_paths):
    dataset = CachedDimerDataset(shard_paths)
    for bad in (8, -1):
        with pytest.raises(IndexError, match=f"sample {bad}: the dataset has samples 0 to 7"):
            dataset[bad]
    assert len(list(dataset)) == 8


def test_batch_has_the_graphs_of_the_shards(shard_paths):
    shards, dataset = read_shards(shard_paths), CachedDimerDataset(shard_paths, dtype=torch.float64)
    chosen = [4, 0, 7, 4]
    batch = dataset.batch(chosen)
    assert batch.num_graphs == batch.global_size == 4 and batch.index.tolist() == chosen
    assert batch.graph_id == [shards["ids"][i] for i in chosen]
    sizes = np.diff(shards["offsets"])[chosen]
    assert batch.z_atoms_ptr.tolist() == np.cumsum([0, *sizes]).tolist()
    assert batch.z_atoms_batch.tolist() == np.repeat(range(4), sizes).tolist()
    for name in ("z_atoms", "pos_atoms", "atomic_node_attr"):
        rows = [shards[name][slice(*shards["offsets"][i : i + 2])] for i in chosen]
        np.testing.assert_array_equal(batch[name].numpy(), np.concatenate(rows))
    for name in ("field_node_features", "u", "y", "y_true_vref", "R_internal_val"):
        np.testing.assert_array_equal(batch[name].numpy(), shards[name][chosen])
    for k, i in enumerate(chosen):
        pairs = shards["pairs"][slice(*shards["pair_offsets"][i : i + 2])].astype(int)
        found = batch.pairs[batch.pair_ptr[k] : batch.pair_ptr[k + 1]].numpy()
        np.testing.assert_array_equal(found - batch.z_atoms_ptr[k].item(), pairs)


def assert_same(a, b):
    for name in vars(a):
        if torch.is_tensor(a[name]):
            assert a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]), name
    assert a.graph_id == b.graph_id


@pytest.mark.parametrize("first, last", [(0, 8), (2, 5), (7, 8), (3, 3)])
def test_a_part_of_a_batch_is_the_batch_of_its_graphs(shard_paths, first, last):
    dataset, chosen = CachedDimerDataset(shard_paths, rotate=True, jitter=0.2), [5, 1, 0, 7, 6, 2, 4, 3]
    part = dataset.batch(chosen).part(first, last)
    assert part.global_size == 8 and part.num_graphs == last - first
    assert_same(part, dataset.batch(chosen[first:last]))


def test_parts_are_its_parts(shard_paths):
    batch = CachedDimerDataset(shard_paths).batch(range(8))
    found = batch.parts([3, 1, 4], [3, 2, 9])
    assert [part.global_size for part in found] == [3, 2, 9]
    for part, (first, last) in zip(found, ((0, 3), (3, 4), (4, 8)), strict=True):
        assert_same(part, batch.part(first, last))


def test_a_batch_moves_and_travels(shard_paths):
    batch = CachedDimerDataset(shard_paths).batch([3, 1])
    assert_same(batch.to("cpu"), batch)
    assert batch.to("meta").pos_atoms.device.type == "meta" and batch.to("meta").global_size == 2
    assert "pairs" in batch and "edge_attr_sh" not in batch
    other = pickle.loads(pickle.dumps(batch))  # to another process: without the way to the files
    assert torch.equal(other.pairs, batch.pairs) and other.graph_id == ["row 3", "row 1"]


@pytest.mark.parametrize("options", [{}, {"spherical_harmonics": True, "rotate": True, "jitter": 0.3}])
@pytest.mark.parametrize("positions", [[4, 0, 7, 1], [2], list(range(8))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pyg_view_equals_pyg_collation_of_the_samples(shard_paths, options, positions, dtype):
    dataset = CachedDimerDataset(shard_paths, dtype=dtype, **options)
    fast = dataset.batch(positions).to_pyg("spherical_harmonics" in options)
    slow = Batch.from_data_list([dataset[i] for i in positions], follow_batch=["z_atoms"])
    assert type(fast) is type(slow) and set(fast.keys()) == set(slow.keys())
    for name in sorted(slow.keys()):
        if torch.is_tensor(slow[name]):
            assert fast[name].dtype == slow[name].dtype and torch.equal(fast[name], slow[name]), name
        else:
            assert fast[name] == slow[name], name
    assert fast.num_graphs == slow.num_graphs and fast.num_edges == slow.num_edges
    for a, b in zip(fast.to_data_list(), slow.to_data_list(), strict=True):
        assert set(a.keys()) == set(b.keys()) and a.num_nodes == b.num_nodes and a.graph_id == b.graph_id
        assert all(torch.equal(a[name], b[name]) for name in sorted(b.keys()) if torch.is_tensor(b[name]))


def test_directed_edges_of_a_batch_are_those_of_the_pyg_view(shard_paths):
    batch = CachedDimerDataset(shard_paths).batch([1, 0, 6])
    slow = Batch.from_data_list([CachedDimerDataset(shard_paths)[i] for i in (1, 0, 6)], follow_batch=["z_atoms"])
    assert torch.equal(batch.edge_index_atoms, slow.edge_index_atoms)


def test_normalisation_arrays_are_the_samples_as_stored(shard_paths):
    full = CachedDimerDataset(shard_paths)
    for dataset in (full.select([6, 1, 3], rotate=True, jitter=0.3), full.select([])):
        found = dataset.normalisation_arrays()
        samples = [full[int(i)] for i in dataset.indices]
        assert set(found) == {"u", "y", "atomic_node_attr", "field_node_features", "z_atoms"}
        for name, values in found.items():
            expected = torch.cat([sample[name] for sample in samples]) if samples else full[0][name][:0]
            assert values.dtype == expected.dtype and torch.equal(values, expected), name


def test_numbers_by_sample_come_from_the_shards_in_full_precision(shard_paths):
    shards, dataset = read_shards(shard_paths), CachedDimerDataset(shard_paths, indices=[3, 0])
    for name in ("u", "y", "y_true_vref"):
        np.testing.assert_array_equal(getattr(dataset, name), shards[name][[3, 0]])
    assert dataset.n_atoms.tolist() == np.diff(shards["offsets"])[[3, 0]].tolist()
    for name, column in (("ids", "ids"), ("groups", "group"), ("systems", "system"), ("sources", "source")):
        assert getattr(dataset, name).tolist() == shards[column][[3, 0]].tolist()
    assert dataset.charges.tolist() == shards["charge"][[3, 0]].tolist()
    assert dataset.theta_defined.tolist() == shards["theta_defined"][[3, 0]].tolist()


def test_dataset_survives_pickling(shard_paths):
    dataset = CachedDimerDataset(shard_paths, rotate=True)
    dataset.set_epoch(2)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.epoch == 2 and torch.equal(again[1].pos_atoms, dataset[1].pos_atoms)
