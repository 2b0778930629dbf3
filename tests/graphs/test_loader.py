"""Batches are the same whatever the number of processes, the window and where the graphs are."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from psigraph.graphs.data import loader_settings, make_loader
from psigraph.graphs.dataset import CachedDimerDataset


def order(loader):
    return [i for batch in loader for i in batch.index.tolist()]


def tensors(batch):
    return {name: value for name, value in vars(batch).items() if torch.is_tensor(value)}


def assert_same_batches(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.global_size == b.global_size
            for name, value in tensors(b).items():
                assert torch.equal(tensors(a)[name], value), name


@pytest.fixture
def augmented(shard_paths):
    """Many more samples than graphs, so that there are several blocks and windows."""

    def make(**options):
        full = CachedDimerDataset(shard_paths, **options)
        return full.select(np.tile(np.arange(8), 90), rotate=True, jitter=0.1, seed=4)

    return make


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


def test_batches_of_a_loader_know_their_ids(shard_paths):
    dataset = CachedDimerDataset(shard_paths)
    for workers in (0, 1):
        (batch,) = make_loader(dataset.select([6, 1]), 4, num_workers=workers)
        assert batch.graph_id == dataset.ids[[6, 1]].tolist()


def test_batches_are_the_datasets_own(augmented):
    """The slow way: every batch made by itself, from the samples at its places in the order."""
    dataset = augmented()
    loader = make_loader(dataset, 7, shuffle=True, seed=1)
    loader.set_epoch(3)
    dataset.set_epoch(3)
    places = loader.plan.positions(3, [range(len(loader))])
    assert sorted(places.tolist()) == list(range(720)) and len(loader) == 103
    for number, batch in enumerate(loader):
        alone = dataset.batch(places[7 * number : 7 * number + 7])
        assert_same_batches([batch], [alone])
        assert batch.global_size == batch.num_graphs == (7 if number < 102 else 6)


@pytest.mark.parametrize("memory", [0, 2000, 10**9])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_memory_or_workers(augmented, memory, workers):
    dataset = augmented(memory=memory)
    assert dataset.in_memory == (memory == 10**9)
    found = make_loader(dataset, 7, shuffle=True, seed=1, num_workers=workers, persistent_workers=workers > 0)
    expected = make_loader(augmented(), 7, shuffle=True, seed=1)
    for epoch, start in ((0, 0), (1, 0), (1, 60)):
        found.set_epoch(epoch, start)
        expected.set_epoch(epoch, start)
        assert_same_batches(found, expected)


@pytest.mark.parametrize("start", [0, 1, 36, 50, 103])
def test_an_epoch_may_start_in_the_middle(augmented, start):
    loader = make_loader(augmented(), 7, shuffle=True, seed=1)
    loader.set_epoch(2)
    whole = list(loader)
    loader.set_epoch(2, start)
    assert len(loader) == 103
    assert_same_batches(loader, whole[start:])
    loader.set_epoch(2)
    assert_same_batches(loader, whole)


def test_a_start_beyond_the_epoch_is_an_error(shard_paths):
    loader = make_loader(CachedDimerDataset(shard_paths), 3)
    for bad in (-1, 4):
        with pytest.raises(ValueError, match=f"an epoch has 3 batches; it cannot start at batch {bad}"):
            loader.set_epoch(0, bad)


@pytest.mark.parametrize("world_size", [2, 3, 5])
@pytest.mark.parametrize("batch_size", [7, 3])
@pytest.mark.parametrize("memory", [0, None])
def test_ranks_share_every_batch(augmented, world_size, batch_size, memory):
    single = make_loader(augmented(), batch_size, shuffle=True, seed=1)
    options = {"shuffle": True, "seed": 1, "world_size": world_size}
    loaders = [make_loader(augmented(memory=memory), batch_size, rank=r, **options) for r in range(world_size)]
    assert {len(loader) for loader in loaders} == {len(single)}
    for whole, *shares in zip(single, *loaders, strict=True):
        sizes = [0 if share is None else share.num_graphs for share in shares]
        assert sum(sizes) == whole.num_graphs and max(sizes) - min(sizes) <= 1
        assert all(share.global_size == whole.num_graphs for share in shares if share is not None)
        ends = np.cumsum([0, *sizes])
        for share, a, b in zip(shares, ends[:-1], ends[1:], strict=True):
            if share is not None:
                assert_same_batches([share], [whole.part(a, b)])


def test_an_epoch_without_graphs(shard_paths):
    loader = make_loader(CachedDimerDataset(shard_paths, indices=[]), 4, shuffle=True)
    assert len(loader) == 0 and list(loader) == []


def test_worker_processes_that_live_on_see_the_epoch(augmented):
    """The settings for GPUs, without one: every batch equals that of the main process, in both epochs."""
    loader = make_loader(augmented(), 4, shuffle=True, seed=1, device_type="cuda", pin_memory=False)
    here = make_loader(augmented(), 4, shuffle=True, seed=1)
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        here.set_epoch(epoch)
        assert_same_batches(loader, here)


class Fit(pl.LightningModule):
    """Learns one number from the batches that Lightning hands it."""

    def __init__(self):
        super().__init__()
        self.mean, self.seen = torch.nn.Parameter(torch.zeros(())), []

    def training_step(self, batch, number):
        self.seen.append(batch.index.tolist())
        return (batch.y - self.mean).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_trains_on_a_loader(shard_paths):
    loader, model = make_loader(CachedDimerDataset(shard_paths), 3, shuffle=True), Fit()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    pl.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(model, loader)
    assert model.seen == [batch.index.tolist() for batch in loader] and model.mean.item() != 0


def test_loader_settings_by_device():
    assert loader_settings("cpu") == {"num_workers": 0, "pin_memory": False, "persistent_workers": False}
    assert loader_settings("cuda") == {"num_workers": 2, "pin_memory": True, "persistent_workers": True}


def test_what_cannot_be_is_refused(shard_paths):
    dataset = CachedDimerDataset(shard_paths)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        make_loader(dataset, 0)
    with pytest.raises(ValueError, match="rank must be at least 0 and below world_size 2, got 2"):
        make_loader(dataset, 4, rank=2, world_size=2)
