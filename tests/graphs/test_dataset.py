import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import Subset
from torch_geometric.data import Batch

from psigraph.fields import DATA_FIELDS
from psigraph.graphs.data import directed_edges, loader_settings, make_loader
from psigraph.graphs.dataset import CachedDimerDataset, _all_distances
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


def test_distances_do_not_depend_on_the_blocks_they_are_made_in(shard_paths):
    shards = read_shards(shard_paths)
    whole = _all_distances(shards, np.float64)
    assert len(whole) == len(shards["pairs"])
    for block in (1, 3, 8):
        np.testing.assert_array_equal(_all_distances(shards, np.float64, block), whole)


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


def test_batch_equals_its_samples(shard_paths):
    dataset = CachedDimerDataset(shard_paths, spherical_harmonics=True)
    (batch,) = make_loader(dataset, batch_size=8)
    samples = [dataset[i] for i in range(8)]
    sizes = [s.num_nodes for s in samples]
    assert batch.num_graphs == 8 and batch.num_nodes == sum(sizes)
    assert batch.z_atoms_batch.tolist() == np.repeat(np.arange(8), sizes).tolist()
    assert batch.field_node_features.shape == (8, 8) and batch.u.shape == (8, 4) and batch.y.shape == (8,)
    assert batch.index.tolist() == list(range(8)) and batch.graph_id == dataset.ids.tolist()
    starts = np.cumsum([0, *sizes])
    edges = torch.cat([s.edge_index_atoms + int(starts[i]) for i, s in enumerate(samples)], dim=1)
    assert torch.equal(batch.edge_index_atoms, edges)
    difference = batch.pos_atoms[batch.edge_index_atoms[1]] - batch.pos_atoms[batch.edge_index_atoms[0]]
    torch.testing.assert_close(difference.norm(dim=1, keepdim=True), batch.edge_attr_atoms)
    for sample, back in zip(samples, batch.to_data_list(), strict=True):
        assert torch.equal(sample.edge_index_atoms, back.edge_index_atoms) and sample.graph_id == back.graph_id


@pytest.mark.parametrize("options", [{}, {"spherical_harmonics": True, "rotate": True, "jitter": 0.3}])
@pytest.mark.parametrize("positions", [[4, 0, 7, 1], [2], list(range(8))])
def test_fast_batch_equals_pyg_collation(shard_paths, options, positions):
    dataset = CachedDimerDataset(shard_paths, **options)
    fast = dataset.batch(positions)
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


def test_loader_joins_samples_of_any_dataset(shard_paths):
    dataset = CachedDimerDataset(shard_paths)
    (batch,) = make_loader([dataset[i] for i in range(3)], 3)
    assert batch.index.tolist() == [0, 1, 2] and batch.z_atoms_batch.max() == 2


def order(loader):
    return [i for batch in loader for i in batch.index.tolist()]


def test_order_follows_seed_and_epoch_alone(shard_paths):
    dataset = CachedDimerDataset(shard_paths)
    loader = make_loader(dataset, 3, shuffle=True, seed=1)
    first = order(loader)
    torch.manual_seed(123)
    assert order(loader) == first and sorted(first) == list(range(8))
    assert order(make_loader(dataset, 3, shuffle=True, seed=2)) != first
    loader.set_epoch(5)
    later = order(loader)
    fresh = make_loader(dataset, 3, shuffle=True, seed=1)
    fresh.set_epoch(5)
    assert later != first and order(fresh) == later
    assert order(make_loader(dataset, 3)) == list(range(8))


def test_loader_tells_the_dataset_the_epoch(shard_paths):
    dataset = CachedDimerDataset(shard_paths, rotate=True)
    loader = make_loader(dataset, 8)
    (first,) = loader
    loader.set_epoch(1)
    (second,) = loader
    assert dataset.epoch == 1 and not torch.equal(first.pos_atoms, second.pos_atoms)
    make_loader(Subset(dataset, [0, 1]), 2).set_epoch(4)
    assert dataset.epoch == 4
    loader.sampler.set_epoch(6)  # what Lightning calls
    assert dataset.epoch == 6


def test_worker_processes_that_live_on_see_the_epoch(shard_paths):
    """The settings for GPUs, without one: every sample equals that of the main process, in both epochs."""
    dataset = CachedDimerDataset(shard_paths, rotate=True, jitter=0.1, seed=4)
    plain = CachedDimerDataset(shard_paths, rotate=True, jitter=0.1, seed=4)
    loader = make_loader(dataset, 4, shuffle=True, seed=1, device_type="cuda", pin_memory=False)
    here = make_loader(plain, 4, shuffle=True, seed=1)
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        here.set_epoch(epoch)
        for a, b in zip(loader, here, strict=True):
            assert torch.equal(a.pos_atoms, b.pos_atoms) and a.index.tolist() == b.index.tolist()


def test_loader_settings_by_device():
    assert loader_settings("cpu") == {"num_workers": 0, "pin_memory": False, "persistent_workers": False}
    assert loader_settings("cuda") == {"num_workers": 2, "pin_memory": True, "persistent_workers": True}


def test_loader_takes_a_subset_and_refuses_an_empty_batch(shard_paths):
    dataset = CachedDimerDataset(shard_paths)
    assert order(make_loader(Subset(dataset, [4, 1, 6]), 2)) == [4, 1, 6]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        make_loader(dataset, 0)


def test_dataset_survives_pickling(shard_paths):
    dataset = CachedDimerDataset(shard_paths, rotate=True)
    dataset.set_epoch(2)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.epoch == 2 and torch.equal(again[1].pos_atoms, dataset[1].pos_atoms)
