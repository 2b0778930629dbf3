"""Complexes from structure stores to shards, and shards as batches."""

import csv

import numpy as np
import pytest
import torch
from complex_maker import complexes, complexes_file, protein
from molecule_maker import LEVEL, quantum_file

from psigraph.graphs.build import build_shard
from psigraph.graphs.complex_blocks import site_of
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.complex_settings import ComplexSettings
from psigraph.graphs.loader import make_loader
from psigraph.graphs.settings import settings_of
from psigraph.graphs.shards import read_shards
from psigraph.stores import StoreError

SETTINGS = ComplexSettings()


@pytest.fixture(scope="module")
def structures():
    return complexes(10, 3)


def shard(folder, structures, settings=SETTINGS, quantum=None, name="a"):
    store = complexes_file(folder / f"{name}-structures.h5", structures)
    files = {"new": [quantum(store)]} if quantum else {}
    output = folder / f"{name}.h5"
    build_shard({"new": store}, files, output, output.with_suffix(".skipped.csv"), settings)
    return output


@pytest.fixture(scope="module")
def shard_file(tmp_path_factory, structures):
    return shard(tmp_path_factory.mktemp("complexes"), structures)


def heavy(structure):
    return structure.positions[structure.z > 1]


def test_a_sample_is_the_ligand_without_hydrogens_and_what_is_near_it(shard_file, structures):
    data = ComplexDataset([shard_file], dtype=torch.float64)
    for row, structure in enumerate(structures):
        batch = data.batch([row])
        around = structure.binding.protein
        ligand = heavy(structure)
        distances = np.linalg.norm(ligand[:, None] - around.positions[None], axis=2)
        near = [k for k in range(len(around.z)) if distances[:, k].min() <= 12.0]
        pocket = {around.residue[k] for k in range(len(around.z)) if distances[:, k].min() <= 6.0}
        assert batch.z_atoms.tolist() == structure.z[structure.z > 1].tolist()
        assert batch.site_z.tolist() == around.z[near].tolist()
        assert batch.in_pocket.tolist() == [around.residue[k] in pocket for k in near]
        found = {(int(a), near[int(b)]) for a, b in batch.contacts}
        assert found == {(a, k) for a in range(len(ligand)) for k in near if distances[a, k] <= 4.5}
        assert float(batch.y[0, 0]) == structure.labels[0]
        centre = ligand.mean(axis=0)
        np.testing.assert_allclose(batch.pos_atoms.numpy(), ligand - centre, atol=1e-12)
        np.testing.assert_allclose(batch.site_pos.numpy(), around.positions[near] - centre, atol=1e-12)


def test_hydrogens_leave_their_charge_to_the_atom_they_are_bound_to(shard_file, structures):
    data = ComplexDataset([shard_file], dtype=torch.float64)
    batch = data.batch([0])
    structure = structures[0]
    binding = structure.binding
    expected = binding.atom_features[:, 4].astype(float).copy()
    for a, b in binding.bonds:
        for atom, other in ((a, b), (b, a)):
            if structure.z[atom] == 1:
                expected[other] += binding.atom_features[atom, 4]
    np.testing.assert_allclose(batch.atom_features[:, 4].numpy(), expected[structure.z > 1], atol=1e-6)
    assert float(batch.atom_features[:, 4].sum()) == pytest.approx(binding.atom_features[:, 4].sum(), abs=1e-5)


def test_bonds_are_those_between_heavy_atoms(shard_file, structures):
    batch = ComplexDataset([shard_file]).batch([1])
    structure = structures[1]
    place = {atom: n for n, atom in enumerate(np.flatnonzero(structure.z > 1))}
    expected = [[place[a], place[b]] for a, b in structure.binding.bonds if a in place and b in place]
    assert batch.bonds.tolist() == expected
    assert batch.bond_features.shape == (len(expected), 3)


def test_by_sample_arrays(shard_file, structures):
    data = ComplexDataset([shard_file])
    assert data.groups.tolist() == [s.group for s in structures]
    assert data.ligands.tolist() == [s.binding.smiles for s in structures]
    assert data.sides.tolist() == [s.binding.side for s in structures]
    assert set(data.measures) == {"Ki"}
    assert data.n_heavy.tolist() == [int((s.z > 1).sum()) for s in structures]
    assert [target.name for target in data.targets] == ["pK"]


def test_a_batch_is_its_samples_and_a_part_of_it_is_a_batch(shard_file):
    data = ComplexDataset([shard_file], dtype=torch.float64)
    rows = [4, 0, 7]
    whole = data.batch(rows)
    for place, row in enumerate(rows):
        single, part = data.batch([row]), whole.part(place, place + 1)
        for name, value in single.__dict__.items():
            if torch.is_tensor(value):
                assert torch.equal(value, part[name]), name


