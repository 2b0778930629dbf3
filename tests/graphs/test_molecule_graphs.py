"""Graphs of molecules against the slow way, and what must not change them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from molecule_maker import LEVEL, SMILES, molecule, random_molecule
from slow_molecules import all_hops, as_regions, region_features, region_pairs

from psigraph.graphs.molecule_graphs import molecule_graphs
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import descriptor_values, in_memory, molecule_batch, random_values
from psigraph.graphs.neighbours import pairs_within
from psigraph.graphs.regions import make_regions
from psigraph.quantum.table import FEATURES
from psigraph.structures.geometry import bonds as bonds_of
from psigraph.structures.model import Structure

KINDS = ("bonded", "k_hop", "patches")


@pytest.fixture(scope="module")
def molecules() -> list[Structure]:
    rng = np.random.default_rng(0)
    return [*map(molecule, SMILES), random_molecule(rng, 1), random_molecule(rng, 25), random_molecule(rng, 8)]


def settings_of(kind: str, level=LEVEL, **changes) -> MoleculeSettings:
    return MoleculeSettings(regions=kind, level=level, cutoff=3.0, region_cutoff=5.0, **changes)


def of_one(values: dict[str, np.ndarray], molecules: list[Structure], row: int) -> dict[str, np.ndarray]:
    """Return the values of one of the molecules."""
    sizes = {"atom": [m.n_atoms for m in molecules], "bond": [len(bonds_of(m.z, m.positions)) for m in molecules]}
    found = {}
    for name, array in values.items():
        counts = sizes.get(FEATURES[name].per, [1] * len(molecules))
        found[name] = array[sum(counts[:row]) : sum(counts[: row + 1])]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_are_those_made_one_by_one_the_slow_way(molecules, kind):
    settings = settings_of(kind)
    values = random_values(molecules, settings)
    batch = molecule_batch(molecules, settings, values=values, dtype=torch.float64)
    pairs_seen = steric_seen = apart = 0
    for row, item in enumerate(molecules):
        found = batch.part(row, row + 1)
        own = of_one(values, molecules, row)
        bonds = bonds_of(item.z, item.positions)
        np.testing.assert_array_equal(found.z_atoms, item.z)
        np.testing.assert_array_equal(found.pos_atoms, item.positions)
        np.testing.assert_array_equal(found.bonds, bonds)
        np.testing.assert_array_equal(found.pairs, pairs_within(item.positions, 3.0))
        members, core = make_regions(
            item.n_atoms, bonds, kind, settings.hops, settings.patch_atoms, item.z, item.positions
        )
        np.testing.assert_array_equal(found.members, members)
        np.testing.assert_array_equal(found.core, core)
        regions = as_regions(members, core)
        expected = region_features(item.z, item.positions, regions, own)
        np.testing.assert_allclose(found.region_features, expected, atol=1e-12)
        pairs, features = region_pairs(item.z, item.positions, regions, own["cip_label"], 5.0)
        np.testing.assert_array_equal(found.region_pairs, pairs)
        np.testing.assert_allclose(found.region_pair_features, features, atol=1e-12)
        pairs_seen, steric_seen = pairs_seen + len(pairs), steric_seen + (features[:, 3] > 0).sum()
        apart += (features[:, 0] == -1).sum()
    assert pairs_seen > 20 and steric_seen > 3 and apart > 0


def test_columns_of_atoms_bonds_and_molecules(molecules):
    names = {
        "atom_features": ["ring_size", "hybridisation", "cip_label", "npa_valence"],
        "bond_features": ["bond_length", "dihedral", "bond_hybrid", "nmr_shielding", "midpoint_density"],
        "molecule_features": ["dipole", "quadrupole", "polarizability", "orbital_energies"],
    }
    settings = settings_of("bonded", **names)
    values = random_values(molecules, settings)
    batch = molecule_batch(molecules, settings, values=values, dtype=torch.float64)
    for atom, row in enumerate(batch.atom_features.numpy()):
        ring, hybrid = values["ring_size"][atom], int(values["hybridisation"][atom])
        hot = [float(k == hybrid) for k in range(7)]
        label = abs(values["cip_label"][atom])
        expected = [float(ring > 0), 1 / ring if ring else 0, *hot, label, *values["npa_valence"][atom]]
        np.testing.assert_allclose(row, expected)
    for bond, row in enumerate(batch.bond_features.numpy()):
        i, j = batch.bonds[bond].tolist()
        cosine, sine = values["dihedral"][bond]
        first, second = values["bond_hybrid"][bond]
        shielding = values["nmr_shielding"][[i, j]]
        expected = [
            np.linalg.norm(batch.pos_atoms[j] - batch.pos_atoms[i]), cosine, abs(sine), *(first + second) / 2,
            *abs(first - second), shielding.mean(), abs(shielding[0] - shielding[1]), values["midpoint_density"][bond],
        ]  # fmt: skip
        np.testing.assert_allclose(row, expected)
    for number, row in enumerate(batch.molecule_features.numpy()):
        tensor = values["polarizability"][number, ...]
        symmetric = np.eye(3) * np.trace(tensor) / 3
        expected = [
            np.linalg.norm(values["dipole"][number]), np.linalg.norm(values["quadrupole"][number]),
            np.trace(tensor) / 3, np.sqrt(1.5) * np.linalg.norm(tensor - symmetric),
            *values["orbital_energies"][number],
        ]  # fmt: skip
        np.testing.assert_allclose(row, expected)


def test_anisotropy_of_a_uniaxial_polarizability_is_the_difference_of_its_axes():
    settings = settings_of("bonded", molecule_features=["polarizability"])
    values = {"polarizability": np.diag([1.0, 1.0, 4.0])[None]}
    found = molecule_batch([molecule("O")], settings, values=values).molecule_features
    np.testing.assert_allclose(found, [[2.0, 3.0]])


FEATURE_NAMES = ("atom_features", "bond_features", "region_features", "region_pair_features")


@pytest.mark.parametrize("kind", KINDS)
def test_mirror_images_have_equal_features(kind):
    """The features of the mirror image are computed anew; labels and torsions flip their signs."""
    one = [molecule("C[C@H](N)C(=O)O"), molecule("C[C@H](N)[C@@H](O)C(=O)OC")]
    mirrored = [replace(item, positions=item.positions * [1, 1, -1]) for item in one]
    settings = MoleculeSettings(regions=kind)
    values = descriptor_values(one), descriptor_values(mirrored)
    np.testing.assert_array_equal(values[0]["cip_label"], -values[1]["cip_label"])
    assert abs(values[0]["cip_label"]).sum() == 3
    first, second = (
        molecule_batch(which, settings, values=own, dtype=torch.float64)
        for which, own in zip((one, mirrored), values, strict=True)
    )
    for name in FEATURE_NAMES:
        torch.testing.assert_close(first[name], second[name], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_turning_and_shifting_changes_nothing(kind):
    one = [molecule("C[C@H](N)C(=O)O")]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    turned = [replace(one[0], positions=one[0].positions @ turn.T + 3.0)]
    settings = MoleculeSettings(regions=kind)
    first, second = (
        molecule_batch(which, settings, values=descriptor_values(which), dtype=torch.float64) for which in (one, turned)
    )
    for name in (*FEATURE_NAMES, "pairs", "members", "region_pairs"):
        torch.testing.assert_close(first[name], second[name], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", ["bonded", "k_hop"])
def test_permuted_atoms_permute_everything(kind):
    item = molecule("C[C@H](N)C(=O)O")
    order = np.random.default_rng(0).permutation(item.n_atoms)
    place = torch.from_numpy(np.argsort(order))
    moved = replace(item, z=item.z[order], positions=item.positions[order], given_mulliken_spd=np.zeros((0, 3)))
    settings = settings_of(kind, level=None)
    first, second = (
        molecule_batch([which], settings, values=descriptor_values([which]), dtype=torch.float64)
        for which in (item, moved)
    )
    close = {"atol": 1e-9, "rtol": 1e-9}
    for name in ("atom_features", "region_features"):  # the region of an atom has its number
        torch.testing.assert_close(second[name], first[name][order], **close)
    for name, features in (("bonds", "bond_features"), ("region_pairs", "region_pair_features"), ("pairs", None)):
        rows = {tuple(sorted(place[pair].tolist())): k for k, pair in enumerate(first[name])}
        assert sorted(rows) == sorted(map(tuple, second[name].tolist()))
        if features:
            same = [rows[tuple(pair)] for pair in second[name].tolist()]
            torch.testing.assert_close(second[features], first[features][same], **close)
    assert sorted(place[first.members].tolist()) == second.members.tolist()


def test_what_is_not_known_is_nan_and_pairs_of_regions_are_known():
    found = molecule_batch([molecule("C[C@H](N)C(=O)O")], settings_of("bonded"))
    assert found.atom_features.isnan().all() and found.bond_features[:, 1:].isnan().all()
    assert found.region_features[:, 1:].isnan().all() and not found.region_features[:, 0].isnan().any()
    assert not found.region_pair_features.isnan().any() and (found.region_pair_features[:, 4] == 0).all()


def test_labels_that_need_a_lewis_structure_are_nan_without_one():
    item = molecule("C[C@H](N)C(=O)O")
    values = descriptor_values([item])
    values["stereocentres"] = np.full((1, 3), np.nan)
    settings = MoleculeSettings(atom_features=["aromatic", "buried_volume"])
    found = molecule_batch([item], settings, values=values).atom_features
    assert found[:, 0].isnan().all() and not found[:, 1].isnan().any()


def test_a_lone_atom_and_a_pair_that_nothing_joins():
    lone = Structure(id="He", z=[2], positions=np.zeros((1, 3)), fragment=[0], v_ref=np.nan)
    two = Structure(id="Ne2", z=[10, 10], positions=[[0, 0, 0], [0, 0, 3.0]], fragment=[0, 0], v_ref=np.nan)
    for kind in KINDS:
        found = molecule_batch([lone, two], MoleculeSettings(regions=kind))
        assert found.members.tolist() == [[0, 0], [1, 1], [2, 2]] and found.core.all()
        assert found.region_pairs.tolist() == [[1, 2]] and len(found.bonds) == 0
        steric = 1 - 3 / 3.08  # Bondi's radius of neon: 1.54 Å
        torch.testing.assert_close(found.region_pair_features, torch.tensor([[-1.0, 0, 0, steric, 0]]))
        assert found.part(0, 1).bond_features.shape == (0, 5)


def test_values_of_another_molecule_are_refused():
    with pytest.raises(ValueError, match=r"feature buried_volume has the shape \(2,\), expected \(3,\)"):
        molecule_batch([molecule("O")], MoleculeSettings(), values={"buried_volume": np.zeros(2)})


def test_the_numbers_of_a_molecule_do_not_depend_on_the_others(molecules):
    settings = settings_of("k_hop")
    values = random_values(molecules, settings)
    whole = in_memory(molecules)
    together = molecule_batch(whole, settings, values=values, dtype=torch.float64)
    alone = molecule_batch(molecules[1:2], settings, values=of_one(values, molecules, 1), dtype=torch.float64)
    part = together.part(1, 2)
    for name, tensor in vars(alone).items():
        if torch.is_tensor(tensor) and name != "index":
            assert torch.equal(tensor, part[name]), name


def test_large_molecules_count_bonds_right():
    chain = molecule("C" * 40)
    graphs = molecule_graphs(
        chain.z, chain.positions, np.array([0, chain.n_atoms]), MoleculeSettings(region_cutoff=100.0), {}
    )
    hops = graphs.columns["region_pair_features"][:, 0]
    first, second = graphs.columns["region_pairs"].T
    np.testing.assert_array_equal(hops, all_hops(chain.n_atoms, graphs.columns["bonds"])[first, second])
    assert hops.max() == 41
