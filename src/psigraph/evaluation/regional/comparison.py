"""Compare the runs of one experiment on molecules: every architecture with `pamnet` and with the floors.

What is pooled: the losses of the runs that tested a molecule are averaged first, then over molecules. A difference is
taken on what both predicted with the same seed; its interval is a bootstrap over groups (`bootstrap`). `mae_relative`
compares deviations from the mean over a molecule's samples, such as relative energies of conformers.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation.bootstrap import difference_intervals
from psigraph.evaluation.pooling import rated_runs
from psigraph.evaluation.regional.comparison_figures import plot_comparison
from psigraph.evaluation.regional.tables import FLOORS, predictors, read_predictions, targets_of
from psigraph.evaluation.tables import EvaluationError, write_csv

log = logging.getLogger(__name__)

REFERENCE = "pamnet"
METRICS = ("mae", "rmse", "mae_relative")
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
    "unit",
    "n_runs",
    "n_samples",
    "n_groups",
    "reference",
    "value_reference",
    "difference",
    "low",
    "high",
    "n_common",
)


def compare_molecules(
    experiment: str,
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    output: str | Path,
    plots: str | Path,
    folds: int = 0,
) -> pd.DataFrame:
    """Write `comparison.csv` and the plots of one experiment, and return the table.

    `predictions` and `histories` name the files of the runs in one order; metrics.csv lies beside each predictions.csv.
    Raises EvaluationError where the runs are not of this experiment and of the same targets.
    """
    table = rated_runs(predictions, experiment, folds)
    units = {str(row.target): str(row.unit) for row in table[table["metric"] == "mae"].itertuples()}
    if targets_of(pd.read_csv(predictions[0], nrows=0)):
        runs = read_runs(predictions)
        losses, unseen = losses_of(runs), losses_of(runs, ("validation", "test"))
        compared = losses["target"].isin(table.loc[table["metric"] == "mae_relative", "target"])
        losses["mae_relative"] = losses["mae_relative"].where(compared)
        found = comparison_table(losses, units, experiment=experiment, split_kind=str(table["split_kind"].iloc[0]))
    else:
        losses, unseen, found = pd.DataFrame(), pd.DataFrame(), pretraining_table(table)
    curves = [
        pd.read_csv(path).assign(architecture=Path(path).parts[-3], seed=Path(path).parts[-2].removeprefix("seed"))
        for path in histories
    ]
    plot_comparison(losses, unseen, curves, units, Path(plots), experiment)
    write_csv(found, output)
    return found


def read_runs(paths: Sequence[str | Path]) -> list[pd.DataFrame]:
    """Return the predictions of each run. Raises EvaluationError where their targets differ."""
    runs = [read_predictions(path) for path in paths]
    for path, run in zip(paths, runs, strict=True):
        if targets_of(run) != targets_of(runs[0]):
            raise EvaluationError(f"{path}: predicts other targets than {paths[0]}; evaluate all runs again")
    return runs


def losses_of(runs: Sequence[pd.DataFrame], splits: Sequence[str] = ("test",)) -> pd.DataFrame:
    """Return a row for each run, molecule of these splits and target that it has; floors stand once for each seed.

    Columns: predictor (architecture or floor), target, seed, index, group, n_heavy; the losses mae (absolute error),
    rmse (squared error) and mae_relative (absolute error after subtracting the mean over the molecule's group; NaN for
    one that is alone).
    """
    parts, seen = [], set()
    for run in runs:
        architecture, seed = str(run["architecture"].iloc[0]), int(run["seed"].iloc[0])
        chosen = run["split"].isin(splits).to_numpy()
        rows = run.loc[chosen, ["seed", "index", "group", "n_heavy"]]
        for target in targets_of(run):
            reference = run.loc[chosen, target].to_numpy(float)
            for name, values in predictors(run, target, architecture).items():
                if name not in FLOORS or (seed, target, name) not in seen:
                    seen.add((seed, target, name))
                    parts.append(_losses(rows.assign(predictor=name, target=target), values[chosen], reference))
    return pd.concat(parts, ignore_index=True)


def architectures_of(losses: pd.DataFrame) -> list[str]:
    """Return the architectures in a table of losses, in their order."""
    return [str(name) for name in losses["predictor"].unique() if name not in FLOORS]


def _losses(rows: pd.DataFrame, predicted: np.ndarray, reference: np.ndarray) -> pd.DataFrame:
    known = np.isfinite(reference)
    rows, predicted, reference = rows[known], predicted[known], reference[known]
    groups = rows["group"].to_numpy()
    relative = metrics.within_groups(predicted, groups) - metrics.within_groups(reference, groups)
    error = predicted - reference
    return rows.assign(mae=np.abs(error), rmse=error**2, mae_relative=np.abs(relative))


def comparison_table(
    losses: pd.DataFrame, units: Mapping[str, str], *, experiment: str, split_kind: str
) -> pd.DataFrame:
    """Return one row per target, metric, architecture and reference (`pamnet`, floors): values, difference, interval.

    `difference` is architecture minus reference, so negative is better. Without test molecules the table is empty.
    """
    if losses.empty:
        log.warning("%s: no run has test molecules: the comparison is empty", experiment)
    rows = []
    for target, alike in losses.groupby("target", sort=False):
        first = {"experiment": experiment, "split_kind": split_kind, "target": target, "unit": units[str(target)]}
        by_name = {str(name): own.set_index(["seed", "index"]) for name, own in alike.groupby("predictor", sort=False)}
        for architecture in architectures_of(alike):
            names = [REFERENCE] if REFERENCE in by_name and architecture != REFERENCE else []
            references = {name: by_name[name] for name in [*names, *FLOORS]}
            for row in _rows(by_name[architecture], references):
                rows.append({**first, "architecture": architecture, **row})
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def _rows(model: pd.DataFrame, references: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Return the rows of one target and architecture; tables of losses by seed and index."""
    pairs = [(metric, name) for metric in METRICS if model[metric].notna().any() for name in references]
    columns = [_paired(model[metric], references[name][metric]) for metric, name in pairs]
    both = pd.concat(columns, axis=1, keys=range(len(pairs)))
    groups = model.groupby(level="index")["group"].first().loc[both.index].to_numpy()
    own_losses, other_losses = (both.xs(side, axis=1, level=1).to_numpy() for side in ("own", "other"))
    roots = np.array([metric == "rmse" for metric, _ in pairs])
    intervals = difference_intervals(groups, own_losses, other_losses, roots=roots)
    rows = []
    for number, (metric, name) in enumerate(pairs):
        finish = np.sqrt if metric == "rmse" else float
        known = np.isfinite(own_losses[:, number])
        mine, other = (float(finish(side[known, number].mean())) for side in (own_losses, other_losses))
        low, high = intervals[number]
        interval = {"difference": mine - other, "low": low, "high": high, "n_common": int(known.sum())}
        rows.append({**_summary(model, metric), "reference": name, "value_reference": other, **interval})
    return rows


