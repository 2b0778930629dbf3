"""Batches of equal cost: deterministic, complete, close to the best possible."""

import itertools

import numpy as np
import pytest

from psigraph.quantum.batches import COST_EXPONENT, assign, basis_functions, n_systems, structure_costs
from psigraph.structures.model import Structure, concatenate

FUNCTIONS = {1: 5, 6: 14, 8: 14}  # def2-SVP


def molecule(z: list[int], in_b: int = 0) -> Structure:
    """`in_b` of the atoms, the last ones, are monomer B."""
    fragment = [0] * (len(z) - in_b) + [1] * in_b
    return Structure(id=f"{z}{in_b}", z=z, positions=np.zeros((len(z), 3)), fragment=fragment, v_ref=0.0)


def test_functions_systems_and_costs():
    found = concatenate([molecule([8, 1, 1]), molecule([8, 1, 1] * 2, 3), molecule([6, 92]), molecule([92])], "eV")
    assert basis_functions(found, FUNCTIONS).tolist() == [24, 48, 14, 0]
    assert n_systems(found).tolist() == [1, 3, 1, 1]
    expected = [24**COST_EXPONENT, 3 * 48**COST_EXPONENT, 14**COST_EXPONENT, 1]
    costs = structure_costs(found, FUNCTIONS)
    assert costs.dtype == np.int64
    np.testing.assert_allclose(costs, expected, rtol=1e-3)


def test_no_structures():
    empty = concatenate([], "eV")
    assert structure_costs(empty, FUNCTIONS).shape == assign(np.zeros(0), 3).shape == (0,)


def loads(costs: np.ndarray, batch: np.ndarray, batches: int) -> np.ndarray:
    return np.bincount(batch, weights=costs, minlength=batches)


@pytest.mark.parametrize("batches", [1, 3, 8])
def test_batches_are_balanced(batches):
    """Never worse than 4/3 - 1/(3m) of the mean or of the largest structure, whichever is more (Graham's bound)."""
    rng = np.random.default_rng(batches)
    for n in (0, 1, 5, 40, 1000):
        costs = rng.integers(1, 200, n) ** 3
        batch = assign(costs, batches)
        assert batch.shape == (n,) and ((batch >= 0) & (batch < batches)).all()
        if n:
            best = max(costs.sum() / batches, costs.max())
            assert loads(costs, batch, batches).max() <= (4 / 3 - 1 / (3 * batches)) * best or n <= 2 * batches
    assert np.ptp(loads(costs, batch, batches)) <= costs.max()


def test_small_cases_come_near_the_optimum():
    rng = np.random.default_rng(0)
    for _ in range(30):
        costs = rng.integers(1, 50, 7)
        best = min(loads(costs, np.array(c), 2).max() for c in itertools.product((0, 1), repeat=7))
        assert loads(costs, assign(costs, 2), 2).max() <= (4 / 3 - 1 / 6) * best


def test_balance_beats_equal_counts():
    """Sizes sorted as in QM9: batches of equal count differ by far more."""
    costs = np.sort(np.random.default_rng(1).integers(10, 200, 500)).astype(float) ** COST_EXPONENT
    ours = loads(costs, assign(costs, 8), 8)
    by_count = loads(costs, np.arange(500) // 63, 8)
    assert ours.max() / ours.mean() < 1.01 < 2 < by_count.max() / by_count.mean()


def test_ties_go_by_index():
    assert assign(np.full(7, 5), 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert assign(np.array([1, 1, 9]), 2).tolist() == [1, 1, 0]
    assert assign(np.array([0, 0]), 5).tolist() == [0, 0]


def test_assignment_does_not_depend_on_the_last_digit():
    """Two machines may differ in the last bit of a power; whole numbers do not."""
    nbf = np.random.default_rng(2).integers(20, 600, 3000)
    exact = np.rint(nbf**COST_EXPONENT)
    shaken = np.rint(np.nextafter(nbf**COST_EXPONENT, np.inf))
    assert (exact == shaken).all() and (assign(exact, 16) == assign(shaken, 16)).all()


def test_large_dataset():
    """As many structures as QM9 has, in a hundred batches."""
    n, atoms = 130_000, 18
    one = concatenate([molecule([6] * 9 + [1] * 9)], "eV")
    rng = np.random.default_rng(3)
    z = rng.choice([1, 6, 8], n * atoms).astype(np.uint8)
    whole = type(one)(
        **{
            **{name: getattr(one, name) for name in one.__dataclass_fields__},
            "ids": np.arange(n),
            "z": z,
            "fragment": np.zeros(n * atoms, np.uint8),
            "offsets": np.arange(n + 1) * atoms,
        }
    )
    costs = structure_costs(whole, FUNCTIONS)
    load = loads(costs, assign(costs, 100), 100)
    assert load.max() / load.mean() < 1.001


@pytest.mark.parametrize(("costs", "batches"), [([1, 2], 0), ([-1, 2], 2), ([[1, 2]], 2), ([np.nan], 2)])
def test_nonsense_is_refused(costs, batches):
    with pytest.raises(ValueError, match="batches; give 1 or more|not negative"):
        assign(np.array(costs), batches)
