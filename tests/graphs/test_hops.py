import numpy as np
import pytest
from molecule_maker import random_molecule
from slow_molecules import all_hops

from psigraph.graphs.hops import bond_counts, bonded, longest_bond, neighbour_lists
from psigraph.graphs.neighbours import pair_distances, pairs_within
from psigraph.structures.geometry import bonds as bonds_of


@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_bonds_are_those_of_the_structures_stage(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        found = random_molecule(rng, n, spread=rng.uniform(0.6, 2.0))
        pairs = pairs_within(found.positions, longest_bond(found.z))
        chosen = bonded(found.z, pairs, pair_distances(found.positions, pairs))
        np.testing.assert_array_equal(pairs[chosen], bonds_of(found.z, found.positions))


def test_two_hydrogens_are_bonded_only_without_other_partners():
    z, positions = np.array([1, 1, 6]), np.array([[0.0, 0, 0], [0.7, 0, 0], [1.7, 0, 0]])
    pairs = pairs_within(positions, 5.0)
    assert pairs[bonded(z, pairs, pair_distances(positions, pairs))].tolist() == [[1, 2]]
    apart = positions + [[0.0, 0, 0], [0, 0, 0], [5, 0, 0]]
    pairs = pairs_within(apart, 5.0)
    assert pairs[bonded(z, pairs, pair_distances(apart, pairs))].tolist() == [[0, 1]]


def test_numbers_of_bonds_between_atoms_of_many_molecules():
    rng = np.random.default_rng(0)
    sizes = np.array([1, 12, 2, 30, 0, 7])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    single = []
    for size in sizes:  # rings, trees and pieces that nothing joins
        pairs = np.array([(i, j) for i in range(size) for j in range(i + 1, size) if rng.random() < 1.6 / size])
        single.append(pairs.reshape(-1, 2).astype(np.int64))
    table = bond_counts(offsets, np.concatenate([b + o for b, o in zip(single, offsets, strict=False)]))
    seen = 0
    for size, bonds, first in zip(sizes, single, offsets, strict=False):
        a, b = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
        found = table[a.ravel() + first, b.ravel() + first].reshape(size, size)
        np.testing.assert_array_equal(found, all_hops(size, bonds))
        seen = max(seen, found.max(initial=0))
    assert seen > 4 and (table.values == -1).any()


def test_neighbours_stand_by_atom():
    flat, starts = neighbour_lists(4, np.array([[0, 2], [1, 2]]))
    assert [flat[a:b].tolist() for a, b in zip(starts[:-1], starts[1:], strict=True)] == [[2], [2], [0, 1], []]
