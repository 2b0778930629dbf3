"""Drift under rotation: of made-up models whose drift is known, and of made-up values by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from psigraph.evaluation.affinity.rotation import SEED, drift_of, rotated_labels
from psigraph.graphs.augment import Augmentation
from psigraph.graphs.complex_dataset import ComplexDataset


class Height(torch.nn.Module):
    """Says how high the first ligand atom of each complex lies, relative to the others' mean; or how far off."""

    def __init__(self, invariant: bool) -> None:
        super().__init__()
        self.invariant = invariant

    def forward(self, batch: Any) -> Any:
        first = batch.pos_atoms[batch.atoms_ptr[:-1]]
        values = first.norm(dim=1) if self.invariant else first[:, 2]
        return SimpleNamespace(labels=values[:, None])


def test_every_orientation_is_the_augmentations(shards: list[Path]) -> None:
    data = ComplexDataset(shards, dtype=torch.float64).select([4, 1, 7])
    found = rotated_labels(Height(invariant=False), data, batch_size=2, rotations=4)
    stored = data.batch(range(3))
    first = stored.pos_atoms[stored.atoms_ptr[:-1]].numpy()
    turn = Augmentation(rotate=True, jitter=0.0, seed=SEED)
    for epoch, values in enumerate(found):
        expected = [matrix @ place for matrix, place in zip(turn.rotations([4, 1, 7], epoch), first, strict=True)]
        np.testing.assert_allclose(values, np.array(expected)[:, 2], rtol=1e-9)
    assert drift_of(found).sd.min() > 0.1


def test_an_invariant_model_does_not_drift(shards: list[Path]) -> None:
    data = ComplexDataset(shards, dtype=torch.float64).select(range(5))
    drift = drift_of(rotated_labels(Height(invariant=True), data, batch_size=2))
    assert drift.sd.max() < 1e-12 and drift.sd_of_mean.max() < 1e-12
    assert drift.mean.min() > 0.1


def test_drift_by_hand() -> None:
    drift = drift_of(np.array([[1.0], [3.0], [2.0], [6.0]]))
    assert drift.mean[0] == 3 and drift.sd[0] == pytest.approx(np.std([1, 3, 2, 6], ddof=1))
    assert drift.sd_of_mean[0] == pytest.approx(abs(2 - 4) / 2)


def test_drift_of_the_mean_is_that_of_independent_rotations() -> None:
    values = np.random.default_rng(0).normal(scale=2.0, size=(8, 20_000))
    drift = drift_of(values)
    assert np.sqrt(np.mean(drift.sd**2)) == pytest.approx(2.0, rel=0.02)
    assert np.sqrt(np.mean(drift.sd_of_mean**2)) == pytest.approx(2.0 / np.sqrt(8), rel=0.02)


def test_without_complexes_there_is_nothing_to_turn(shards: list[Path]) -> None:
    data = ComplexDataset(shards).select([])
    assert rotated_labels(Height(invariant=True), data, batch_size=2).shape == (8, 0)
