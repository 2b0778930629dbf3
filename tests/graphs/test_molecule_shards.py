"""From structure stores and files of features to shards of molecules, and back as batches."""

import hashlib
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from molecule_maker import (
    LABELS,
    LEVEL,
    SMILES,
    descriptors_file,
    molecule,
    quantum_file,
    random_molecule,
    structures_file,
)

from psigraph.fields import MOLECULE_FIELDS
from psigraph.graphs.build import build_shard
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.molecule_dataset import MoleculeDataset
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import descriptor_values, molecule_batch
from psigraph.graphs.shards import check_shards, read_shard, read_shards
from psigraph.stores import StoreError
from psigraph.structures.model import Label

SETTINGS = MoleculeSettings(cutoff=4.0, region_cutoff=6.0)


@pytest.fixture(scope="module")
def structures():
    rng = np.random.default_rng(3)
    return [molecule(smiles, labels=[k - 40.0, k if k % 2 else np.nan]) for k, smiles in enumerate(SMILES)] + [
        replace(random_molecule(rng, 30), id="crowd", labels=np.array([1.0, 2.0]), group="crowd")
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, structures):
    """A structure store with its descriptors, and two shards made of them."""
    path = tmp_path_factory.mktemp("molecules")
    structures_file(path / "d.h5", structures)
    descriptors_file(path / "descriptors.h5", path / "d.h5")
    build(path, path)
    return path


def build(folder, output, settings=SETTINGS, shards=2, descriptors="descriptors.h5", quantum=()):
    """Build all shards from the files of `folder`; return their paths."""
    paths = [output / f"{k}.h5" for k in range(shards)]
    for k, path in enumerate(paths):
        build_shard(
            {"d": folder / "d.h5"},
            {"d": quantum},
            path,
            path.with_suffix(".csv"),
            settings,
            descriptors={"d": [folder / descriptors]} if descriptors else {},
            shard=k,
            shards=shards,
        )
    return paths


def shard_paths(folder):
    return [folder / f"{k}.h5" for k in range(2)]


def test_a_shard_says_what_it_is(folder):
    shard = read_shard(folder / "0.h5")
    assert set(shard.columns) == {field.name for field in MOLECULE_FIELDS}
    for field in MOLECULE_FIELDS:
        assert shard.columns[field.name].unit == field.unit
    assert shard.settings["labels"] == [["u0", "eV", True, False], ["gap", "eV", False, False]]
    assert shard.attributes["region_cutoff"] == 6.0 and shard.attributes["family"] == "regional"
    assert "ring_size (2) [1]" in shard.attributes["atom_features"]
    assert shard["n_heavy"].tolist() == [6, 9, 5, 4] and shard["charge"].tolist() == [0, 0, 0, -1]
    assert shard["pairs"].dtype == np.uint8 and shard["y"].shape == (4, 2)


def test_bytes_are_equal_when_built_again(folder, tmp_path):
    for first, second in zip(shard_paths(folder), build(folder, tmp_path), strict=True):
        assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()


@pytest.mark.parametrize("memory", [None, 0])
def test_batches_are_those_made_in_memory(folder, structures, memory):
    data = MoleculeDataset(shard_paths(folder), dtype=torch.float64, memory=memory, expected=SETTINGS.identity())
    assert data.in_memory == (memory is None) and len(data) == 8
    values = descriptor_values(structures)
    rows = [5, 0, 7, 2]
    found = data.batch(rows)
    for place, row in enumerate(rows):
        item = structures[row]
        own = molecule_batch([item], SETTINGS, values=descriptor_values([item]), dtype=torch.float64)
        part = found.part(place, place + 1)
        for name, tensor in vars(own).items():
            if torch.is_tensor(tensor) and name != "index":
                stored = part[name].float() if tensor.is_floating_point() else part[name]
                expected = tensor.float() if tensor.is_floating_point() else tensor  # features are stored as float32
                assert torch.equal(stored.nan_to_num(), expected.nan_to_num()), name
    assert found.index.tolist() == rows and found.graph_id == [structures[row].id for row in rows]
    assert values["cip_label"].any()


def test_parts_are_batches(folder):
    data = MoleculeDataset(shard_paths(folder))
    whole = data.batch(range(8))
    for size, part in zip([3, 0, 5], whole.parts([3, 0, 5], [3, 3, 5]), strict=True):
        if size == 0:
            assert part is None
            continue
        first = int(part.index[0])
        expected = data.batch(range(first, first + size))
        for name, tensor in vars(expected).items():
            if torch.is_tensor(tensor):
                torch.testing.assert_close(part[name], tensor, rtol=0, atol=0, equal_nan=True)
    assert whole.to("cpu").num_graphs == 8 and whole.part(2, 4).global_size == 8


