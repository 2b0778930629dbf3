"""psigraph.metrics against hand-computed values and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from psigraph import metrics

PREDICTED, REFERENCE = [1.0, 2.0, 4.0, 0.0], [1.5, 2.0, 3.0, 0.05]


def test_hand_computed() -> None:
    assert metrics.mae(PREDICTED, REFERENCE) == pytest.approx((0.5 + 0 + 1 + 0.05) / 4)
    assert metrics.rmse(PREDICTED, REFERENCE) == pytest.approx(math.sqrt((0.25 + 1 + 0.0025) / 4))
    mean = np.mean(REFERENCE)
    spread = sum((r - mean) ** 2 for r in REFERENCE)
    assert metrics.r2(PREDICTED, REFERENCE) == pytest.approx(1 - 1.2525 / spread)


def test_mape_has_a_floor_and_counts_what_lies_below_it() -> None:
    value, below = metrics.mape(PREDICTED, REFERENCE, 0.1)
    assert below == 1
    assert value == pytest.approx(100 * (0.5 / 1.5 + 0 + 1 / 3 + 0.05 / 0.1) / 4)
    assert metrics.mape([1.0], [0.0], 0.5) == (200.0, 1)
    assert metrics.mape([0.2], [-0.1], 0.1) == (pytest.approx(300.0), 0), "|r| equal to epsilon is not below it"
    for epsilon in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="epsilon must be above 0"):
            metrics.mape([1.0], [1.0], epsilon)


def test_correlations_equal_scipy() -> None:
    rng = np.random.default_rng(0)
    p = rng.normal(size=50).round(1)  # rounded: with ties
    q = (p + rng.normal(size=50)).round(1)
    assert metrics.r(p, q) == pytest.approx(stats.pearsonr(p, q).statistic)
    assert metrics.spearman(p, q) == pytest.approx(stats.spearmanr(p, q).statistic)
    assert metrics.r(p, -3 * p + 2) == pytest.approx(-1)
    assert metrics.r2(p, p) == 1


def test_undefined_values_are_nan() -> None:
    for name in ("mae", "rmse", "r", "r2", "spearman"):
        assert math.isnan(getattr(metrics, name)([], [])), name
    for name in ("r", "r2", "spearman"):
        assert math.isnan(getattr(metrics, name)([1.0], [1.0])), name
        assert math.isnan(getattr(metrics, name)([1.0, 2.0], [1.0, 1.0])), name
    assert math.isnan(metrics.mape([], [], 0.1)[0])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 predictions for 1 references"):
        metrics.mae([1.0, 2.0], [1.0])
