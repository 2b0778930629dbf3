"""The composition floor against NumPy's least squares, and the mean."""

import numpy as np
import pytest

from psigraph.evaluation.regional.floors import PENALTIES, composition_floor, element_counts, mean_floor, ridge


def small(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, size=(n, 3)).astype(float) + [1, 0, 0]
    return counts, counts @ [-10.0, 3.0, 0.5] + 2.0 + rng.normal(size=n)


def test_counts_by_element_in_the_order_of_their_numbers() -> None:
    z, offsets = np.array([6, 1, 1, 8, 1, 7], dtype=np.uint8), np.array([0, 3, 3, 6])
    assert element_counts(z, offsets).tolist() == [[2, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1]]


@pytest.mark.parametrize("penalty", [1e-8, 0.1, 10.0])
def test_ridge_is_least_squares_with_rows_for_the_penalty(penalty: float) -> None:
    x, y = small()
    rows = np.vstack([x - x.mean(0), np.sqrt(penalty * len(x)) * np.eye(3)])
    weights, *_ = np.linalg.lstsq(rows, np.concatenate([y - y.mean(), np.zeros(3)]), rcond=None)
    expected = y.mean() + (x - x.mean(0)) @ weights
    np.testing.assert_allclose(ridge(x, y, penalty, x), expected, rtol=1e-9)


def test_extensive_floor_is_linear_in_counts_and_intensive_one_in_shares() -> None:
    counts, y = small()
    every = np.ones(len(y), dtype=bool)
    for extensive, columns in ((True, counts), (False, counts / counts.sum(1, keepdims=True))):
        plain, *_ = np.linalg.lstsq(np.column_stack([columns, np.ones(len(y))]), y, rcond=None)
        found = composition_floor(counts, y, every, ~every, extensive=extensive)
        np.testing.assert_allclose(found, np.column_stack([columns, np.ones(len(y))]) @ plain, atol=1e-5)


def test_penalty_is_the_best_on_validation_and_test_rows_change_nothing() -> None:
    counts, y = small(24)
    noise = np.random.default_rng(1).normal(size=24) * 20
    y = y + noise
    train, validation = np.arange(24) < 5, (np.arange(24) >= 5) & (np.arange(24) < 15)
    found = composition_floor(counts, y, train, validation, extensive=True)
    each = [ridge(counts[train], y[train], penalty, counts) for penalty in PENALTIES]
    errors = [np.abs(values - y)[validation].mean() for values in each]
    np.testing.assert_allclose(found, each[int(np.argmin(errors))])
    assert np.argmin(errors) > 0  # a penalty was worth it
    changed = np.where(train | validation, y, 1e6)
    np.testing.assert_array_equal(composition_floor(counts, changed, train, validation, extensive=True), found)


def test_missing_labels_are_left_out() -> None:
    counts, y = small()
    train, validation = np.arange(40) < 30, np.arange(40) >= 30
    holes = y.copy()
    holes[::7] = np.nan
    known = np.isfinite(holes)
    found = composition_floor(counts, holes, train, validation, extensive=True)
    expected = composition_floor(counts[known], y[known], train[known], validation[known], extensive=True)
    np.testing.assert_allclose(found[known], expected)
    assert mean_floor(holes, train) == pytest.approx(y[train & known].mean())
    nothing = np.full(40, np.nan)
    assert np.isnan(composition_floor(counts, nothing, train, validation, extensive=True)).all()
    assert np.isnan(mean_floor(nothing, train))
