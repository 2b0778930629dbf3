"""Where a ligand can stand: outside the pocket, clashes, covalent ligands, and metals that are no clash."""

import numpy as np
import pytest

from psigraph.structures.complexes import Protein
from psigraph.structures.poses import check_pose
from psigraph.structures.proteins import ReadProtein
from psigraph.structures.reading import Rejection, RowError

LIMITS = {"min_contact": 1.5, "max_distance": 5.0}


def protein(*atoms: tuple[int, float], linked: tuple[int, ...] = ()) -> ReadProtein:
    """Atoms on the x axis, each of a residue of its own."""
    z, x = np.array([a[0] for a in atoms], dtype=np.uint8), np.array([a[1] for a in atoms])
    n = len(z)
    names = np.array([f"A:CYS{k}" for k in range(n)], dtype=object)
    features = np.zeros((n, 5), np.float32)
    of_atoms = Protein("p", z, np.stack([x, 0 * x, 0 * x], 1), np.arange(n, dtype=np.int32), names, features)
    return ReadProtein(of_atoms, np.array(linked, dtype=np.int64))


def check(read: ReadProtein, z: int = 6, **limits: float) -> None:
    """One heavy atom at the origin, and a hydrogen that is nearer to everything."""
    check_pose(np.array([1, z]), np.array([[1.0, 0, 0], [0.0, 0, 0]]), read, **(LIMITS | limits))


@pytest.mark.parametrize("atoms", [((6, 3.5),), ((6, 4.99),), ((6, 1.8),), ((30, 1.95),), ((20, 2.2),)])
def test_poses_that_can_be(atoms):
    check(protein(*atoms), z=7)


@pytest.mark.parametrize(
    ("read", "z", "reason"),
    [
        (protein((6, 5.4), (6, 9.0)), 6, r"outside the pocket: its nearest atom of the protein is 5\.4 Å away"),
        (
            protein((6, 3.0), (16, 1.8)),
            6,
            r"covalent ligand, or a pose that clashes: its atom C2 is 1\.80 Å from A:CYS1 S",
        ),
        (protein((6, 1.55)), 6, r"its atom C2 is 1\.55 Å from A:CYS0 C, the distance of a bond"),
        (protein((6, 1.0)), 6, r"clash: its atom C2 is 1\.00 Å from A:CYS0 C, nearer than min_contact 1\.5"),
        (protein((6, 1.6), (8, 0.9)), 6, r"clash: its atom C2 is 0\.90 Å from A:CYS1 O"),
        (protein((30, 1.4)), 7, r"clash: its atom N2 is 1\.40 Å from A:CYS0 Zn"),
        (protein((16, 2.3), linked=(0,)), 6, r"covalent ligand: a LINK record ties it to A:CYS0 S"),
    ],
)
def test_poses_that_cannot_be(read, z, reason):
    with pytest.raises(RowError, match=reason):
        check(read, z=z)


def test_a_link_to_something_else_does_not_count():
    check(protein((6, 3.0), (16, 9.0), linked=(1,)))


def test_the_limits_are_those_of_the_configuration():
    with pytest.raises(RowError, match="clash: .* nearer than min_contact 3"):
        check(protein((6, 2.9)), min_contact=3.0)
    check(protein((6, 5.4)), max_distance=6.0)
    check(protein((6, 1.0)), min_contact=0.0)


def test_rows_are_counted_by_what_they_share():
    reasons = {
        "clash: its atom C2 is 1.00 Å from A:CYS0 C, nearer than min_contact 1.5": "clash",
        "identical geometry to qm9-7": "identical geometry to another one",
        "identical ligand and protein as CDK2-28": "identical ligand and protein as another one",
        "not selected: beyond max_structures 240": "not selected: beyond max_structures 240",
    }
    assert {r: Rejection("a.sdf", "1", "a", r).summary for r in reasons} == reasons
