"""Pooling over runs, comparison with floors, and which plots are drawn."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_project import SmallProject

from psigraph.evaluation.experiment import COMPARISON_COLUMNS, compare_experiment, comparison_table, read_runs
from psigraph.evaluation.interaction_figure import choose_systems, plot_interaction_curves
from psigraph.evaluation.pooling import METRICS, pooled
from psigraph.evaluation.tables import EvaluationError


def cross_validation(repeats: int = 2, folds: int = 4, n: int = 40, seed: int = 0) -> pd.DataFrame:
    """Runs of a made-up cross-validation, as `read_runs` gives them."""
    rng = np.random.default_rng(seed)
    v_ref = rng.normal(size=n) * 3
    v_0 = v_ref + 1.0 + rng.normal(size=n) * 0.5
    runs = []
    for repeat in range(repeats):
        fold = rng.permutation(n) % folds
        for k in range(folds):
            runs.append(
                pd.DataFrame(
                    {
                        "index": np.arange(n),
                        "id": [f"s{i}" for i in range(n)],
                        "group": [f"g{i // 2}" for i in range(n)],
                        "split": np.where(fold == k, "test", "train"),
                        "v_0": v_0,
                        "v_ref": v_ref,
                        "v_pred": v_ref + rng.normal(size=n) * 0.3,
                        "floor:v0": v_0,
                        "floor:mean_delta": v_0 + (v_ref - v_0)[fold != k].mean(),
                        "unit": "kcal/mol",
                        "experiment": "delta",
                        "architecture": "delta_coupling",
                        "seed": repeat * folds + k,
                        "run": repeat * folds + k,
                    }
                )
            )
    return pd.concat(runs, ignore_index=True)


@pytest.mark.parametrize("column", ["v_pred", "floor:mean_delta"])
def test_folds_are_pooled_within_each_repeat_and_averaged(column: str) -> None:
    runs = cross_validation()
    test = runs[runs["split"] == "test"]
    by_repeat = [(part[column] - part["v_ref"]).abs().mean() for _, part in test.groupby(test["seed"] // 4)]
    assert len(by_repeat) == 2
    assert pooled(test, column, METRICS["mae"], 0.1) == pytest.approx(np.mean(by_repeat))


def test_sample_predicted_more_often_counts_once() -> None:
    frame = pd.DataFrame({"index": [0, 0, 0, 1], "v_ref": [0.0, 0, 0, 4], "v_pred": [1.0, 2, 3, 8]})
    assert pooled(frame, "v_pred", METRICS["mae"], 0.5) == pytest.approx((2 + 4) / 2)
    assert pooled(frame, "v_pred", METRICS["rmse"], 0.5) == pytest.approx(np.sqrt(((1 + 4 + 9) / 3 + 16) / 2))
    assert pooled(frame, "v_pred", METRICS["mape"], 0.5) == pytest.approx(100 * ((1 + 2 + 3) / 3 / 0.5 + 1) / 2)


def test_comparison_states_both_values_and_their_paired_difference() -> None:
    table = comparison_table(cross_validation(), "group, 4 folds", 0.1)
    assert tuple(table.columns) == COMPARISON_COLUMNS
    assert len(table) == 2 * 3
    np.testing.assert_allclose(table["difference"], table["value_model"] - table["value_floor"])
    mae = table[table["metric"] == "mae"]
    assert (mae["low"] < mae["difference"]).all() and (mae["difference"] < mae["high"]).all()
    assert (mae["high"] < 0).all()
    assert set(mae["n_samples"]) == {40} and set(mae["n_groups"]) == {20}
    assert set(mae["n_predictions"]) == {80} and set(mae["n_runs"]) == {8}
    assert set(table.loc[table["metric"] == "mape", "unit"]) == {"%"}


def test_without_test_samples_the_comparison_is_empty() -> None:
    runs = cross_validation().assign(split="train")
    table = comparison_table(runs, "group", 0.1)
    assert table.empty and tuple(table.columns) == COMPARISON_COLUMNS


def test_compared_runs_have_their_own_floors_and_plots(project: SmallProject) -> None:
    runs = read_runs([run.evaluation / "predictions.csv" for run in project.runs])
    means = runs.groupby("seed").apply(lambda f: (f["floor:mean_delta"] - f["v_0"]).iloc[0], include_groups=False)
    for seed, frame in runs.groupby("seed"):
        train = frame[frame["split"] == "train"]
        assert means[seed] == pytest.approx((train["v_ref"] - train["v_0"]).mean())
    assert means.nunique() == 2
    plots = project.results / "plots" / "delta" / "all"
    assert sorted(p.name for p in plots.iterdir()) == ["error_vs_distance.png", "learning_curves.png", "parity.png"]


def test_other_experiment_and_missing_histories_are_refused(project: SmallProject, tmp_path: Path) -> None:
    predictions = [run.evaluation / "predictions.csv" for run in project.runs]
    histories = [run.model / "history.csv" for run in project.runs]
    outputs = {"output": tmp_path / "comparison.csv", "plots": tmp_path / "plots"}
    with pytest.raises(EvaluationError, match="of experiment 'delta', expected 'other'"):
        compare_experiment("other", predictions, histories, **outputs)
    with pytest.raises(EvaluationError, match="2 prediction and 1 history files"):
        compare_experiment("delta", predictions, histories[:1], **outputs)
    assert not any(path.exists() for path in outputs.values())


def test_missing_folds_are_logged(project: SmallProject, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        compare_experiment(
            "delta",
            [run.evaluation / "predictions.csv" for run in project.runs],
            [run.model / "history.csv" for run in project.runs],
            output=tmp_path / "comparison.csv",
            plots=tmp_path / "plots",
            folds=3,
        )
    assert "repeat 0 of the 3 folds lacks the seeds 2" in caplog.text


def curve(system: str, group: str, points: int, split: str = "test") -> pd.DataFrame:
    distance = np.linspace(3, 6, points)
    return pd.DataFrame(
        {
            "id": [f"{system}-{i}" for i in range(points)],
            "group": group,
            "system": system,
            "split": split,
            "R_angstrom": distance,
            "v_0": -10 / distance**2,
            "v_pred": -12 / distance**2,
            "v_ref": -13 / distance**2,
            "unit": "kcal/mol",
            "experiment": "delta",
            "architecture": "delta_coupling",
            "seed": 0,
        }
    )


def test_curves_need_three_separations_outside_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = [curve("a", "O.O", 4), curve("b", "N.O", 2), curve("frame", "frame", 9), curve("c", "F.F", 5, "train")]
    runs = pd.concat(parts, ignore_index=True)
    runs["index"] = np.arange(len(runs))
    assert choose_systems(runs[runs["split"] != "train"]) == ["a"]
    assert plot_interaction_curves(runs, tmp_path / "interaction_curves.png")
    assert (tmp_path / "interaction_curves.png").exists()
    with caplog.at_level(logging.WARNING):
        assert not plot_interaction_curves(runs[runs["system"] != "a"], tmp_path / "none.png")
    assert "no system has 3 separations outside training" in caplog.text
    assert not (tmp_path / "none.png").exists()
