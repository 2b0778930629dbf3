"""Predictions and metrics of a run on molecules."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_molecules import TARGETS, identity, predictions

from psigraph import metrics
from psigraph.evaluation.regional.tables import FLOORS, metric_table, read_predictions, targets_of
from psigraph.evaluation.tables import SUMMARY_COLUMNS, EvaluationError


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    frame = predictions(n=30).assign(group=["NA"] * 30)
    frame.to_csv(tmp_path / "p.csv", index=False)
    found = read_predictions(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
    assert found["gap"].isna().sum() == 2 and targets_of(found) == ["u0", "gap"]
    frame.drop(columns="gap_composition").to_csv(tmp_path / "q.csv", index=False)
    with pytest.raises(EvaluationError, match="q.csv: lacks the column gap_composition"):
        read_predictions(tmp_path / "q.csv")


def test_every_metric_stands_beside_both_floors() -> None:
    frame = predictions()
    table = metric_table(frame, identity(), TARGETS)
    assert tuple(table.columns) == SUMMARY_COLUMNS
    keys = ["architecture", "split", "target", "metric"]
    assert not table.duplicated(keys).any() and len(table) == 3 * 3 * 2 * 4
    assert set(table["architecture"]) == {"pamnet", *FLOORS}
    test = frame[(frame["split"] == "test") & frame["gap"].notna()]
    value = table.set_index(keys)["value"]
    for name, column in (("pamnet", "gap_predicted"), ("floor:composition", "gap_composition")):
        expected = (test[column] - test["gap"]).abs().mean()
        assert value[name, "test", "gap", "mae"] == pytest.approx(expected)
    mean = frame.loc[frame["split"] == "train", "gap"].mean()
    assert value["floor:mean", "test", "gap", "mae"] == pytest.approx((test["gap"] - mean).abs().mean())
    n = table.set_index(keys)["n"]
    assert n["pamnet", "test", "gap", "mae"] == len(test) < (frame["split"] == "test").sum()
    assert set(table.loc[table["metric"] == "r2", "unit"]) == {"1"} and set(table["unit"]) == {"1", "eV"}


def test_relative_error_compares_samples_of_one_molecule() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    reference = np.array([1.0, 3.0, 7.0, 0.0, 3.0, 6.0])
    shifted = reference + np.array([5, 5, 100, -2, -2, -2])
    assert metrics.mae_relative(shifted, reference, groups) == (0.0, 5)
    value, n = metrics.mae_relative(np.zeros(6), reference, groups)
    assert value == pytest.approx((1 + 1 + 3 + 0 + 3) / 5) and n == 5
    assert metrics.mae_relative([1.0], [2.0], np.array(["a"]))[1] == 0


def test_molecules_with_one_sample_have_no_relative_error() -> None:
    table = metric_table(predictions().drop_duplicates("group"), identity(), TARGETS)
    assert "mae_relative" not in set(table["metric"]) and {"mae", "rmse", "r2"} == set(table["metric"])


def test_without_training_molecules_there_are_no_floors() -> None:
    with pytest.raises(EvaluationError, match="no training molecules"):
        metric_table(predictions().assign(split="test"), identity(), TARGETS)