def _paired(own: pd.Series, other: pd.Series) -> pd.DataFrame:
    """Return the losses of samples that both sides tested with the same seed, averaged over seeds."""
    both = pd.concat([own, other], axis=1, join="inner", keys=["own", "other"]).dropna()
    return both.groupby(level="index").mean()


def _summary(model: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Return a metric of one architecture: pooled over runs, and its spread over them."""
    known = model[model[metric].notna()]
    finish = np.sqrt if metric == "rmse" else float
    by_run = known.groupby(level="seed")[metric].mean().map(finish)
    return {
        "metric": metric,
        "value": float(finish(known.groupby(level="index")[metric].mean().mean())),
        "sd": float(by_run.std(ddof=1)) if len(by_run) > 1 else float("nan"),
        "lowest": float(by_run.min()),
        "highest": float(by_run.max()),
        "n_runs": len(by_run),
        "n_samples": known.index.get_level_values("index").nunique(),
        "n_groups": known["group"].nunique(),
    }


def pretraining_table(metrics_table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of an experiment that pretrains: mean test values over runs beside the floor's, no interval."""
    test = metrics_table[metrics_table["split"] == "test"]
    floors = test["architecture"].str.startswith("floor:")
    rows = []
    keys = ["experiment", "split_kind", "target", "metric", "architecture"]
    for place, own in test[~floors].groupby(keys, sort=False):
        names = dict(zip(keys, place, strict=True))
        alike = test[floors & (test["target"] == names["target"]) & (test["metric"] == names["metric"])]
        values, floor = own["value"], alike["value"].mean() if len(alike) else np.nan
        row = {"value": values.mean(), "sd": values.std(ddof=1), "lowest": values.min(), "highest": values.max()}
        row |= {"unit": "1", "n_runs": len(values), "n_samples": own["n"].iloc[0]}
        row |= {"reference": "" if alike.empty else alike["architecture"].iloc[0], "value_reference": floor}
        rows.append({**names, **row, "difference": values.mean() - floor})
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
