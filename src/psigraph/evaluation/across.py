"""Compare experiments that learn from the same datasets: their test errors side by side, and paired differences.

Two experiments are compared on what both predicted: the same dimer tested by a run with the same seed, so that nothing
but the experiments' settings differs. Pooling over seeds: `pooling`. Interval of a difference: `bootstrap`.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.across_figure import plot_across
from psigraph.evaluation.bootstrap import difference_interval
from psigraph.evaluation.pooling import METRICS, pooled
from psigraph.evaluation.tables import FLOORS, EvaluationError, floor_predictions, read_predictions, write_csv

log = logging.getLogger(__name__)

MAE = METRICS["mae"]
ACROSS_COLUMNS = (
    "dataset",
    "baseline",
    "experiment",
    "architecture",
    "metric",
    "value",
    "sd",
    "lowest",
    "highest",
    *FLOORS,
    "unit",
    "n_runs",
    "n_samples",
    "reference",
    "difference",
    "low",
    "high",
    "n_common",
)


def compare_across(
    predictions: Sequence[str | Path], baselines: Mapping[str, str], *, output: str | Path, plots: str | Path
) -> pd.DataFrame:
    """Compare experiments by the MAE of V_ref on test samples; write the table and one figure per set of datasets.

    `predictions` name the predictions.csv of all runs, in the order in which experiments are shown; metrics.csv lies
    beside each. `baselines` says of each experiment what its V_0 is. Experiments that share datasets and unit with no
    other one are left out. Raises EvaluationError for an experiment without a baseline.
    """
    tests = read_tests(predictions, baselines)
    table = across_table(tests)
    folder = Path(plots)
    folder.mkdir(parents=True, exist_ok=True)
    runs = by_run(tests)
    for name, rows in figures_of(table).items():
        plot_across(rows, runs, folder / name)
    write_csv(table, output)
    return table


def read_tests(paths: Sequence[str | Path], baselines: Mapping[str, str]) -> pd.DataFrame:
    """Return the test predictions of all runs with `dataset`, `baseline` and each floor's V_ref as columns."""
    frames = []
    for path in paths:
        run = read_predictions(path)
        experiment = str(run["experiment"].iloc[0])
        if experiment not in baselines:
            raise EvaluationError(f"{path}: of experiment {experiment!r}, expected {' or '.join(baselines)}")
        dataset = str(pd.read_csv(Path(path).with_name("metrics.csv"))["dataset"].iloc[0])
        run = run.assign(dataset=dataset, baseline=baselines[experiment], **floor_predictions(run))
        frames.append(run[run["split"] == "test"])
    return pd.concat(frames, ignore_index=True)


def across_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Return one row per experiment and architecture, baseline by baseline, in the order of `tests`.

    `sd`, `lowest` and `highest` are over runs. `difference` is to `reference`, the first experiment with the same
    datasets, baseline and architecture; negative is better.
    """
    rows = []
    for (dataset, _), members in tests.groupby(["dataset", "unit"], sort=False):
        if members["experiment"].nunique() > 1:
            for baseline, alike in members.groupby("baseline", sort=False):
                rows += [{"dataset": dataset, "baseline": baseline, **row} for row in _rows(alike)]
    return pd.DataFrame(rows, columns=list(ACROSS_COLUMNS))


def _rows(alike: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of experiments with one baseline, architecture by architecture."""
    rows = []
    for architecture, members in alike.groupby("architecture", sort=False):
        first = None
        for experiment, own in members.groupby("experiment", sort=False):
            first = own if first is None else first
            names = {"experiment": experiment, "architecture": architecture}
            rows.append({**names, **_summary(own), **_difference(own, first)})
    return rows


def figures_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each figure by its file name: one figure per set of datasets and unit."""
    return {
        f"{dataset}_{str(unit).replace('/', '_per_')}.png".replace(", ", "_"): rows
        for (dataset, unit), rows in table.groupby(["dataset", "unit"], sort=False)
    }


def by_run(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the test MAE of every run: baseline, experiment, architecture, seed, value."""
    errors = tests.assign(value=(tests["v_pred"] - tests["v_ref"]).abs())
    keys = ["baseline", "experiment", "architecture", "seed"]
    return errors.groupby(keys, sort=False)["value"].mean().reset_index()


def _summary(own: pd.DataFrame) -> dict[str, Any]:
    """Return errors of one experiment and of its floors."""
    runs = by_run(own)["value"]
    return {
        "metric": "mae",
        "value": pooled(own, "v_pred", MAE, 0.0),
        "sd": float(runs.std(ddof=1)) if len(runs) > 1 else float("nan"),
        "lowest": float(runs.min()),
        "highest": float(runs.max()),
        **{floor: pooled(own, floor, MAE, 0.0) for floor in FLOORS},
        "unit": str(own["unit"].iloc[0]),
        "n_runs": len(runs),
        "n_samples": own["id"].nunique(),
    }


def _difference(own: pd.DataFrame, first: pd.DataFrame) -> dict[str, Any]:
    """Return the paired difference to another experiment with its 95 % interval; NaN to itself or without overlap."""
    reference = str(first["experiment"].iloc[0])
    nothing = {"reference": reference, "difference": np.nan, "low": np.nan, "high": np.nan, "n_common": 0}
    if own is first:
        return nothing
    losses = [
        frame.assign(loss=(frame["v_pred"] - frame["v_ref"]).abs()).set_index(["seed", "id"])["loss"]
        for frame in (own, first)
    ]
    both = pd.concat(losses, axis=1, join="inner", keys=["own", "first"]).groupby(level="id").mean()
    if both.empty:
        log.warning("%s and %s tested no dimer with the same seed", own["experiment"].iloc[0], reference)
        return nothing
    groups = own.drop_duplicates("id").set_index("id")["group"].loc[both.index].to_numpy()
    low, high = difference_interval(groups, both["own"].to_numpy(), both["first"].to_numpy())
    difference = float((both["own"] - both["first"]).mean())
    return {"reference": reference, "difference": difference, "low": low, "high": high, "n_common": len(both)}
