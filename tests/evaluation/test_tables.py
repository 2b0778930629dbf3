"""Metric rows and floors against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from psigraph.evaluation.tables import (
    SUMMARY_COLUMNS,
    EvaluationError,
    RunIdentity,
    floor_predictions,
    metric_table,
    read_predictions,
)

IDENTITY = RunIdentity("delta", "delta", "pairs", "delta_coupling", 3, "group")


def predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "split": ["train", "train", "test", "test", "test"],
            "v_0": [-1.0, -2.0, -3.0, 0.0, 1.0],
            "v_pred": [-2.0, -4.0, -5.0, 0.0, 2.0],
            "v_ref": [-2.0, -4.0, -4.0, 0.05, 4.0],
            "unit": "kcal/mol",
        }
    )


def value(table: pd.DataFrame, architecture: str, metric: str, target: str = "v_ref", split: str = "test") -> float:
    chosen = table[
        (table["architecture"] == architecture)
        & (table["metric"] == metric)
        & (table["target"] == target)
        & (table["split"] == split)
    ]
    assert len(chosen) == 1
    return float(chosen["value"].iloc[0])


def test_floors_use_the_training_mean_only() -> None:
    floors = floor_predictions(predictions())
    np.testing.assert_allclose(floors["floor:v0"], [-1, -2, -3, 0, 1])
    np.testing.assert_allclose(floors["floor:mean_delta"], np.array([-1, -2, -3, 0, 1]) - 1.5)


def test_floor_needs_training_samples() -> None:
    with pytest.raises(EvaluationError, match="no training samples"):
        floor_predictions(predictions().assign(split="test"))


def test_metric_rows_by_hand() -> None:
    table = metric_table(predictions(), IDENTITY, epsilon=0.1)
    assert tuple(table.columns) == SUMMARY_COLUMNS
    errors = np.array([1.0, 0.05, 2.0])
    assert value(table, "delta_coupling", "mae") == pytest.approx(errors.mean())
    assert value(table, "delta_coupling", "rmse") == pytest.approx(np.sqrt((errors**2).mean()))
    assert value(table, "delta_coupling", "mape") == pytest.approx(100 * (1 / 4 + 0.05 / 0.1 + 2 / 4) / 3)
    assert value(table, "delta_coupling", "n_below_epsilon") == 1
    assert value(table, "delta_coupling", "mape_epsilon") == 0.1
    assert value(table, "floor:v0", "mae") == pytest.approx((1 + 0.05 + 3) / 3)
    assert value(table, "floor:mean_delta", "mae") == pytest.approx((0.5 + 1.55 + 4.5) / 3)
    reference = np.array([-4, 0.05, 4])
    spread = np.square(reference - reference.mean()).sum()
    assert value(table, "delta_coupling", "r2") == pytest.approx(1 - np.square(errors).sum() / spread)
    assert value(table, "delta_coupling", "spearman") == pytest.approx(1.0)


def test_delta_v_is_rated_without_v0() -> None:
    table = metric_table(predictions(), IDENTITY, epsilon=0.1)
    assert value(table, "delta_coupling", "mae", "delta_v") == value(table, "delta_coupling", "mae")
    delta, predicted = np.array([-1.0, 0.05, 3.0]), np.array([-2.0, 0.0, 1.0])
    assert value(table, "delta_coupling", "r", "delta_v") == pytest.approx(np.corrcoef(delta, predicted)[0, 1])
    assert np.isnan(value(table, "floor:mean_delta", "r", "delta_v"))


def test_rows_say_which_run_unit_and_how_many() -> None:
    table = metric_table(predictions(), IDENTITY, epsilon=0.1)
    assert set(table["seed"]) == {3} and set(table["split_kind"]) == {"group"}
    assert set(table.loc[table["split"] == "test", "n"]) == {3}
    assert set(table["architecture"]) == {"delta_coupling", "floor:v0", "floor:mean_delta"}
    units = table.groupby("metric")["unit"].first()
    assert (units["mae"], units["mape"], units["r2"]) == ("kcal/mol", "%", "1")


def test_empty_split_has_no_rows() -> None:
    assert "validation" not in set(metric_table(predictions(), IDENTITY, epsilon=0.1)["split"])


def test_predictions_without_a_column_are_refused(tmp_path) -> None:
    predictions().to_csv(tmp_path / "predictions.csv")
    with pytest.raises(EvaluationError, match="lacks the column index, id, group"):
        read_predictions(tmp_path / "predictions.csv")
