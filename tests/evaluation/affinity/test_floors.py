"""Floors of affinities: what they count, against slow loops, and that no test label reaches them."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import RandomForestRegressor

from psigraph.evaluation.affinity import floors
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.shards import ShardSet, read_shards


@pytest.fixture(scope="module")
def shard_set(shards: list[Path]) -> ShardSet:
    return read_shards(shards)


def test_contacts_are_counted_pair_by_pair(shard_set: ShardSet) -> None:
    used = np.array([3, 0, 17])
    found = floors.contact_counts(shard_set, used)
    data = ComplexDataset(shard_set)
    for row, counts in zip(used, found, strict=True):
        batch = data.batch([int(row)])
        seen: Counter = Counter()
        for z, at in zip(batch.z_atoms.tolist(), batch.pos_atoms.double().numpy(), strict=True):
            for other, place in zip(batch.site_z.tolist(), batch.site_pos.double().numpy(), strict=True):
                if np.linalg.norm(at - place) <= 12.0:
                    seen[z, other] += 1
        expected = [seen[z, other] for z in floors.LIGAND_ELEMENTS for other in floors.PROTEIN_ELEMENTS]
        np.testing.assert_array_equal(counts, expected)
    assert found.sum() > 1000


def test_fragments_are_those_of_each_ligand(caplog: pytest.LogCaptureFixture) -> None:
    smiles = ["CCO", "c1ccncc1", "CCO", "not a ligand"]
    with caplog.at_level(logging.WARNING):
        found = floors.fragment_counts(smiles)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=256)
    for row in (0, 1, 2):
        expected = generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(smiles[row]))
        np.testing.assert_array_equal(found[row], expected)
    assert found[3].sum() == 0 and "'not a ligand'" in caplog.text


def test_pockets_are_counted_complex_by_complex(shard_set: ShardSet) -> None:
    found, data = floors.pocket_counts(shard_set), ComplexDataset(shard_set)
    residues = np.split(shard_set["site_residue"], shard_set["site_offsets"][1:-1])
    for row in (0, 11):
        batch = data.batch([row])
        inside = batch.in_pocket.numpy()
        z, features = batch.site_z.numpy()[inside], batch.site_features.double().numpy()[inside]
        counts = [(z == element).sum() for element in floors.PROTEIN_ELEMENTS]
        others = (~np.isin(z, floors.PROTEIN_ELEMENTS)).sum()
        expected = [*counts, others, *features.sum(0), len(set(residues[row][inside]))]
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)
        assert inside.sum() > 0


def test_means_by_group() -> None:
    x = np.array([[1.0, 2], [3, 4], [5, 9]])
    np.testing.assert_array_equal(floors.means_by_group(x, np.array(["a", "b", "a"])), [[3, 5.5], [3, 4], [3, 5.5]])


def test_a_forest_is_scikit_learns_with_its_defaults() -> None:
    rng = np.random.default_rng(1)
    x, y, train = rng.normal(size=(30, 4)), rng.normal(size=30), np.arange(30) < 20
    expected = RandomForestRegressor(n_estimators=500, random_state=7).fit(x[:20], y[:20]).predict(x)
    np.testing.assert_array_equal(floors.forest(x, y, train, seed=7), expected)


def test_no_floor_sees_a_test_label(shard_set: ShardSet) -> None:
    used = np.arange(len(shard_set))
    y, train = shard_set["y"][:, 0], shard_set["group"] < "protein3"
    assert 0 < train.sum() < len(train)
    found = floors.floor_predictions(shard_set, used, y, train, seed=0)
    shuffled = y.copy()
    shuffled[~train] = np.random.default_rng(2).permutation(y[~train]) + 5
    again = floors.floor_predictions(shard_set, used, shuffled, train, seed=0)
    for name, values in found.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
        assert np.isfinite(values).all()
    assert found["floor:mean"][0] == pytest.approx(y[train].mean())


def test_the_protein_alone_says_the_same_of_all_ligands_of_a_target(shard_set: ShardSet) -> None:
    y, train = shard_set["y"][:, 0], np.arange(len(shard_set)) % 3 > 0
    found = floors.floor_predictions(shard_set, np.arange(len(y)), y, train, seed=0)
    groups = shard_set["group"]
    for name in np.unique(groups):
        own = found["floor:protein"][groups == name]
        assert np.ptp(own) == 0 and own[0] == pytest.approx(y[(groups == name) & train].mean(), abs=0.5)
    assert np.ptp(found["floor:ligand"]) > 0 and np.ptp(found["floor:forest"]) > 0


def test_a_small_protein_radius_is_said(shard_set: ShardSet, caplog: pytest.LogCaptureFixture) -> None:
    small = replace(shard_set, settings={**shard_set.settings, "protein_radius": 8.0})
    used = np.arange(6)
    with caplog.at_level(logging.WARNING):
        floors.floor_predictions(small, used, np.arange(6.0), used < 4, seed=0)
    assert "within 8 Å, the shards' protein_radius, instead of 12 Å" in caplog.text
