"""Comparison of an experiment on molecules: pooling, pairing, intervals, plots."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_molecules import identity, predictions, write_run

from psigraph.evaluation.bootstrap import difference_interval, difference_intervals
from psigraph.evaluation.experiment import compare_experiment
from psigraph.evaluation.regional.comparison import COMPARISON_COLUMNS, pretraining_table
from psigraph.evaluation.regional.comparison_figures import FILES
from psigraph.evaluation.regional.pretraining import objective_metrics, objective_predictions
from psigraph.evaluation.regional.run_figures import by_size
from psigraph.evaluation.tables import EvaluationError

ERRORS = {"pamnet": 0.3, "tiered_heads": 0.1}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("compared")
    files = [write_run(folder, predictions(name, seed, error=e)) for name, e in ERRORS.items() for seed in (0, 1)]
    outputs = {"output": folder / "comparison.csv", "plots": folder / "plots"}
    return folder, compare_experiment("random", [p for p, _ in files], [h for _, h in files], **outputs)


def test_each_architecture_stands_beside_pamnet_and_both_floors(compared: tuple[Path, pd.DataFrame]) -> None:
    folder, table = compared
    assert tuple(table.columns) == COMPARISON_COLUMNS
    floors = ["floor:mean", "floor:composition"]
    for name, references in (("pamnet", floors), ("tiered_heads", ["pamnet", *floors])):
        own = table[(table["architecture"] == name) & (table["target"] == "u0") & (table["metric"] == "mae")]
        assert own["reference"].tolist() == references
        assert (own["high"] < 0).all() and own["n_runs"].tolist() == [2] * len(own)
    assert sorted(path.name for path in (folder / "plots").iterdir()) == sorted(FILES)
    assert len(pd.read_csv(folder / "comparison.csv")) == len(table) == 2 * 3 * (2 + 3)


@pytest.mark.parametrize("metric", ["mae", "rmse", "mae_relative"])
def test_values_are_means_over_molecules_of_means_over_runs(compared: tuple[Path, pd.DataFrame], metric: str) -> None:
    losses = []
    for seed in (0, 1):
        test = predictions("tiered_heads", seed, error=0.1).query("split == 'test' and gap == gap")
        predicted, reference = test["gap_predicted"], test["gap"]
        if metric == "mae_relative":
            means = test.groupby("group")[["gap_predicted", "gap"]].transform("mean")
            alone = test.groupby("group")["gap"].transform("size") == 1
            predicted, reference = (predicted - means["gap_predicted"])[~alone], (reference - means["gap"])[~alone]
        error = (predicted - reference).abs()
        losses.append(error**2 if metric == "rmse" else error)
    finish = np.sqrt if metric == "rmse" else float
    rows = compared[1].query("architecture == 'tiered_heads' and target == 'gap' and metric == @metric")
    assert rows["value"].iloc[0] == pytest.approx(finish(pd.concat(losses).groupby(level=0).mean().mean()))
    by_run = [finish(loss.mean()) for loss in losses]
    assert rows["sd"].iloc[0] == pytest.approx(np.std(by_run, ddof=1))
    assert rows["lowest"].iloc[0] == pytest.approx(min(by_run))


def test_difference_is_over_what_both_tested_with_the_same_seed(tmp_path: Path) -> None:
    runs = [predictions("pamnet", 0), predictions("tiered_heads", 0, error=0.5), predictions("tiered_heads", 1)]
    files = [write_run(tmp_path, run) for run in runs]
    outputs = {"output": tmp_path / "comparison.csv", "plots": tmp_path / "plots"}
    table = compare_experiment("random", [p for p, _ in files], [h for _, h in files], **outputs)
    row = table.query("architecture == 'tiered_heads' and target == 'u0' and metric == 'mae' and reference == 'pamnet'")
    a, b = (run.query("split == 'test'") for run in runs[:2])
    expected = (b["u0_predicted"] - b["u0"]).abs().mean() - (a["u0_predicted"] - a["u0"]).abs().mean()
    assert row["difference"].iloc[0] == pytest.approx(expected)
    assert row["n_common"].iloc[0] == len(a) < row["n_samples"].iloc[0]


def test_runs_of_another_experiment_or_target_are_refused(tmp_path: Path) -> None:
    one, other = (write_run(tmp_path, predictions(seed=seed)) for seed in (0, 1))
    outputs = {"output": tmp_path / "comparison.csv", "plots": tmp_path / "plots"}
    with pytest.raises(EvaluationError, match="of experiment 'random', expected 'size'"):
        compare_experiment("size", [one[0]], [one[1]], **outputs)
    lacking = pd.read_csv(other[0])
    lacking.drop(columns=[c for c in lacking if c.startswith("gap")]).to_csv(other[0], index=False)
    with pytest.raises(EvaluationError, match="predicts other targets"):
        compare_experiment("random", [one[0], other[0]], [one[1], other[1]], **outputs)
    assert not outputs["output"].exists()


def test_many_intervals_at_once_are_those_of_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    groups = np.array([f"g{i}" for i in rng.integers(0, 30, size=200)])
    own, other = rng.gamma(2.0, size=(2, 200, 3))
    own[:20, 1] = np.nan
    found = difference_intervals(groups, own, other, roots=np.array([False, False, True]))
    for k, transform in enumerate((lambda m: m, lambda m: m, np.sqrt)):
        known = np.isfinite(own[:, k])
        low, high = difference_interval(groups[known], own[known, k], other[known, k], transform=transform, seed=7)
        np.testing.assert_allclose(found[k], (low, high), atol=0.05 * (high - low))


def test_one_group_gives_no_interval() -> None:
    own = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, np.nan]])
    found = difference_intervals(np.array(["a", "b", "b"]), own, own * 0.5)
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()


def test_sizes_share_bins_where_there_are_many() -> None:
    heavy, errors = np.repeat(np.arange(1, 31), 4), np.repeat(np.arange(30.0), 4)
    errors[0] = np.nan
    x, y, counts = by_size(heavy, errors)
    assert len(x) <= 12 and counts.sum() == 119 and (np.diff(x) > 0).all() and (np.diff(y) > 0).all()
    x, y, counts = by_size(np.array([1, 1, 3]), np.array([1.0, 3.0, 5.0]))
    assert (x.tolist(), y.tolist(), counts.tolist()) == ([1, 3], [2, 5], [2, 1])


def test_pretraining_stands_beside_its_floor() -> None:
    splits = np.array(["train", "test", "test", "test"])
    values = {
        ("contrast", "loss", None): np.array([1.0, 2.0, 4.0, 3.0]),
        ("contrast", "accuracy", None): np.array([0.0, 0.5, 1.0, np.nan]),
        ("contrast", "accuracy", "floor:chance"): np.array([0.1, 0.1, 0.3, 0.1]),
    }
    metrics = pd.concat([objective_metrics(splits, values, identity(seed=seed)) for seed in (0, 1)])
    assert metrics.query("split == 'test' and metric == 'accuracy'")["n"].tolist() == [2, 3, 2, 3]
    table = pretraining_table(metrics).set_index("metric")
    assert table.loc["accuracy", "value"] == 0.75 and table.loc["accuracy", "reference"] == "floor:chance"
    assert table.loc["accuracy", "difference"] == pytest.approx(0.75 - 0.5 / 3)
    assert table.loc["loss", "value"] == 3.0 and np.isnan(table.loc["loss", "value_reference"])


def test_pretraining_is_compared_without_intervals(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "told_apart" / "pamnet" / "seed0"
    folder.mkdir(parents=True)
    own = identity(experiment="told_apart")
    values = {("contrast", "loss", None): np.array([1.0, 2.0])}
    objective_metrics(np.array(["train", "test"]), values, own).to_csv(tmp_path / "metrics.csv", index=False)
    first = pd.DataFrame({"index": [0, 1], "id": ["a", "b"]})
    objective_predictions(first, values, own).to_csv(tmp_path / "predictions.csv", index=False)
    pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}).to_csv(folder / "history.csv")
    outputs = {"output": tmp_path / "comparison.csv", "plots": tmp_path / "plots"}
    table = compare_experiment("told_apart", [tmp_path / "predictions.csv"], [folder / "history.csv"], **outputs)
    assert table["value"].tolist() == [2.0] and table["low"].isna().all()
    assert [path.name for path in outputs["plots"].iterdir()] == ["learning_curves.png"]
