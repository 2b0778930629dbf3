"""Areas and volumes against closed formulas, RDKit's FreeSASA, and points thrown at random."""

import numpy as np
import pytest
from rdkit.Chem import rdFreeSASA

from psigraph.descriptors.radii import VDW_RADII
from psigraph.descriptors.spheres import caps_of, exposed
from psigraph.descriptors.sterics import PROBE, SCALE, SPHERE, accessible_area, buried_volume

SMILES = ["O", "c1ccccc1", "CC(=O)N", "C1CC2CC1CC2", "CS(=O)C", "FC(Cl)(Br)I"]


def lens(a: float, b: float, d: float) -> float:
    """Volume common to two balls of radii a and b, d apart (a + b > d > |a - b|)."""
    return np.pi * (a + b - d) ** 2 * (d * d + 2 * d * (a + b) - 3 * (a - b) ** 2) / (12 * d)


def sampled(z: np.ndarray, x: np.ndarray, n: int = 40_000) -> np.ndarray:
    """Buried volumes by counting random points: the slow obvious way."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(n, 3))
    points *= SPHERE * rng.random((n, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    result = []
    for a in range(len(z)):
        others = np.arange(len(z)) != a
        distance = np.linalg.norm(points[:, None] + x[a] - x[None, others], axis=-1)
        result.append((distance < SCALE * VDW_RADII[z[others]]).any(axis=1).mean())
    return np.array(result)


def points_on_sphere(n: int) -> np.ndarray:
    i = np.arange(n)
    height, angle = 1 - (2 * i + 1) / n, np.pi * (3 - 5**0.5) * i
    return np.stack([np.sqrt(1 - height**2) * np.cos(angle), np.sqrt(1 - height**2) * np.sin(angle), height], axis=1)


def counted(z: np.ndarray, x: np.ndarray, n: int = 20_000) -> np.ndarray:
    """Accessible areas by counting points of each sphere (A. Shrake, J. A. Rupley, J. Mol. Biol. 79, 351, 1973)."""
    radii, unit, result = VDW_RADII[z] + PROBE, points_on_sphere(n), []
    for a in range(len(z)):
        others = np.arange(len(z)) != a
        distance = np.linalg.norm(x[a] + radii[a] * unit[:, None] - x[None, others], axis=-1)
        result.append(4 * np.pi * radii[a] ** 2 * (distance > radii[others]).all(axis=1).mean())
    return np.array(result)


@pytest.mark.parametrize("distance", [0.74, 1.5, 3.0, 5.0, 5.2])
def test_two_atoms_against_closed_formulas(distance):
    z, x = np.array([6, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
    a, b = VDW_RADII[z] + PROBE
    cap = 2 * np.pi * a * (a - (a * a + distance**2 - b * b) / (2 * distance)) if distance < a + b else 0.0
    assert accessible_area(z, x)[0] == pytest.approx(4 * np.pi * a * a - cap, rel=1e-12)
    c, h = SCALE * VDW_RADII[z]
    whole = 4 / 3 * np.pi * SPHERE**3
    for i, radius in ((0, h), (1, c)):
        if distance + radius <= SPHERE:
            filled = 4 / 3 * np.pi * radius**3
        else:
            filled = lens(SPHERE, radius, distance) if distance < SPHERE + radius else 0.0
        assert buried_volume(z, x)[i] == pytest.approx(filled / whole, abs=1e-13)


def test_a_single_atom():
    z, x = np.array([18]), np.zeros((1, 3))
    assert accessible_area(z, x) == pytest.approx(4 * np.pi * (1.88 + PROBE) ** 2, rel=1e-14)
    assert buried_volume(z, x).tolist() == [0.0]


@pytest.mark.parametrize("smiles", SMILES)
def test_buried_volume_against_random_points(smiles, molecule):
    s = molecule(smiles)
    z = s.z.astype(int)
    np.testing.assert_allclose(buried_volume(z, s.positions), sampled(z, s.positions), atol=0.012)  # 5 sigma


@pytest.mark.parametrize("smiles", SMILES)
def test_accessible_area_against_counted_points_and_freesasa(smiles, embed):
    mol = embed(smiles)
    z, x = np.array([a.GetAtomicNum() for a in mol.GetAtoms()]), mol.GetConformer().GetPositions()
    areas = accessible_area(z, x)
    np.testing.assert_allclose(areas, counted(z, x), atol=0.08)
    total = rdFreeSASA.CalcSASA(mol, VDW_RADII[z].tolist())
    assert areas.sum() == pytest.approx(total, rel=0.04)  # by 20 slices for each atom, Lee and Richards


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("sign", [1, -1])
def test_rotation_reflection_translation_and_order_change_nothing(smiles, sign, molecule, turn):
    s = molecule(smiles)
    z, order = s.z.astype(int), np.random.default_rng(2).permutation(s.n_atoms)
    moved = (sign * s.positions @ turn(3).T + [3.0, -2.0, 1.0])[order]
    for function in (buried_volume, accessible_area):
        np.testing.assert_allclose(function(z[order], moved), function(z, s.positions)[order], atol=1e-10)


def test_derivatives_exist_where_circles_begin_to_touch():
    """No jump as a third sphere begins to cover what two others leave."""
    z = np.array([6, 1, 8])
    steps = np.linspace(2.0, 6.0, 801)
    values = []
    for y in steps:
        x = np.array([[0.0, 0.0, 0.0], [1.1, 0.0, 0.0], [0.2, y, 0.3]])
        values.append(np.concatenate([accessible_area(z, x), 50 * buried_volume(z, x)]))
    assert np.abs(np.diff(values, axis=0)).max() < 0.3  # Å² and 2 % for 0.005 Å; a wrong arc is 10 times that


def test_caps_that_cover_everything_or_repeat():
    axes = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]])
    area, vector = exposed(axes, np.array([[0.3, 0.3, 2.0]]))  # twice the same cap
    assert area[0] == pytest.approx(2 * np.pi * 1.3) and vector[0, 2] == pytest.approx(-np.pi * (1 - 0.09))
    assert exposed(axes, np.array([[0.3, 0.5, 2.0]]))[0][0] == pytest.approx(2 * np.pi * 1.3)  # one in another
    area, vector = exposed(axes, np.array([[0.3, 0.3, -2.0]]))
    assert area[0] == 0.0 and not vector.any()
    opposite = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    assert exposed(opposite, np.array([[-0.2, -0.1]]))[0][0] == pytest.approx(0.0, abs=1e-12)  # together all
    assert exposed(opposite, np.array([[0.2, 0.5]]))[0][0] == pytest.approx(2 * np.pi * 0.7)


def test_coinciding_atoms_are_an_error():
    with pytest.raises(ValueError, match="same centre"):
        caps_of(np.zeros((2, 3)), np.ones(2))
