import numpy as np
import pytest
from molecule_maker import SMILES, molecule
from scipy.spatial.transform import Rotation
from slow_molecules import as_regions, is_connected, regions_around

from psigraph.graphs.patches import canonical_ranks, patches
from psigraph.graphs.regions import make_regions
from psigraph.structures.geometry import bonds as bonds_of


@pytest.fixture(scope="module")
def molecules():
    return [molecule(smiles) for smiles in (*SMILES, "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)OCCN1CCOCC1")]


@pytest.mark.parametrize("kind, hops", [("bonded", 1), ("k_hop", 1), ("k_hop", 2), ("k_hop", 5)])
def test_atoms_within_some_bonds(molecules, kind, hops):
    for item in molecules:
        bonds = bonds_of(item.z, item.positions)
        members, core = make_regions(item.n_atoms, bonds, kind, hops)
        assert as_regions(members, core) == regions_around(item.n_atoms, bonds, hops)
        assert members.tolist() == sorted(members.tolist())


@pytest.mark.parametrize("patch_atoms", [1, 3, 6, 12, 1000])
def test_patches_are_connected_and_do_not_overlap(molecules, patch_atoms):
    for item in molecules:
        bonds = bonds_of(item.z, item.positions)
        members, core = make_regions(item.n_atoms, bonds, "patches", patch_atoms=patch_atoms, z=item.z)
        assert core.all() and sorted(members[:, 1]) == list(range(item.n_atoms))
        assert members.tolist() == sorted(members.tolist())
        regions = [atoms for atoms, _ in as_regions(members, core)]
        assert all(is_connected(atoms, bonds) for atoms in regions)
        assert [min(atoms) for atoms in regions] == sorted(min(atoms) for atoms in regions)
        assert max(map(len, regions)) < 2 * patch_atoms
        assert len(regions) == {1: item.n_atoms, 1000: 1}.get(patch_atoms, len(regions))


def test_hydrogens_stay_with_their_carbon():
    item = molecule("CCCCCCCC")
    bonds = bonds_of(item.z, item.positions)
    for atoms, _ in as_regions(*make_regions(item.n_atoms, bonds, "patches", patch_atoms=6, z=item.z)):
        assert 4 <= len(atoms) <= 11
        assert all((i in atoms) == (j in atoms) for i, j in bonds.tolist() if 1 in (item.z[i], item.z[j]))


@pytest.mark.parametrize("patch_atoms", [3, 6])
def test_patches_do_not_depend_on_the_order_of_atoms(patch_atoms):
    # ranks tell the heavy atoms of this molecule apart, so that only equal hydrogens can change places
    item = molecule("C[C@H](N)C(=O)OCC#N")
    bonds, rng = bonds_of(item.z, item.positions), np.random.default_rng(0)
    heavy = item.z > 1
    assert len(set(canonical_ranks(item.z, bonds)[heavy].tolist())) == heavy.sum()
    expected = partition_of_heavy(item.z, bonds, patch_atoms, np.arange(item.n_atoms))
    assert len(expected) > 1
    for _ in range(10):
        order = rng.permutation(item.n_atoms)
        place = np.argsort(order)
        assert partition_of_heavy(item.z[order], place[bonds], patch_atoms, order) == expected


@pytest.mark.parametrize("smiles", ["CSC", "OC1CC1", "c1ccccc1", "CC(C)(C)C(C)(C)C"])
def test_distances_tell_atoms_apart_that_bonds_do_not(smiles):
    item = molecule(smiles)
    bonds, rng = bonds_of(item.z, item.positions), np.random.default_rng(0)
    heavy = item.z > 1
    assert len(set(canonical_ranks(item.z, bonds)[heavy].tolist())) < heavy.sum()

    def partition(order):
        position = item.positions[order] @ Rotation.random(rng=rng).as_matrix().T
        bound = np.argsort(order)[bonds]
        owner = patches(np.array([0, item.n_atoms]), item.z[order], bound, 3, position)
        return sorted(sorted(order[owner == patch].tolist()) for patch in set(owner.tolist()))

    expected = partition(np.arange(item.n_atoms))
    assert len(expected) > 1
    for _ in range(10):
        assert partition(rng.permutation(item.n_atoms)) == expected


def partition_of_heavy(z, bonds, patch_atoms, names):
    """Return for every patch its heavy atoms by name, and how many hydrogens it has."""
    owner = patches(np.array([0, len(z)]), z, bonds, patch_atoms)
    found = []
    for patch in set(owner.tolist()):
        atoms = np.flatnonzero(owner == patch)
        found.append((sorted(names[atoms[z[atoms] > 1]].tolist()), int((z[atoms] == 1).sum())))
    return sorted(found)


def test_ranks_follow_the_atoms_and_tell_equal_ones_alike():
    item = molecule("CC(C)Cc1ccccc1")
    bonds = bonds_of(item.z, item.positions)
    ranks = canonical_ranks(item.z, bonds)
    order = np.random.default_rng(1).permutation(item.n_atoms)
    np.testing.assert_array_equal(canonical_ranks(item.z[order], np.argsort(order)[bonds]), ranks[order])
    heavy = ranks[item.z > 1]
    assert len(set(heavy.tolist())) == 7  # both methyls, both ortho and both meta carbons are alike


def test_patches_of_a_molecule_do_not_depend_on_the_others(molecules):
    offsets = np.concatenate([[0], np.cumsum([item.n_atoms for item in molecules])])
    z = np.concatenate([item.z for item in molecules])
    single = [bonds_of(item.z, item.positions) for item in molecules]
    bonds = np.concatenate([b + first for b, first in zip(single, offsets, strict=False)])
    owner = patches(offsets, z, bonds, 5)
    last = -1
    for item, own, first in zip(molecules, single, offsets, strict=False):
        alone = patches(np.array([0, item.n_atoms]), item.z, own, 5)
        np.testing.assert_array_equal(owner[first : first + item.n_atoms], alone + last + 1)
        last = int(owner[first : first + item.n_atoms].max())


def test_errors():
    with pytest.raises(ValueError, match="unknown kind of regions 'ring'; known: bonded, k_hop, patches"):
        make_regions(2, np.array([[0, 1]]), "ring")
    with pytest.raises(ValueError, match="patch_atoms must be at least 1, got 0"):
        make_regions(2, np.array([[0, 1]]), "patches", patch_atoms=0)
