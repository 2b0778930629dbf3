"""Compare the runs of one experiment on complexes: every architecture and ensemble with every floor.

A metric is taken over the test complexes of each run, and `value` is its mean over the runs. Intervals are a bootstrap
that draws what the split keeps together (`DRAWN`): targets, scaffolds or ligands; in each draw the metric is taken for
every run, and a model and a floor share the draws and the runs, so their difference is paired (`bootstrap`). Spearman's
correlation has no interval. `difference` is architecture minus reference: of errors a negative one is better, of
correlations a positive one.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation.affinity.comparison_figures import plot_comparison
from psigraph.evaluation.affinity.ensembles import Ensemble, calibration, ensembles_of
from psigraph.evaluation.affinity.sums import interval_table
from psigraph.evaluation.affinity.tables import FLOORS, HIGHER_IS_BETTER, predictors, rate, read_predictions
from psigraph.evaluation.pooling import rated_runs
from psigraph.evaluation.tables import write_csv

log = logging.getLogger(__name__)

METRICS = ("r", "r2", "spearman", "spearman_within", "rmse", "mae")
#: What a draw of the bootstrap takes with replacement, by the kind of split: column of predictions.csv, its name.
DRAWN = {
    "group": ("group", "targets"),
    "given": ("group", "targets"),
    "scaffold": ("system", "scaffolds"),
    "random": ("ligand", "ligands"),
}
COMPARISON_COLUMNS = (
    "experiment",
    "split_kind",
    "target",
    "metric",
    "architecture",
    "value",
    "sd",
    "lowest",
    "highest",
    "value_low",
    "value_high",
    "unit",
    "n_runs",
    "n_samples",
    "n_groups",
    "drawn",
    "reference",
    "value_reference",
    "difference",
    "low",
    "high",
    "n_common",
)
TARGET_COLUMNS = ("predictor", "group", "n", "sd_reference", "spearman", "r", "rmse", "mae", "bias")


def compare_complexes(
    experiment: str,
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    output: str | Path,
    plots: str | Path,
    folds: int = 0,
) -> pd.DataFrame:
    """Write `comparison.csv`, and into `plots` the figures, `targets.csv` and `ensembles.csv`; return the comparison.

    `predictions` and `histories` name the files of the runs in one order; metrics.csv lies beside each predictions.csv.
    Raises EvaluationError where the runs are not of this experiment.
    """
    rated = rated_runs(predictions, experiment, folds)
    runs = [read_predictions(path) for path in predictions]
    ensembles = ensembles_of(runs)
    tested = held_out_runs(runs, ensembles)
    if not tested:
        log.warning("%s: no run has test complexes: the comparison is empty", experiment)
    table = comparison_table(tested, experiment, str(rated["split_kind"].iloc[0]), ensembles)
    by_target = target_table(tested)
    curves = [
        pd.read_csv(path).assign(architecture=run["architecture"].iloc[0], seed=run["seed"].iloc[0])
        for path, run in zip(histories, runs, strict=True)
    ]
    folder = Path(plots)
    plot_comparison(table, by_target, tested, ensembles, curves, folder, experiment)
    write_csv(by_target, folder / "targets.csv")
    write_csv(ensemble_table(ensembles), folder / "ensembles.csv")
    write_csv(table, output)
    return table


def held_out_runs(runs: Sequence[pd.DataFrame], ensembles: Sequence[Ensemble]) -> dict[str, list[pd.DataFrame]]:
    """Return for each architecture and ensemble the test complexes with a label, run by run, with its predictions.

    An ensemble predicts the same in each of its members' runs; what differs between them are the floors.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    by_run = {}
    for run in runs:
        test = run[(run["split"] == "test") & run["reference"].notna()].set_index("index", drop=False)
        name, seed = str(run["architecture"].iloc[0]), int(run["seed"].iloc[0])
        by_run[name, seed] = test
        if len(test):
            found.setdefault(name, []).append(test)
    for item in ensembles:
        own = item.of("test").set_index("index")["predicted"]
        found[item.name] = [by_run[member].loc[own.index].assign(predicted=own) for member in item.members]
    return found


