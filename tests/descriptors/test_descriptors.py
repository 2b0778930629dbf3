"""All descriptors of a structure: symmetry, the store, what happens to structures with a problem, the script."""

import subprocess
import sys

import numpy as np
import pytest

from psigraph.descriptors import store as descriptor_store
from psigraph.descriptors.build import build_descriptors
from psigraph.descriptors.compute import NAMES, descriptors
from psigraph.descriptors.store import read_descriptors
from psigraph.quantum.system import systems_of
from psigraph.quantum.table import FEATURES
from psigraph.stores import StoreError
from psigraph.structures.store import read_structures, write_structures

#: Symmetric, chiral, charged and mesomeric ones, whose Lewis structures could be drawn in several ways.
MOLECULES = [
    "c1ccccc1", "C[C@H](N)C(=O)[O-]", "C[N+](=O)[O-]", "NC(=[NH2+])N", "COP(=O)([O-])[O-]", "C#CC(F)=O", "CS(=O)CC",
    "c1ccc2cccc2cc1", "OC[C@H](O)[C@@H](O)C=O", "C1CC2CC1CC2",
]  # fmt: skip


def by_pair(bonds: np.ndarray, values: np.ndarray, order: np.ndarray) -> dict:
    """Values of bonds by their atoms, named by their numbers before the change."""
    return {tuple(sorted(order[pair])): value for pair, value in zip(bonds, values, strict=True)}


def assert_follows(old, new, order: np.ndarray, mirror: bool) -> None:
    """The descriptors of a changed structure are the old ones: in the new order, and the mirror's signs flipped."""
    assert old.ok and new.ok and old.message == new.message
    sign = -1 if mirror else 1
    for name in NAMES:
        feature, a, b = FEATURES[name], old.values[name], new.values[name]
        if feature.per == "atom":
            expected = a[order] * (sign if name == "cip_label" else 1)
            np.testing.assert_allclose(b, expected, atol=1e-6, err_msg=name)
        elif name == "stereocentres":
            assert b.tolist() == (a[[1, 0, 2]] if mirror else a).tolist()
        elif feature.per == "structure":
            np.testing.assert_allclose(b, a, atol=1e-9, err_msg=name)
        elif name != "bonds":
            flip = np.array([1, sign]) if name == "dihedral" else 1
            first = by_pair(old.values["bonds"], a * flip, np.arange(len(order)))
            second = by_pair(new.values["bonds"], b, order)
            assert first.keys() == second.keys()
            for pair, value in first.items():
                np.testing.assert_allclose(second[pair], value, atol=1e-6, err_msg=f"{name} of {pair}")


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("smiles", MOLECULES)
def test_molecules_turned_moved_renumbered_and_mirrored(smiles, mirror, molecule, change, turn):
    s = molecule(smiles)
    old = descriptors(s)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(s.n_atoms)
        matrix = turn(seed) * (-1 if mirror else 1)
        assert_follows(old, descriptors(change(s, matrix, np.array([5.0, -3.0, 11.0]), order)), order, mirror)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_dimer_turned_moved_renumbered_and_mirrored(mirror, molecule, dimer, change, turn):
    s = dimer(molecule("CC(=O)[O-]"), molecule("C[C@H](N)C#N"), (1.0, 2.0, 5.0))
    order = np.random.default_rng(4).permutation(s.n_atoms)
    new = descriptors(change(s, turn(4) * (-1 if mirror else 1), np.array([0.0, 9.0, 2.0]), order))
    assert_follows(descriptors(s), new, order, mirror)


def test_every_descriptor_of_the_table_is_there_with_its_shape_and_type(molecule, dimer):
    wanted = {name for name, feature in FEATURES.items() if feature.program in ("rdkit", "dftd4")}
    assert wanted | {"bonds"} == set(NAMES)
    s = dimer(molecule("O"), molecule("NC=O"), (0.0, 0.0, 4.0))
    result = descriptors(s)
    counts = {"atom": (9,), "bond": (7,), "structure": ()}
    for name, value in result.values.items():
        feature = FEATURES[name]
        assert (value.shape, str(value.dtype)) == ((*counts[feature.per], *feature.shape), feature.dtype), name
        assert np.isfinite(value).all(), name
    np.testing.assert_array_equal(result.values["bonds"], systems_of(s)[1][0].bonds)
    assert (result.n_atoms, result.n_systems) == (9, 3)