def test_rotations_turn_ligand_and_protein_together_and_anew_in_each_epoch(shard_file):
    data = ComplexDataset([shard_file], dtype=torch.float64)
    still, turned = data.batch([2, 3]), []
    loader = make_loader(data.select([2, 3]).rotated(5), 2)
    for epoch in range(2):
        loader.set_epoch(epoch)
        (batch,) = list(loader)
        turned.append(batch)
        for k in range(2):
            a, b = still.part(k, k + 1), batch.part(k, k + 1)
            assert torch.allclose(torch.cdist(a.pos_atoms, a.site_pos), torch.cdist(b.pos_atoms, b.site_pos))
            assert not torch.allclose(a.pos_atoms, b.pos_atoms, atol=0.1)
            volumes = [torch.linalg.det(part.pos_atoms[1:4] - part.pos_atoms[0]) for part in (a, b)]
            assert torch.allclose(*volumes, atol=1e-9)  # turned, not mirrored
        assert not torch.allclose(*(batch.part(k, k + 1).pos_atoms[:3] for k in range(2)))
    assert not torch.allclose(turned[0].pos_atoms, turned[1].pos_atoms, atol=0.1)


def test_jitter_moves_atoms_by_so_much(shard_file):
    data = ComplexDataset([shard_file], dtype=torch.float64)
    still, moved = data.batch(range(10)), data.select(range(10), jitter=0.2, seed=1).batch(range(10))
    for name in ("pos_atoms", "site_pos"):
        assert float((moved[name] - still[name]).std()) == pytest.approx(0.2, rel=0.1)


def test_psi4_charges_take_the_place_of_gasteigers(tmp_path, structures):
    settings = ComplexSettings(charges="psi4", level=LEVEL)
    quantum = lambda store: quantum_file(tmp_path / "q.h5", store, ["mulliken_charge"], failures=(1,))  # noqa: E731
    output = shard(tmp_path, structures[:4], settings, quantum)
    with open(output.with_suffix(".skipped.csv")) as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["c1"] and "Mulliken" in rows[0]["reason"]
    with_psi4 = ComplexDataset([output])
    without = ComplexDataset([shard(tmp_path, structures[:4], name="b")])
    assert with_psi4.ids.tolist() == ["c0", "c2", "c3"]
    a, b = with_psi4.batch([1]).atom_features, without.batch([2]).atom_features
    assert torch.equal(a[:, :4], b[:, :4]) and not torch.allclose(a[:, 4], b[:, 4])


def test_a_ligand_far_from_its_protein_is_left_out_with_its_reason(tmp_path, structures):
    from dataclasses import replace

    lost = replace(structures[0], id="lost", positions=structures[0].positions + 100)
    output = shard(tmp_path, [lost, structures[1]])
    with open(output.with_suffix(".skipped.csv")) as file:
        (row,) = csv.DictReader(file)
    assert row["id"] == "lost" and "protein_radius 12 Å" in row["reason"]
    assert len(read_shards([output])) == 1


def test_shards_in_parts_hold_what_one_holds(tmp_path, structures, shard_file):
    store = complexes_file(tmp_path / "s.h5", structures)
    paths = [tmp_path / f"{k}.h5" for k in range(3)]
    for k, path in enumerate(paths):
        build_shard({"new": store}, {}, path, path.with_suffix(".csv"), SETTINGS, shard=k, shards=3)
    parts, whole = ComplexDataset(paths), ComplexDataset([shard_file])
    a, b = parts.batch(range(10)), whole.batch(range(10))
    for name, value in a.__dict__.items():
        if torch.is_tensor(value):
            assert torch.equal(value, b[name]), name


def test_other_settings_are_refused_by_name(shard_file):
    wider = ComplexSettings(pocket_radius=7.0).identity()
    with pytest.raises(StoreError, match="pocket_radius 6.0 Å.* 7.0 Å"):
        ComplexDataset([shard_file], expected=wider)


def test_settings_round_trip_and_refuse_what_cannot_be():
    settings = ComplexSettings(pocket_radius=5.0, charges="psi4", level=LEVEL)
    assert settings_of(settings.identity()).identity() == settings.identity()
    with pytest.raises(ValueError, match="pocket_radius 13 Å is beyond protein_radius 12 Å"):
        ComplexSettings(pocket_radius=13.0)
    with pytest.raises(ValueError, match="psi4 need a level"):
        ComplexSettings(charges="psi4")


def test_a_residue_with_one_atom_near_is_in_the_pocket_as_a_whole():
    around = protein(0)
    site = site_of(np.zeros((1, 3)), around.positions, around.residue, ComplexSettings(protein_radius=19.0))
    inside = np.linalg.norm(around.positions, axis=1) <= 6.0
    assert site.in_pocket.sum() > inside.sum() > 0
