"""The two tables of one run on complexes: predictions per complex, and metrics of the model beside its floors.

Floors: `floors`. `pred_tta` is the mean over random rotations of a test complex, `drift_sd` the SD over them and
`drift_tta` that of their mean (`rotation`). Correlations within targets: `psigraph.metrics.by_group`; n is then the
number of targets.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation.tables import SPLITS, SUMMARY_COLUMNS, EvaluationError, RunIdentity, correlation

#: Floor name: what it is in plain words.
FLOORS = {
    "floor:mean": "training mean",
    "floor:forest": "forest on contacts",
    "floor:ligand": "ligand alone",
    "floor:protein": "protein alone",
}
PREDICTION_COLUMNS = (
    "index",
    "id",
    "group",
    "system",
    "ligand",
    "measure",
    "source",
    "split",
    "n_heavy",
    "reference",
    "predicted",
    "pred_tta",
    "drift_sd",
    "drift_tta",
    *FLOORS,
    "target",
    "unit",
    "experiment",
    "architecture",
    "seed",
)
TEXT_COLUMNS = (
    "id", "group", "system", "ligand", "measure", "source", "split", "target", "unit", "experiment", "architecture"
)  # fmt: skip

#: Metrics in the unit of the label, without unit, and within targets: functions of predictions and references.
ERRORS: dict[str, Callable] = {"rmse": metrics.rmse, "mae": metrics.mae}
SHARES: dict[str, Callable] = {
    "r": lambda predicted, reference: correlation(metrics.r, predicted, reference),
    "r2": metrics.r2,
    "spearman": lambda predicted, reference: correlation(metrics.spearman, predicted, reference),
}
WITHIN: dict[str, Callable] = {"r_within": metrics.r, "spearman_within": metrics.spearman}
#: Those of which more is better.
HIGHER_IS_BETTER = frozenset({*SHARES, *WITHIN})


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read a predictions.csv of complexes; names stay text even where they look like numbers or are called `NA`.

    Raises EvaluationError where it lacks a column.
    """
    header = pd.read_csv(path, nrows=0)
    missing = [name for name in PREDICTION_COLUMNS if name not in header]
    if missing:
        raise EvaluationError(f"{path}: lacks the column {', '.join(missing)}; evaluate this run again")
    numbers: Any = {name: [""] for name in header if name not in TEXT_COLUMNS}
    return pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=numbers)


def rows_by(frame: pd.DataFrame, column: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by their value of a column; of equal ones the first."""
    return {str(row[column]): row for row in frame.drop_duplicates(column).to_dict("records")}  # type: ignore[misc]


def predictors(predictions: pd.DataFrame, architecture: str) -> dict[str, np.ndarray]:
    """Return the label (n,) as the model (named `architecture`) and each floor predict it."""
    columns = {architecture: "predicted"} | {name: name for name in FLOORS}
    return {name: predictions[column].to_numpy(float) for name, column in columns.items()}


def rate(predicted: np.ndarray, reference: np.ndarray, groups: np.ndarray) -> dict[str, tuple[float, int]]:
    """Return every metric of predictions (n,) and for how many samples, of those within targets how many targets."""
    n = len(reference)
    found = {name: (float(metric(predicted, reference)), n) for name, metric in (ERRORS | SHARES).items()}
    within = {name: metrics.mean_within(metric, predicted, reference, groups) for name, metric in WITHIN.items()}
    return found | {name: value for name, value in within.items() if value[1]}


def metric_table(predictions: pd.DataFrame, identity: RunIdentity) -> pd.DataFrame:
    """Return the summary rows of one run: every split and metric, for the model and each floor.

    A metric that is undefined (R² of one complex) is an empty value. Of the test set the model also has its metrics
    with averaging over rotations (`rmse_tta`, ...) and the drift. Raises EvaluationError without training complexes:
    floors are then unknown.
    """
    if not (predictions["split"] == "train").any():
        raise EvaluationError("no training complexes among the predictions: the floors cannot be computed")
    rows = []
    for split in SPLITS:
        chosen = predictions[(predictions["split"] == split) & predictions["reference"].notna()]
        if chosen.empty:
            continue
        reference, groups = chosen["reference"].to_numpy(float), chosen["group"].to_numpy()
        found = {name: rate(p, reference, groups) for name, p in predictors(chosen, identity.architecture).items()}
        if chosen["pred_tta"].notna().all():
            found[identity.architecture] |= _rotated(chosen, reference)
        where = {"split": split, "target": chosen["target"].iloc[0]}
        for name, values in found.items():
            for metric, (value, n) in values.items():
                unit = chosen["unit"].iloc[0] if metric.split("_")[0] in (*ERRORS, "rotation") else "1"
                row = {"architecture": name, "metric": metric, "value": value, "unit": unit, "n": n}
                rows.append({**identity.__dict__, **where, **row})
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _rotated(chosen: pd.DataFrame, reference: np.ndarray) -> dict[str, tuple[float, int]]:
    """Return metrics of the mean over rotations, and the drift over all complexes as root mean square."""
    n, mean = len(chosen), chosen["pred_tta"].to_numpy(float)
    found = {f"{name}_tta": (float(metric(mean, reference)), n) for name, metric in (ERRORS | SHARES).items()}
    drift = {"rotation_sd": "drift_sd", "rotation_sd_tta": "drift_tta"}
    return found | {name: (float(np.sqrt(np.mean(chosen[c] ** 2))), n) for name, c in drift.items()}
