"""The two tables of one run on molecules: predictions per molecule, and metrics of the model beside its floors.

`floor:mean` is the mean of the training set, `floor:composition` what the elements alone tell (`floors`). Both are
rated on the same molecules as the model. Every target stands in `predictions.csv` as `NAME`, as `NAME_predicted` and as
`NAME_composition`; `metrics.csv` says its unit. A label that is missing is an empty field and counts nowhere.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation.regional.floors import mean_floor
from psigraph.evaluation.tables import SPLITS, SUMMARY_COLUMNS, EvaluationError, RunIdentity
from psigraph.models.regional.inputs import Target

FIRST_COLUMNS = ("index", "id", "group", "system", "source", "split", "n_atoms", "n_heavy")
LAST_COLUMNS = ("experiment", "architecture", "seed")
TEXT_COLUMNS = ("id", "group", "system", "source", "split", "experiment", "architecture")

#: Floor name: what it is in plain words.
FLOORS = {"floor:mean": "training mean", "floor:composition": "composition"}
#: Floors of pretraining: an objective's heads can always say the mean, or guess.
PRETRAINING_FLOORS = {"floor:mean": "training mean", "floor:chance": "chance"}


def prediction_columns(targets: Sequence[str]) -> list[str]:
    """Return the columns of predictions.csv."""
    own = [f"{name}{suffix}" for name in targets for suffix in ("", "_predicted", "_composition")]
    return [*FIRST_COLUMNS, *own, *LAST_COLUMNS]


def targets_of(predictions: pd.DataFrame) -> list[str]:
    """Return the names of the targets in a table of predictions."""
    return [name.removesuffix("_predicted") for name in map(str, predictions.columns) if name.endswith("_predicted")]


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read a predictions.csv of molecules; names stay text even where they look like numbers or are called `NA`.

    Raises EvaluationError where it lacks a column.
    """
    header = pd.read_csv(path, nrows=0)
    numbers = [name for name in header if name not in TEXT_COLUMNS]
    missing = [name for name in prediction_columns(targets_of(header)) if name not in header]
    if missing or not targets_of(header):
        lacking = ", ".join(missing) or "NAME_predicted"
        raise EvaluationError(f"{path}: lacks the column {lacking}; evaluate this run again")
    empty: Any = {name: [""] for name in numbers}
    return pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=empty)


def predictors(predictions: pd.DataFrame, target: str, architecture: str) -> dict[str, np.ndarray]:
    """Return a target (n,) as the model (named `architecture`) and each floor predict it."""
    y = predictions[target].to_numpy(float)
    mean = mean_floor(y, (predictions["split"] == "train").to_numpy())
    return {
        architecture: predictions[f"{target}_predicted"].to_numpy(float),
        "floor:mean": np.full(len(y), mean),
        "floor:composition": predictions[f"{target}_composition"].to_numpy(float),
    }


def metric_table(predictions: pd.DataFrame, identity: RunIdentity, targets: Sequence[Target]) -> pd.DataFrame:
    """Return the summary rows of one run: every split, target and metric, for the model and each floor.

    A metric that is undefined (R² of one molecule) is an empty value; `mae_relative` stands only where molecules have
    several samples and the target is not relative itself. Raises EvaluationError without training molecules: floors are
    then unknown.
    """
    if not (predictions["split"] == "train").any():
        raise EvaluationError("no training molecules among the predictions: the floors cannot be computed")
    rows = []
    for split in SPLITS:
        chosen = (predictions["split"] == split).to_numpy()
        for target in targets:
            y = predictions[target.name].to_numpy(float)
            known = chosen & np.isfinite(y)
            if not known.any():
                continue
            groups = predictions["group"].to_numpy()[known]
            for name, values in predictors(predictions, target.name, identity.architecture).items():
                where = {"architecture": name, "split": split, "target": target.name}
                for metric in _metrics(values[known], y[known], groups, target):
                    rows.append({**identity.__dict__, **where, **metric})
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _metrics(
    predicted: np.ndarray, reference: np.ndarray, groups: np.ndarray, target: Target
) -> list[Mapping[str, Any]]:
    n, unit = len(reference), target.unit
    found = [
        {"metric": "mae", "value": metrics.mae(predicted, reference), "unit": unit, "n": n},
        {"metric": "rmse", "value": metrics.rmse(predicted, reference), "unit": unit, "n": n},
        {"metric": "r2", "value": metrics.r2(predicted, reference), "unit": "1", "n": n},
    ]
    if not target.relative:
        relative, among = metrics.mae_relative(predicted, reference, groups)
        found.append({"metric": "mae_relative", "value": relative, "unit": unit, "n": among})
    return [row for row in found if row["n"]]
