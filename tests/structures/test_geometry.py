import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds

from psigraph.structures.geometry import bonds, components, dimer_geometry, principal_axis
from psigraph.structures.model import Structure


def geometry(s: Structure):
    return dimer_geometry(s.z, s.positions, s.fragment)


def benzene(normal=(0.0, 0.0, 1.0)) -> list:
    """A regular hexagon, its plane normal along z or x."""
    angles = np.arange(6) * np.pi / 3
    atoms = []
    for symbol, radius in (("C", 1.3915), ("H", 2.4715)):
        for a in angles:
            x, y = radius * np.cos(a), radius * np.sin(a)
            atoms.append((symbol, x, y, 0.0) if normal[2] else (symbol, 0.0, x, y))
    return atoms


def test_separation_is_the_distance_between_centres_of_mass(dimer, molecules):
    assert geometry(dimer(r=3.7)).separation == pytest.approx(3.7, abs=1e-12)
    found = geometry(dimer(a=molecules["hf"], b=[("Ar", 0.0, 0.0, 0.0)], r=5.0)).separation
    assert found == pytest.approx(5.0 - 18.998 * 0.917 / (18.998 + 1.008), abs=1e-9)


@pytest.mark.parametrize(
    "second, theta", [(benzene(), 0.0), (benzene((1.0, 0.0, 0.0)), np.pi / 2)], ids=["sandwich", "T-shaped"]
)
def test_theta_of_planar_molecules_is_the_angle_between_their_planes(dimer, second, theta):
    found = geometry(dimer(a=benzene(), b=second, r=5.0))
    assert found.theta_defined and found.theta == pytest.approx(theta, abs=1e-9)


def test_theta_of_linear_molecules_is_the_angle_between_their_axes(dimer, molecules):
    tilted = [("H", 0.0, 0.0, 0.0), ("F", 0.917 * np.sin(0.4), 0.0, 0.917 * np.cos(0.4))]
    assert geometry(dimer(a=molecules["hf"], b=tilted)).theta == pytest.approx(0.4, abs=1e-9)


def test_theta_is_folded_because_an_axis_has_no_sign(dimer, molecules):
    tilted = [("H", 0.0, 0.0, 0.0), ("F", 0.917 * np.sin(2.5), 0.0, 0.917 * np.cos(2.5))]
    assert geometry(dimer(a=molecules["hf"], b=tilted)).theta == pytest.approx(np.pi - 2.5, abs=1e-9)


@pytest.mark.parametrize("partner", ["methane", "atom"])
def test_without_a_unique_axis_theta_is_zero_and_not_defined(dimer, molecules, partner):
    atoms = molecules["methane"] if partner == "methane" else [("Ar", 0.0, 0.0, 0.0)]
    found = geometry(dimer(a=molecules["water"], b=atoms))
    assert (found.theta, found.theta_defined) == (0.0, False)


def test_an_asymmetric_top_takes_the_axis_of_its_largest_moment(molecules):
    z, x = np.array([8, 1, 1]), np.array([a[1:] for a in molecules["water"]])
    assert np.abs(principal_axis(z, x)) == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)  # normal of the yz plane


def test_a_prolate_top_takes_its_figure_axis():
    angles = np.arange(3) * 2 * np.pi / 3
    hydrogens = [(1.02 * np.cos(a), 1.02 * np.sin(a), s * 1.2) for s in (-1, 1) for a in angles]
    z, x = np.array([6, 6, *[1] * 6]), np.array([(0, 0, -0.765), (0, 0, 0.765), *hydrogens])
    assert np.abs(principal_axis(z, x)) == pytest.approx([0.0, 0.0, 1.0], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_rotation_translation_and_atom_order_change_nothing(dimer, molecules, rotations, seed):
    tilted = [("H", 0.3, 0.1, 0.0), ("F", 0.7, 0.6, 0.6)]
    s = dimer(a=molecules["water"], b=tilted, r=3.0)
    order = np.random.default_rng(seed).permutation(s.n_atoms)
    moved = s.positions @ rotations(seed).T + [3.0, -40.0, 7.0]
    found = dimer_geometry(s.z[order], moved[order], s.fragment[order])
    assert found == pytest.approx(geometry(s), abs=1e-9)


def test_a_dimer_needs_both_fragments(dimer):
    s = dimer()
    with pytest.raises(ValueError, match="fragment 0 and in fragment 1"):
        dimer_geometry(s.z, s.positions, np.zeros(s.n_atoms))


def test_bonds_equal_rdkits(molecules):
    for atoms in (molecules["water"], molecules["methane"], benzene()):
        z = np.array([Chem.GetPeriodicTable().GetAtomicNumber(a[0]) for a in atoms])
        x = np.array([a[1:] for a in atoms], dtype=float)
        block = "\n".join([str(len(z)), "", *(f"{s} {p[0]:.9f} {p[1]:.9f} {p[2]:.9f}" for (s, *p) in atoms)])
        mol = Chem.MolFromXYZBlock(block)
        rdDetermineBonds.DetermineConnectivity(mol)
        expected = sorted(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds())
        assert bonds(z, x).tolist() == expected


def test_two_crowded_hydrogens_are_not_bonded_and_a_hydrogen_molecule_is():
    crowded = np.array([[0.0, 0, 0], [1.09, 0, 0], [1.85, 0, 0], [2.94, 0, 0]])
    assert bonds(np.array([6, 1, 1, 6]), crowded).tolist() == [[0, 1], [2, 3]]
    assert bonds(np.array([1, 1]), np.array([[0.0, 0, 0], [0.74, 0, 0]])).tolist() == [[0, 1]]


def test_components_are_numbered_by_their_first_atom():
    assert components(6, np.array([[0, 4], [2, 3], [3, 4]])).tolist() == [0, 1, 0, 0, 0, 2]
    assert components(2, np.zeros((0, 2), dtype=int)).tolist() == [0, 1]
