"""Densities on the grid: equal to a loop over atoms, and they turn, move and add up as densities do."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from plain_voxels import plain_voxels
from scipy.spatial.transform import Rotation
from synthetic_complexes import Sample, batch, complexes

from psigraph.fields import COMPLEX_ATOM_FEATURES
from psigraph.models.affinity.voxels import CHANNELS, COMPONENTS, SLAB, AtomChannels, Voxelizer

#: Points, spacing and width [Å]: a last slab that is not full, and boxes that leave protein atoms out.
GRIDS = [(12, 1.0, 1.0), (10, 1.7, 0.6), (8, 0.9, 0.3), (17, 0.7, 1.1)]


def voxelizer(points: int = 12, spacing: float = 1.0, width: float = 1.0) -> Voxelizer:
    return Voxelizer(points, spacing, width).double()


def grids(samples: list[Sample], **settings: Any) -> torch.Tensor:
    return voxelizer(**settings)(batch(samples))


def close(first: torch.Tensor, second: torch.Tensor, tolerance: float = 1e-10) -> bool:
    assert first.shape == second.shape
    return float((first - second).abs().max()) <= tolerance


@pytest.mark.parametrize(("points", "spacing", "width"), GRIDS)
def test_equals_a_loop_over_atoms(points: int, spacing: float, width: float) -> None:
    data = batch(complexes(3))
    found = voxelizer(points, spacing, width)(data)
    assert found.shape == (3, len(COMPONENTS), len(CHANNELS), points, points, points)
    assert bool((found.flatten(2).abs().amax(2) > 0.1).all()), "every component of every complex is seen"
    assert close(found, torch.from_numpy(plain_voxels(data, points, spacing, width)))
    single = Voxelizer(points, spacing, width)(batch(complexes(3), torch.float32))
    assert single.dtype == torch.float32 and close(single.double(), found, 1e-4)


def test_channels_are_elements_and_features() -> None:
    """Of each element by its symbol, with what the fields say of atoms behind them."""
    assert CHANNELS[7:] == tuple(name for name, _, _ in COMPLEX_ATOM_FEATURES)
    numbers = {6: "C", 7: "N", 8: "O", 16: "S", 15: "P", 9: "halogen", 17: "halogen", 35: "halogen", 53: "halogen",
               30: "other", 34: "other", 5: "other", 118: "other"}  # fmt: skip
    features = torch.arange(5.0 * len(numbers)).view(-1, 5)
    found = AtomChannels()(torch.tensor(list(numbers)), features)
    for row, name in enumerate(numbers.values()):
        expected = torch.zeros(7)
        expected[CHANNELS.index(name)] = 1
        assert torch.equal(found[row], torch.cat([expected, features[row]]))


def test_one_atom_is_a_gaussian_at_its_place() -> None:
    """An atom of the protein 2 Å along x from a ligand of one atom, the value at both from the formula."""
    sample = replace(complexes(1)[0].without_protein(), z=np.array([6]), positions=np.array([[3.0, -1.0, 7.0]]),
                     features=np.zeros((1, 5)))  # fmt: skip
    sample = replace(sample, site_z=np.array([8]), site_positions=np.array([[5.0, -1.0, 7.0]]),
                     site_features=np.array([[0, 1, 0, 0, -0.4]]), in_pocket=np.array([False]))  # fmt: skip
    grid = grids([sample], points=9, spacing=0.5, width=0.8)[0]
    assert grid[2, CHANNELS.index("C"), 4, 4, 4] == 1
    assert grid[2, CHANNELS.index("C"), 4, 4, 6] == pytest.approx(np.exp(-1 / (2 * 0.8**2)))
    assert grid[0, CHANNELS.index("O"), 8, 4, 4] == 1
    assert grid[0, CHANNELS.index("charge"), 4, 4, 4] == pytest.approx(-0.4 * np.exp(-4 / (2 * 0.8**2)))
    assert grid[0, CHANNELS.index("O"), 8].sum() > 10 * grid[0, CHANNELS.index("O"), 0].sum()
    assert not grid[1].any(), "the atom is not in the pocket"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_quarter_turn_turns_the_grid(axis: int) -> None:
    samples = complexes(2)
    matrix = np.round(Rotation.from_rotvec(np.pi / 2 * np.eye(3)[axis]).as_matrix())
    turned = grids([sample.moved(matrix) for sample in samples])
    planes = [(4, 5), (5, 3), (3, 4)][axis]  # y to z, z to x, x to y
    assert close(turned, grids(samples).rot90(1, planes))
    assert not close(turned, grids(samples), 0.1)


def test_moving_a_complex_changes_nothing() -> None:
    samples = complexes(2)
    assert close(grids([sample.moved(np.eye(3), [5.0, -3.3, 11.1]) for sample in samples]), grids(samples))


def test_order_of_atoms_changes_nothing() -> None:
    samples, rng = complexes(2), np.random.default_rng(1)
    assert close(grids([sample.permuted(rng) for sample in samples]), grids(samples))


def test_batch_equals_singles() -> None:
    samples = [*complexes(2), complexes(1)[0].without_protein(), *complexes(1, seed=3, atoms=5, sites=7)]
    assert close(grids(samples), torch.cat([grids([sample]) for sample in samples]))


def test_empty_pocket_and_no_protein() -> None:
    sample = complexes(1)[0]
    closed = grids([replace(sample, in_pocket=np.zeros_like(sample.in_pocket))])[0]
    assert close(closed[0], grids([sample])[0, 0]) and not closed[1].any()
    assert not grids([sample.without_protein()])[0, :2].any()


def test_shift_moves_the_box() -> None:
    """By one spacing: the points seen before, one farther along x."""
    data, shift = batch(complexes(2)), torch.tensor([[1.0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    here, there = voxelizer()(data), voxelizer()(data, shift=shift)
    assert close(there[0, :, :, :-1], here[0, :, :, 1:]) and close(there[1], here[1])
    assert not close(there[0], here[0], 0.1)


def test_atom_weights_multiply_densities_of_the_ligand() -> None:
    """Weights 0 take atoms away, and the densities are linear in the weights."""
    data = batch(complexes(2))
    weights = torch.linspace(0, 2, len(data.z_atoms), dtype=torch.float64)
    grid = voxelizer()(data)
    weighed = voxelizer()(data, weights)
    assert close(weighed[:, :2], grid[:, :2]) and not close(weighed[:, 2], grid[:, 2], 0.1)
    assert close(voxelizer()(data, 2 - weights)[:, 2] + weighed[:, 2], 2 * grid[:, 2])
    assert not voxelizer()(data, 0 * weights)[:, 2].any()


def test_gradients_of_positions_and_features() -> None:
    """Equal to finite differences, also where two slabs meet; none of them is NaN out of reach."""
    data = batch(complexes(2, atoms=4, sites=5))
    maker = voxelizer(2 * SLAB, 0.8, 0.9)
    torch.manual_seed(0)
    probe = torch.randn(2, 3, 12, *[2 * SLAB] * 3, dtype=torch.float64)

    def value(positions: torch.Tensor, sites: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        changed = replace(data, pos_atoms=positions, site_pos=sites, site_features=features)
        return (maker(changed) * probe).sum()

    leaves = [data.pos_atoms, data.site_pos, data.site_features]
    assert torch.autograd.gradcheck(value, [leaf.clone().requires_grad_(True) for leaf in leaves], fast_mode=True)


def test_noise_in_training_only() -> None:
    maker, data = voxelizer(), batch(complexes(2))
    quiet = maker(data)
    maker.noise = 0.3
    torch.manual_seed(0)
    difference = maker(data) - quiet
    assert float(difference.std()) == pytest.approx(0.3, rel=0.02) and abs(float(difference.mean())) < 0.01
    assert torch.equal(maker.eval()(data), quiet)
