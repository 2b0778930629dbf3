"""Predictions and metrics of a run on complexes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_complexes import identity, predictions

from psigraph.evaluation.affinity.tables import FLOORS, metric_table, predictors, read_predictions
from psigraph.evaluation.tables import SUMMARY_COLUMNS, EvaluationError

KEYS = ["architecture", "split", "metric"]


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    frame = predictions(n=36).assign(group="NA", ligand="N")
    frame.loc[3, "reference"] = np.nan
    frame.to_csv(tmp_path / "p.csv", index=False)
    found = read_predictions(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
    assert found["pred_tta"].isna().any() and set(found["group"]) == {"NA"}
    frame.drop(columns="floor:ligand").to_csv(tmp_path / "q.csv", index=False)
    with pytest.raises(EvaluationError, match="q.csv: lacks the column floor:ligand; evaluate this run again"):
        read_predictions(tmp_path / "q.csv")


def test_every_metric_stands_beside_every_floor() -> None:
    frame = predictions()
    table = metric_table(frame, identity())
    assert tuple(table.columns) == SUMMARY_COLUMNS and not table.duplicated(KEYS).any()
    assert set(table["architecture"]) == {"a", *FLOORS} and set(table["split"]) == {"train", "validation", "test"}
    value, n = (table.set_index(KEYS)[column] for column in ("value", "n"))
    test = frame[frame["split"] == "test"]
    for name, values in predictors(test, "a").items():
        error = values - test["reference"]
        assert value[name, "test", "rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
        assert value[name, "test", "mae"] == pytest.approx(np.abs(error).mean())
        assert n[name, "test", "rmse"] == len(test)
    assert n["a", "test", "spearman_within"] == test["group"].nunique() == 4
    assert np.isnan(value["floor:mean", "test", "r"]) and value["floor:mean", "test", "spearman_within"] == 0


def test_rotation_is_rated_on_test_complexes_of_the_model_alone() -> None:
    frame = predictions()
    test = frame["split"] == "test"
    frame = frame.assign(pred_tta=np.where(test, frame["reference"] + 0.5, np.nan))
    frame.loc[np.flatnonzero(test)[0], ["drift_sd", "drift_tta"]] = [0.6, 0.3]
    table = metric_table(frame, identity())
    rotated = table[table["metric"].str.contains("tta|rotation")]
    assert set(rotated["architecture"]) == {"a"} and set(rotated["split"]) == {"test"}
    value = rotated.set_index("metric")["value"]
    assert value["rmse_tta"] == pytest.approx(0.5) and value["mae_tta"] == pytest.approx(0.5)
    assert value["r_tta"] == pytest.approx(1.0) and value["r2_tta"] < 1
    many = test.sum() - 1
    assert value["rotation_sd"] == pytest.approx(np.sqrt((many * 0.2**2 + 0.6**2) / (many + 1)))
    assert value["rotation_sd_tta"] == pytest.approx(np.sqrt((many * 0.1**2 + 0.3**2) / (many + 1)))


def test_complexes_without_a_label_count_nowhere() -> None:
    frame = predictions()
    rows = np.flatnonzero(frame["split"] == "test")[:5]
    frame.loc[rows, "reference"] = np.nan
    table = metric_table(frame, identity()).set_index(KEYS)
    assert table.loc[("a", "test", "rmse"), "n"] == (frame["split"] == "test").sum() - 5
    assert np.isfinite(table.loc[("a", "test", "rmse"), "value"])


def test_without_training_complexes_there_are_no_floors() -> None:
    with pytest.raises(EvaluationError, match="no training complexes"):
        metric_table(predictions().assign(split="test"), identity())