def test_a_dimer_far_apart_is_its_monomers(molecule, dimer):
    a, b = molecule("NC=O"), molecule("OC(C)C")
    apart, alone = descriptors(dimer(a, b, (0.0, 0.0, 90.0))), [descriptors(a), descriptors(b)]
    for name in NAMES:
        if name not in ("dispersion_d4", "bonds", "stereocentres"):
            expected = np.concatenate([r.values[name] for r in alone])
            np.testing.assert_allclose(apart.values[name], expected, atol=1e-6, err_msg=name)  # rounded positions


@pytest.fixture
def structures(tmp_path, molecule, dimer):
    """A chiral molecule, a dimer, one without Lewis structure, and one whose atoms coincide."""
    oxygen = molecule("O=O")
    oxygen.multiplicity, oxygen.id = (3, 1), "oxygen"
    broken = molecule("C")
    broken.positions[1] = broken.positions[2]
    broken.id = "broken"
    members = [molecule("C[C@H](N)C(=O)O"), dimer(molecule("O"), molecule("C"), (0.0, 0.0, 3.5)), oxygen, broken]
    path = tmp_path / "s.h5"
    write_structures(path, members, unit="kcal/mol", settings={})
    return path


def test_the_store_has_a_row_for_every_structure(structures, tmp_path, caplog):
    with caplog.at_level("INFO"):
        counts = build_descriptors(structures, tmp_path / "d.h5")
    assert counts == {"structures": 4, "complete": 2, "partial": 1, "failed": 1}
    assert "done 4/4, partial 1, failed 1" in caplog.text and "oxygen: RDKit finds no Lewis structure" in caplog.text
    store = read_structures(structures)
    found = read_descriptors(tmp_path / "d.h5", structures_digest=store.digest, ids=store.ids)
    assert found.status.tolist() == ["ok", "ok", "ok", "input"]
    assert found.message[0] == "" and "same centre" in found.message[3]
    assert found["stereocentres"][0].tolist() == [0, 1, 0] and np.isnan(found["stereocentres"][2]).all()
    assert np.isfinite(found["buried_volume"][found.atoms(2)]).all() and np.isfinite(found["dispersion_d4"][2])
    assert np.isnan(found["buried_volume"][found.atoms(3)]).all() and np.isnan(found["dispersion_d4"][3])
    assert len(range(*found.rows("bond", 1).indices(99))) == 6
    alone = descriptors(store.structure(1))
    np.testing.assert_array_equal(found["dihedral"][found.rows("bond", 1)], alone.values["dihedral"])


def test_several_processes_and_the_script_give_the_same_store(structures, tmp_path, repository):
    build_descriptors(structures, tmp_path / "one.h5")
    script = [sys.executable, str(repository / "scripts/descriptors.py"), "--structures", str(structures)]
    done = subprocess.run(
        [*script, "--output", str(tmp_path / "two.h5"), "--processes", "2"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, two = (list(read_descriptors(tmp_path / f"{name}.h5").digests.values()) for name in ("one", "two"))
    assert one == two
    missing = subprocess.run([*script[:3], str(tmp_path / "no.h5"), "--output", "x.h5"], capture_output=True, text=True)
    assert missing.returncode == 1 and missing.stderr.startswith("error: ") and "no such file" in missing.stderr


def test_a_store_of_another_version_is_refused(structures, tmp_path, monkeypatch):
    build_descriptors(structures, tmp_path / "d.h5")
    monkeypatch.setattr(descriptor_store, "PROGRAM", "rdkit and dftd4, version 0")
    with pytest.raises(StoreError, match=r"d\.h5: holds features by .*version 1.*expected .*version 0.*rebuild it"):
        read_descriptors(tmp_path / "d.h5")