def test_loaders_yield_every_molecule_once_in_the_order_of_the_epoch(folder):
    data = MoleculeDataset(shard_paths(folder)).select([0, 1, 2, 4, 5, 7])
    loader = make_loader(data, 4, shuffle=True, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        loader.set_epoch(epoch)
        batches = list(loader)
        assert [batch.num_graphs for batch in batches] == [4, 2]
        orders.append([row for batch in batches for row in batch.index.tolist()])
        assert sorted(orders[-1]) == [0, 1, 2, 4, 5, 7]
    assert orders[0] == orders[2] != orders[1]
    from_disk = MoleculeDataset(shard_paths(folder), memory=0).select(data.indices)
    other = make_loader(from_disk, 4, shuffle=True, seed=1, num_workers=2)
    assert [row for batch in other for row in batch.index.tolist()] == orders[0]


def test_what_a_dataset_says_of_its_samples(folder, structures):
    data = MoleculeDataset(shard_paths(folder)).select([7, 0])
    assert data.ids.tolist() == ["crowd", SMILES[0]] and data.groups.tolist() == ["crowd", SMILES[0]]
    assert data.n_atoms.tolist() == [30, 13] and data.n_heavy[1] == 6 and data.charges.tolist() == [0, 0]
    np.testing.assert_array_equal(data.y, [[1, 2], [-40, np.nan]])
    assert data.labels == LABELS


def test_targets_pick_columns_of_y(folder):
    data = MoleculeDataset(shard_paths(folder), targets=["gap", "u0"])
    assert data.batch([7]).y.tolist() == [[2.0, 1.0]] and data.y[7].tolist() == [2.0, 1.0]
    assert [target.name for target in data.inputs().targets] == ["gap", "u0"]
    other = data.with_targets(["u0"])
    assert other.batch([7]).y.tolist() == [[1.0]] and other.inputs().targets[0].extensive
    assert [target.name for target in data.inputs(["u0"]).targets] == ["u0"]
    assert data.inputs(None).cutoff == 4.0
    with pytest.raises(ValueError, match="no label 'homo'; the graphset has u0, gap"):
        data.with_targets(["homo"])
    with pytest.raises(ValueError, match="targets name a label twice"):
        data.with_targets(["gap", "gap"])


@pytest.mark.parametrize("change", [{"cutoff": 5.0}, {"region_cutoff": 7.0}, {"regions": "patches"}])
def test_shards_of_other_settings_are_refused(folder, change):
    (name, value), other = *change.items(), replace(SETTINGS, **change)
    with pytest.raises(StoreError, match=f"was built with {name} .*, but this run asks for {value}"):
        check_shards(shard_paths(folder), other.identity())
    MoleculeDataset(shard_paths(folder), expected=SETTINGS.identity())


def test_a_dataset_of_the_other_family_is_refused(folder):
    with pytest.raises(StoreError, match="holds graphs of family 'regional', expected 'delta'"):
        CachedDimerDataset(shard_paths(folder))


def test_missing_descriptors_are_an_error(folder, tmp_path):
    with pytest.raises(StoreError, match="dataset d: no descriptors files were given; make them with: snakemake"):
        build(folder, tmp_path, descriptors=None)
    assert not list(tmp_path.iterdir())


def test_molecules_that_psi4_failed_on_are_kept_without_its_features(folder, tmp_path, caplog):
    settings = replace(
        SETTINGS, level=LEVEL, level_name="hf", atom_features=None, bond_features=None, region_features=None,
        molecule_features=None,
    )  # fmt: skip
    psi4 = quantum_file(tmp_path / "q.h5", folder / "d.h5", settings.needed("psi4"), failures=(2,))
    with caplog.at_level(logging.WARNING):
        build(folder, tmp_path, settings, shards=1, quantum=[psi4])
    data = MoleculeDataset([tmp_path / "0.h5"])
    assert len(data) == 8
    columns = [c.name for c in settings.columns("atom") for _ in range(c.width)]
    charge, aromatic = columns.index("npa_charge"), columns.index("aromatic")
    for row in range(7):
        batch = data.batch([row])
        assert batch.atom_features[:, charge].isnan().all() == (row == 2)
        assert not batch.atom_features[:, aromatic].isnan().any()
        assert batch.molecule_features.isnan().all() == (row == 2)
    assert "1 of 8 graphs lack values (NaN) of molecule_features: energy" in caplog.text
    assert data.level_name == "hf"


def test_a_missing_quantum_file_or_feature_is_an_error(folder, tmp_path):
    settings = MoleculeSettings(level=LEVEL, level_name="hf")
    with pytest.raises(StoreError, match="dataset d: no quantum files were given"):
        build(folder, tmp_path, settings, shards=1)
    short = quantum_file(tmp_path / "q.h5", folder / "d.h5", ("energy", "npa_charge"))
    with pytest.raises(StoreError, match="does not hold feature 'orbital_energies'"):
        build(folder, tmp_path, settings, shards=1, quantum=[short])


def test_a_dataset_that_is_not_computed_knows_nothing_of_the_level(folder, tmp_path, structures):
    settings = MoleculeSettings(level=LEVEL, level_name="hf")
    other = structures_file(tmp_path / "e.h5", structures[:3])
    descriptors = {"d": [folder / "descriptors.h5"], "e": [descriptors_file(tmp_path / "e-descriptors.h5", other)]}
    quantum = {"d": [quantum_file(tmp_path / "q.h5", folder / "d.h5", settings.needed("psi4"))]}
    stores = {"d": folder / "d.h5", "e": other}
    output = tmp_path / "s.h5"
    for computed, known in ((["d"], 8), ([], 0)):
        build_shard(
            stores, quantum, output, tmp_path / "s.csv", settings, descriptors=descriptors, computed=computed
        )  # fmt: skip
        shard = read_shard(output)
        assert ("quantum/d" in shard.inputs) == bool(known), "files of what is not computed are not opened"
        for per, offsets in (("atom", "offsets"), ("bond", "bond_offsets"), ("region", "region_offsets")):
            quantum_columns = [item.quantum for item in settings.columns(per) for _ in range(item.width)]
            values, first = shard[f"{per}_features"], shard[offsets][known]
            lost = np.isnan(values[first:, quantum_columns])
            # an atom that stands alone has no bonds whose density were unknown
            assert lost.any(axis=1).all() if per == "region" else lost.all()
            assert not np.isnan(values[:first, quantum_columns]).all() or not known
            assert not np.isnan(values[:, np.logical_not(quantum_columns)]).all(axis=0).any(), per
        assert np.isnan(shard["molecule_features"][known:]).all()
    with pytest.raises(StoreError, match="dataset e: no quantum files were given"):
        build_shard(stores, quantum, output, tmp_path / "s.csv", settings, descriptors=descriptors)


def test_labels_of_several_datasets_stand_side_by_side(folder, tmp_path, structures):
    other = structures_file(
        tmp_path / "e.h5", [replace(structures[5], labels=np.array([7.0, 8.0]))],
        [Label("mu", "D", False), Label("u0", "eV", True)],
    )  # fmt: skip
    descriptors = descriptors_file(tmp_path / "e-descriptors.h5", other)
    files = {"d": [folder / "descriptors.h5"], "e": [descriptors]}
    stores = {"d": folder / "d.h5", "e": other}
    build_shard(stores, {}, tmp_path / "s.h5", tmp_path / "s.csv", SETTINGS, descriptors=files)
    shards = read_shards([tmp_path / "s.h5"])
    assert [name for name, *_ in shards.settings["labels"]] == ["u0", "gap", "mu"]
    np.testing.assert_array_equal(shards["y"][[0, 8]], [[-40, np.nan, np.nan], [8, np.nan, 7]])
    assert shards["ids"][8] == "e/O"
    clash = structures_file(tmp_path / "f.h5", structures[:1], [Label("u0", "hartree", True), LABELS[1]])
    with pytest.raises(
        StoreError, match="label u0 of dataset f is in 'hartree', extensive and not relative, but in 'eV', ext"
    ):
        build_shard({"d": folder / "d.h5", "f": clash}, {}, tmp_path / "t.h5", tmp_path / "t.csv", SETTINGS)


def test_a_dimer_is_left_out_with_its_reason(tmp_path, structures):
    dimer = replace(structures[0], id="dimer", fragment=(np.arange(13) > 5).astype(np.uint8))
    structures_file(tmp_path / "d.h5", [dimer, structures[5]])
    descriptors_file(tmp_path / "descriptors.h5", tmp_path / "d.h5")
    (path,) = build(tmp_path, tmp_path, shards=1)
    assert read_shard(path)["ids"].tolist() == [structures[5].id]
    reason = "has a second monomer; graphs of family regional are of single molecules"
    assert path.with_suffix(".csv").read_text() == f"id,source,reason\ndimer,,{reason}\n"
