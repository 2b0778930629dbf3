"""Comparison of an experiment on complexes: means over runs, what is drawn, ensembles, targets, files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_complexes import predictions, write_run

from psigraph import metrics
from psigraph.evaluation.affinity.comparison import (
    COMPARISON_COLUMNS,
    METRICS,
    TARGET_COLUMNS,
    better,
    comparison_table,
    held_out_runs,
)
from psigraph.evaluation.affinity.comparison_figures import FILES
from psigraph.evaluation.affinity.ensembles import CALIBRATION
from psigraph.evaluation.affinity.tables import FLOORS
from psigraph.evaluation.experiment import compare_experiment
from psigraph.evaluation.tables import EvaluationError

ERRORS = {"a": 0.9, "b": 0.2}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("compared")
    files = [write_run(folder, predictions(name, seed, error=e)) for name, e in ERRORS.items() for seed in (0, 1)]
    outputs = {"output": folder / "comparison.csv", "plots": folder / "plots"}
    return folder, compare_experiment("target", [p for p, _ in files], [h for _, h in files], **outputs)


def test_each_model_and_ensemble_stands_beside_every_floor(compared: tuple[Path, pd.DataFrame]) -> None:
    folder, table = compared
    assert tuple(table.columns) == COMPARISON_COLUMNS
    names = ["a", "b", "ensemble:a", "ensemble:b", "ensemble"]
    rated = table[table["reference"].notna()]
    for name in names:
        own = rated[(rated["architecture"] == name) & (rated["metric"] == "r")]
        assert own["reference"].tolist() == list(FLOORS) and set(own["drawn"]) == {"targets"}
        assert own["n_groups"].tolist() == [4] * 4
    assert len(rated) == len(names) * len(METRICS) * len(FLOORS)
    assert set(table.loc[table["reference"].isna(), "metric"]) == set(CALIBRATION)
    assert len(pd.read_csv(folder / "comparison.csv")) == len(table)
    written = {path.name for path in (folder / "plots").iterdir()}
    assert written == {*FILES, "targets.csv", "ensembles.csv"}


def test_values_are_means_over_runs(compared: tuple[Path, pd.DataFrame]) -> None:
    _, table = compared
    tests = [predictions("b", seed, error=0.2).query("split == 'test'") for seed in (0, 1)]
    own = [metrics.r(test["predicted"].to_numpy(), test["reference"].to_numpy()) for test in tests]
    other = [metrics.r(test["floor:ligand"].to_numpy(), test["reference"].to_numpy()) for test in tests]
    row = table.query("architecture == 'b' and metric == 'r' and reference == 'floor:ligand'").iloc[0]
    assert row["value"] == pytest.approx(np.mean(own)) and row["sd"] == pytest.approx(np.std(own, ddof=1))
    assert row["value_reference"] == pytest.approx(np.mean(other))
    assert row["difference"] == pytest.approx(np.mean(own) - np.mean(other))
    assert row["low"] < row["difference"] < row["high"] and row["value_low"] < row["value"] < row["value_high"]
    spearman = table.query("architecture == 'b' and metric == 'spearman'")
    assert spearman["low"].isna().all() and spearman["value"].notna().all()


def test_an_ensemble_is_compared_with_the_floors_of_its_members(compared: tuple[Path, pd.DataFrame]) -> None:
    folder, table = compared
    rows = table.query("metric == 'rmse' and reference == 'floor:forest'").set_index("architecture")
    assert rows.loc["ensemble:a", "value_reference"] == pytest.approx(rows.loc["a", "value_reference"])
    assert rows.loc["ensemble:a", "value"] < rows.loc["a", "value"] and np.isnan(rows.loc["ensemble:a", "sd"])
    saved = pd.read_csv(folder / "plots" / "ensembles.csv").query("ensemble == 'ensemble' and split == 'test'")
    error = saved["predicted"] - saved["reference"]
    assert rows.loc["ensemble", "value"] == pytest.approx(np.sqrt(np.mean(error**2)))


def test_single_targets(compared: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = compared
    table = pd.read_csv(folder / "plots" / "targets.csv")
    assert tuple(table.columns) == TARGET_COLUMNS and not table.duplicated(["predictor", "group"]).any()
    row = table.query("predictor == 'a' and group == 't9'").iloc[0]
    tests = [predictions("a", seed, error=0.9).query("split == 'test' and group == 't9'") for seed in (0, 1)]
    assert row["n"] == 10
    assert row["bias"] == pytest.approx(np.mean([(test["predicted"] - test["reference"]).mean() for test in tests]))
    ranks = [metrics.spearman(test["predicted"].to_numpy(), test["reference"].to_numpy()) for test in tests]
    assert row["spearman"] == pytest.approx(np.mean(ranks))
    assert (table.loc[table["predictor"] == "floor:mean", "spearman"] == 0).all()


@pytest.mark.parametrize(
    ("by", "drawn", "groups"),
    [
        ("group", "targets", 4),
        ("group, 5 folds", "targets", 4),
        ("scaffold", "scaffolds", 40),
        ("random", "ligands", 40),
    ],
)
def test_what_a_split_keeps_together_is_drawn(by: str, drawn: str, groups: int) -> None:
    tested = held_out_runs([predictions()], [])
    table = comparison_table(tested, "target", by)
    assert set(table["drawn"]) == {drawn}
    assert set(table["n_groups"]) == {tested["a"][0]["system"].nunique() if drawn == "scaffolds" else groups}
    known = table.loc[table["metric"] == "spearman_within", "value_low"].notna()
    assert known.all() if drawn == "targets" else not known.any()


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("r", 0.1, 0.3, True),
        ("r", -0.3, -0.1, False),
        ("rmse", 0.1, 0.3, False),
        ("rmse", -0.3, -0.1, True),
        ("r", -0.1, 0.1, None),
        ("rmse", np.nan, np.nan, None),
    ],
)
def test_better_follows_the_interval(metric: str, low: float, high: float, expected: bool | None) -> None:
    assert better({"metric": metric, "low": low, "high": high}) is expected


def test_without_test_complexes_the_comparison_is_empty(tmp_path: Path) -> None:
    frame = predictions()
    frame = frame.assign(split=frame["split"].replace("test", "validation"))
    path, history = write_run(tmp_path, frame)
    outputs = {"output": tmp_path / "comparison.csv", "plots": tmp_path / "plots"}
    assert compare_experiment("target", [path], [history], **outputs).empty
    assert {file.name for file in (tmp_path / "plots").iterdir()} == {
        "learning_curves.png", "targets.csv", "ensembles.csv"
    }  # fmt: skip


def test_runs_of_another_experiment_are_refused(tmp_path: Path) -> None:
    path, history = write_run(tmp_path, predictions())
    with pytest.raises(EvaluationError, match="of experiment 'target', expected 'other'"):
        compare_experiment("other", [path], [history], output=tmp_path / "c.csv", plots=tmp_path / "plots")
    assert not (tmp_path / "c.csv").exists()
