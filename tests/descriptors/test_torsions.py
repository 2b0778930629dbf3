import numpy as np
import pytest
from rdkit.Chem import rdMolTransforms

from psigraph.descriptors.torsions import dihedral


@pytest.mark.parametrize("angle", [-150.0, -60.0, 20.0, 90.0, 180.0])
def test_one_torsion_against_rdkit(angle, embed):
    """Hydrogen peroxide: one further neighbour on each side."""
    mol = embed("OO")
    conformer = mol.GetConformer()
    rdMolTransforms.SetDihedralDeg(conformer, 2, 0, 1, 3, angle)
    sines = [np.sin(rdMolTransforms.GetAngleRad(conformer, *triple)) for triple in ((2, 0, 1), (0, 1, 3))]
    phi = rdMolTransforms.GetDihedralRad(conformer, 2, 0, 1, 3)
    z = np.array([8, 8, 1, 1])
    found = dihedral(z, conformer.GetPositions(), np.array([[0, 1], [0, 2], [1, 3]]))
    expected = np.prod(sines) * np.array([np.cos(phi), np.sin(phi)])
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    assert not found[1:].any()  # hydrogens have no further neighbour


def test_many_torsions_against_the_sum_over_pairs(embed):
    mol = embed("OC[C@H](Cl)C(=O)NC")
    conformer = mol.GetConformer()
    z = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    bonds = np.array([sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()])
    found = dihedral(z, conformer.GetPositions(), bonds)
    for row, (i, j) in enumerate(bonds.tolist()):
        total, weights = np.zeros(2), 0.0
        for k in (a.GetIdx() for a in mol.GetAtomWithIdx(i).GetNeighbors() if a.GetIdx() != j):
            for m in (a.GetIdx() for a in mol.GetAtomWithIdx(j).GetNeighbors() if a.GetIdx() != i):
                phi = rdMolTransforms.GetDihedralRad(conformer, k, i, j, m)
                sines = np.sin(rdMolTransforms.GetAngleRad(conformer, k, i, j)) * np.sin(
                    rdMolTransforms.GetAngleRad(conformer, i, j, m)
                )
                total += z[k] * z[m] * sines * np.array([np.cos(phi), np.sin(phi)])
                weights += z[k] * z[m]
        np.testing.assert_allclose(found[row], total / weights if weights else 0.0, atol=1e-10)


def test_a_mirror_flips_the_sine_and_the_end_that_comes_first_does_not_matter(embed):
    mol = embed("OC[C@H](Cl)C(=O)NC")
    x = mol.GetConformer().GetPositions()
    z = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()])
    found = dihedral(z, x, bonds)
    assert np.abs(found[:, 1]).max() > 0.1
    np.testing.assert_allclose(dihedral(z, -x, bonds), found * [1, -1], atol=1e-12)
    np.testing.assert_allclose(dihedral(z, x, bonds[:, ::-1]), found, atol=1e-12)


def test_a_neighbour_on_the_line_drops_out_smoothly():
    z, bonds = np.array([6, 6, 1, 1]), np.array([[0, 1], [0, 2], [1, 3]])
    for bend in (0.0, 1e-9, 1e-3):
        x = np.array([[0, 0, 0], [0, 0, 1.2], [bend, 0, -1.06], [0.5, 0.5, 2.0]])
        assert np.abs(dihedral(z, x, bonds)).max() <= bend
