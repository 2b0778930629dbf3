import numpy as np
import pytest

from psigraph.graphs.geometry import centroids, dimer_geometries, farthest
from psigraph.structures.geometry import dimer_geometry

LINE = np.array([[0.0, 0, 0], [0, 0, 1.1], [0, 0, 2.3]])
METHANE = np.array([[0.0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.63
SQUARE = np.array([[1.0, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]])
MONOMERS = [
    (np.array([8, 6, 8]), LINE),
    (np.array([6, 1, 1, 1, 1]), METHANE),
    (np.array([6, 6, 6, 6]), SQUARE),
    (np.array([10]), np.zeros((1, 3))),
    (np.array([1, 8, 1]), np.array([[0.76, 0.59, 0], [0, 0, 0], [-0.76, 0.59, 0]])),
]


def dimers():
    """All pairs of monomers with and without an axis, turned at random, their atoms mixed up."""
    rng = np.random.default_rng(0)
    for z_a, a in MONOMERS:
        for z_b, b in MONOMERS:
            turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2)]
            positions = np.concatenate([a @ turns[0], b @ turns[1] + rng.normal(size=3) * 4])
            z, fragment = np.concatenate([z_a, z_b]), np.arange(len(positions)) >= len(a)
            order = rng.permutation(len(z))
            yield z[order], positions[order], fragment[order].astype(np.uint8)


def flat(parts):
    return [np.concatenate(values) for values in zip(*parts, strict=True)], np.cumsum([0, *(len(p[0]) for p in parts)])


def test_equals_one_dimer_at_a_time():
    parts = list(dimers())
    (z, positions, fragment), offsets = flat(parts)
    separation, theta, defined = dimer_geometries(z, positions, fragment, offsets)
    expected = [dimer_geometry(*part) for part in parts]
    np.testing.assert_allclose(separation, [e.separation for e in expected], rtol=1e-13)
    np.testing.assert_allclose(theta, [e.theta for e in expected], atol=1e-12)
    assert defined.tolist() == [e.theta_defined for e in expected]
    assert 5 < defined.sum() < len(parts)


def test_numbers_do_not_depend_on_what_else_is_there():
    parts = list(dimers())
    (z, positions, fragment), offsets = flat(parts)
    together = np.stack(dimer_geometries(z, positions, fragment, offsets))
    for i, part in enumerate(parts):
        alone = np.stack(dimer_geometries(*part, np.array([0, len(part[0])])))
        np.testing.assert_array_equal(alone[:, 0], together[:, i])


def test_a_molecule_has_neither():
    z, positions, _ = next(dimers())
    for fragment in (np.zeros(len(z), int), np.ones(len(z), int)):
        found = dimer_geometries(z, positions, fragment, np.array([0, len(z)]))
        assert [float(value[0]) for value in found] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("sizes", [[3, 0, 5], [0], [], [1]])
def test_centroids_and_reach(sizes):
    positions = np.random.default_rng(1).normal(size=(sum(sizes), 3))
    offsets = np.cumsum([0, *sizes]).astype(np.int64)
    centres = centroids(positions, offsets)
    reach = farthest(positions, offsets, centres)
    assert centres.shape == (len(sizes), 3)
    for i, n in enumerate(sizes):
        part = positions[offsets[i] : offsets[i + 1]]
        if n:
            np.testing.assert_array_equal(centres[i], part.mean(axis=0))
            assert reach[i] == max(np.linalg.norm(part - centres[i], axis=1))
        else:
            assert np.isnan(centres[i]).all() and reach[i] == 0