def comparison_table(
    tested: Mapping[str, Sequence[pd.DataFrame]], experiment: str, split_kind: str, ensembles: Sequence[Ensemble] = ()
) -> pd.DataFrame:
    """Return a row for each architecture or ensemble, metric and floor, then the calibration of the ensembles.

    Without test complexes the table is empty.
    """
    column, drawn = DRAWN[split_kind.split(",")[0]]
    rows: list[dict[str, Any]] = []
    for name, frames in tested.items():
        first = {"experiment": experiment, "split_kind": split_kind, "architecture": name, "drawn": drawn}
        rows += [{**first, **row} for row in _rows(name, frames, column)]
    for item in ensembles:
        test = item.of("test")
        own: dict[str, Any] = {"experiment": experiment, "split_kind": split_kind, "architecture": item.name}
        own |= {"n_runs": len(item.members), "n_samples": len(test), "n_groups": test["group"].nunique(), "unit": "1"}
        own["target"] = tested[item.name][0]["target"].iloc[0]
        rows += [{**own, "metric": metric, "value": value} for metric, value in calibration(item).items()]
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def _rows(name: str, frames: Sequence[pd.DataFrame], column: str) -> list[dict[str, Any]]:
    """Return the rows of one architecture or ensemble; `column` names what the bootstrap draws."""
    names = [name, *FLOORS]
    intervals = interval_table(frames, names, column)
    values = [_rated(frame, name) for frame in frames]
    once = pd.concat(frames).drop_duplicates("index")
    rows = []
    for metric in METRICS:
        own = pd.Series([value[name].get(metric, np.nan) for value in values])
        low, high = intervals.get((metric, name, None), (np.nan, np.nan))
        row = {
            "target": once["target"].iloc[0],
            "metric": metric,
            "value": own.mean(),
            "sd": np.nan if own.nunique() < 2 else own.std(ddof=1),
            "lowest": own.min(),
            "highest": own.max(),
            "value_low": low,
            "value_high": high,
            "unit": once["unit"].iloc[0] if metric in ("rmse", "mae") else "1",
            "n_runs": len(frames),
            "n_samples": len(once),
            "n_groups": once[column].nunique(),
            "n_common": len(once),
        }
        for floor in FLOORS:
            other = pd.Series([value[floor].get(metric, np.nan) for value in values]).mean()
            low, high = intervals.get((metric, name, floor), (np.nan, np.nan))
            against = {"value_reference": other, "difference": own.mean() - other, "low": low, "high": high}
            rows.append({**row, "reference": floor, **against})
    return rows


def _rated(frame: pd.DataFrame, name: str) -> dict[str, dict[str, float]]:
    """Return every metric of the model and of each floor on one run's test complexes."""
    reference, groups = frame["reference"].to_numpy(float), frame["group"].to_numpy()
    found = {who: rate(values, reference, groups) for who, values in predictors(frame, name).items()}
    return {who: {metric: value for metric, (value, _) in values.items()} for who, values in found.items()}


def better(row: Mapping[str, Any]) -> bool | None:
    """Return whether an interval says that the architecture is better than its reference; None: it does not say."""
    if not np.isfinite(row["low"]) or row["low"] <= 0 <= row["high"]:
        return None
    return bool((row["low"] > 0) == (row["metric"] in HIGHER_IS_BETTER))


def target_table(tested: Mapping[str, Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """Return how each architecture, ensemble and floor does on each target's test complexes, means over its runs.

    `bias` is the mean of prediction minus label; correlations are NaN for targets that `metrics.by_group` leaves out.
    """
    rows = []
    seen = set()
    for name, frames in tested.items():
        for who in (name, *FLOORS):
            if who in seen:
                continue
            seen.add(who)
            found = pd.concat([_by_target(frame, predictors(frame, name)[who]) for frame in frames])
            means = found.groupby("group", sort=True).mean().reset_index()
            rows.append(means.assign(predictor=who, n=means["n"].astype(int)))
    if not rows:
        return pd.DataFrame(columns=list(TARGET_COLUMNS))
    return pd.concat(rows, ignore_index=True)[list(TARGET_COLUMNS)]


def _by_target(frame: pd.DataFrame, predicted: np.ndarray) -> pd.DataFrame:
    """Return one row per target of one run's test complexes."""
    reference, groups = frame["reference"].to_numpy(float), frame["group"].to_numpy(str)
    ranks, lines = (metrics.by_group(m, predicted, reference, groups) for m in (metrics.spearman, metrics.r))
    rows = []
    for name in np.unique(groups):
        own = groups == name
        p, q = predicted[own], reference[own]
        row = {"group": name, "n": int(own.sum()), "sd_reference": float(q.std()), "bias": float((p - q).mean())}
        row |= {"spearman": ranks.get(str(name), np.nan), "r": lines.get(str(name), np.nan)}
        rows.append({**row, "rmse": metrics.rmse(p, q), "mae": metrics.mae(p, q)})
    return pd.DataFrame(rows)


def ensemble_table(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """Return what each ensemble predicts for validation and test complexes, with the spread of its members."""
    columns = ["ensemble", "index", "id", "group", "split", "reference", "predicted", "sd"]
    parts = [item.predictions.assign(ensemble=item.name) for item in ensembles]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
