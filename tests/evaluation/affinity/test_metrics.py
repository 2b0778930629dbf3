"""Correlations within groups, against SciPy and by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from psigraph import metrics
from psigraph.evaluation.affinity.tables import rate

RNG = np.random.default_rng(0)
GROUPS = np.repeat(["a", "b", "c", "d"], [12, 9, 6, 4])
REFERENCE = RNG.normal(size=len(GROUPS)).round(1)  # with ties
PREDICTED = (REFERENCE + RNG.normal(size=len(GROUPS))).round(1)


@pytest.mark.parametrize(("metric", "expected"), [(metrics.r, stats.pearsonr), (metrics.spearman, stats.spearmanr)])
def test_within_groups_of_five_and_more_as_scipy_has_it(metric, expected) -> None:
    found = metrics.by_group(metric, PREDICTED, REFERENCE, GROUPS)
    assert list(found) == ["a", "b", "c"]
    for name, value in found.items():
        own = name == GROUPS
        assert value == pytest.approx(expected(PREDICTED[own], REFERENCE[own])[0])
    mean, n = metrics.mean_within(metric, PREDICTED, REFERENCE, GROUPS)
    assert n == 3 and mean == pytest.approx(np.mean(list(found.values())))


def test_a_constant_prediction_ranks_nothing_and_constant_labels_do_not_count() -> None:
    groups = np.repeat(["a", "b"], 5)
    reference = np.array([1.0, 2, 3, 4, 5, 7, 7, 7, 7, 7])
    predicted = np.array([3.0] * 5 + [1, 2, 3, 4, 5])
    assert metrics.by_group(metrics.spearman, predicted, reference, groups) == {"a": 0.0}
    found = metrics.mean_within(metrics.r, predicted, reference, groups, least=6)
    assert np.isnan(found[0]) and found[1] == 0


def test_every_metric_of_a_run_is_the_libraries() -> None:
    found = {name: value for name, (value, _) in rate(PREDICTED, REFERENCE, GROUPS).items()}
    assert found["r"] == pytest.approx(stats.pearsonr(PREDICTED, REFERENCE)[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(PREDICTED, REFERENCE)[0])
    assert found["r2"] == pytest.approx(r2_score(REFERENCE, PREDICTED))
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((PREDICTED - REFERENCE) ** 2)))
    assert found["mae"] == pytest.approx(np.abs(PREDICTED - REFERENCE).mean())
    assert rate(PREDICTED, REFERENCE, GROUPS)["spearman_within"][1] == 3


def test_a_constant_prediction_has_an_r2_and_no_correlation() -> None:
    found = {name: value for name, (value, _) in rate(np.full(len(GROUPS), 0.1), REFERENCE, GROUPS).items()}
    assert np.isnan(found["r"]) and np.isnan(found["spearman"]) and found["spearman_within"] == 0
    assert found["r2"] == pytest.approx(r2_score(REFERENCE, np.full(len(GROUPS), 0.1)))
