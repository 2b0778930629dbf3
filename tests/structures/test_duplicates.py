import numpy as np
import pytest

from psigraph.structures.duplicates import TOLERANCE, find_duplicates
from psigraph.structures.geometry import distance_matrix


def test_rotation_order_and_swapped_monomers_do_not_hide_a_duplicate(dimer, molecules, rotations):
    one = dimer("one", a=molecules["water"], b=molecules["methane"], r=3.5)
    two = dimer("two", a=molecules["water"], b=molecules["methane"], r=3.5)
    order = np.random.default_rng(0).permutation(two.n_atoms)
    two.positions = (two.positions @ rotations(3).T + [1.0, 2.0, 3.0])[order]
    two.z, two.fragment = two.z[order], 1 - two.fragment[order]
    other = dimer("other", a=molecules["water"], b=molecules["methane"], r=3.51)
    assert find_duplicates([one, other, two]) == {2: 0}


@pytest.mark.parametrize("shift, duplicate", [(5e-4, True), (5e-3, False)])
def test_the_tolerance_is_a_thousandth_of_an_angstrom(dimer, shift, duplicate):
    assert bool(find_duplicates([dimer(r=4.0), dimer(r=4.0 + shift)])) is duplicate


def test_of_several_copies_the_first_is_kept(dimer):
    assert find_duplicates([dimer(r=4.0), dimer(r=5.0), dimer(r=4.0), dimer(r=5.0), dimer(r=4.0)]) == {2: 0, 3: 1, 4: 0}


def test_charge_and_multiplicity_count(dimer):
    assert find_duplicates([dimer(), dimer(charge=(1, 0))]) == {}
    assert find_duplicates([dimer(), dimer(multiplicity=(3, 1))]) == {}
    assert find_duplicates([dimer(charge=(0, 1)), dimer(charge=(1, 0))]) == {1: 0}


def test_equal_compositions_with_other_bonds_are_no_duplicates(dimer, molecules):
    flipped = [(s, x, y, -z) for s, x, y, z in molecules["water"]]
    assert find_duplicates([dimer(), dimer(b=flipped)]) == {}


def test_every_pair_is_found_that_a_full_comparison_finds(dimer):
    structures = [dimer(r=r) for r in np.random.default_rng(1).choice(np.linspace(3, 3.02, 30), 60)]
    expected: dict[int, int] = {}
    for j, s in enumerate(structures):
        x = distance_matrix(s.positions)
        for i in range(j):
            if i not in expected and np.abs(distance_matrix(structures[i].positions) - x).max() <= TOLERANCE:
                expected[j] = i
                break
    assert find_duplicates(structures) == expected and len(expected) > 20
