"""The two tables of one run: predictions per sample, and metrics of the model beside its floors.

A floor is a predictor that learned nothing about structures. `floor:v0` predicts V_ref = V_0; `floor:mean_delta`
predicts V_0 plus the mean of V_ref − V_0 over the training samples of the same run. Floors are rated on the same
samples as the model. The columns of `metrics.csv` are those of `results/report/summary.csv`.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.stores import atomic_path

log = logging.getLogger(__name__)

PREDICTION_COLUMNS = (
    "index",
    "id",
    "group",
    "system",
    "source",
    "split",
    "R_angstrom",
    "v_0",
    "delta_v",
    "v_pred",
    "v_ref",
    "unit",
    "experiment",
    "architecture",
    "seed",
)
SUMMARY_COLUMNS = (
    "experiment",
    "family",
    "dataset",
    "architecture",
    "seed",
    "split_kind",
    "split",
    "target",
    "metric",
    "value",
    "unit",
    "n",
)
SPLITS = ("train", "validation", "test")

#: Floor name: what it is in plain words.
FLOORS = {
    "floor:v0": "V_0 alone",
    "floor:mean_delta": "V_0 + mean ΔV",
}


class EvaluationError(ValueError):
    """Files of a run do not fit together; the message names them and the remedy."""


@dataclass(frozen=True)
class RunIdentity:
    """Which run a row of a table belongs to."""

    experiment: str
    family: str
    dataset: str
    architecture: str
    seed: int
    split_kind: str


def floor_predictions(predictions: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return V_ref as each floor predicts it, one value per row of a run's `predictions`, training rows included.

    Raises EvaluationError where the run has no training rows: the mean of ΔV is then unknown.
    """
    train = predictions[predictions["split"] == "train"]
    if train.empty:
        raise EvaluationError("no training samples among the predictions: the floor 'mean ΔV' cannot be computed")
    v_0 = predictions["v_0"].to_numpy(float)
    mean_delta = float((train["v_ref"] - train["v_0"]).mean())
    return {"floor:v0": v_0, "floor:mean_delta": v_0 + mean_delta}


def metric_table(predictions: pd.DataFrame, identity: RunIdentity, epsilon: float) -> pd.DataFrame:
    """Return the summary rows of one run: every split, target (V_ref and ΔV) and metric, for the model and each floor.

    `epsilon` is the smallest reference magnitude in the denominator of MAPE, in the unit of V; it and the number of
    samples below it are rows of their own. A metric that is undefined (a correlation with a constant) is an empty
    value.
    """
    predicted = {identity.architecture: predictions["v_pred"].to_numpy(float), **floor_predictions(predictions)}
    v_0, v_ref = predictions["v_0"].to_numpy(float), predictions["v_ref"].to_numpy(float)
    unit = str(predictions["unit"].iloc[0])
    rows = []
    for split in SPLITS:
        chosen = (predictions["split"] == split).to_numpy()
        if not chosen.any():
            continue
        for architecture, v in predicted.items():
            for target, shift in (("v_ref", np.zeros_like(v_0)), ("delta_v", v_0)):
                values = _metrics((v - shift)[chosen], (v_ref - shift)[chosen], epsilon, unit)
                for metric, (value, metric_unit) in values.items():
                    rows.append(
                        {
                            **identity.__dict__,
                            "architecture": architecture,
                            "split": split,
                            "target": target,
                            "metric": metric,
                            "value": value,
                            "unit": metric_unit,
                            "n": int(chosen.sum()),
                        }
                    )
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


_CORRELATIONS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "r": metrics.r,
    "r2": metrics.r2,
    "spearman": metrics.spearman,
}


def _metrics(predicted: np.ndarray, reference: np.ndarray, epsilon: float, unit: str) -> dict[str, tuple[float, str]]:
    percent, n_below = metrics.mape(predicted, reference, epsilon)
    values = {
        "mae": (float(metrics.mae(predicted, reference)), unit),
        "rmse": (float(metrics.rmse(predicted, reference)), unit),
        "mape": (float(percent), "%"),
        "mape_epsilon": (float(epsilon), unit),
        "n_below_epsilon": (float(n_below), "1"),
    }
    for name, function in _CORRELATIONS.items():
        values[name] = (correlation(function, predicted, reference), "1")
    return values


def correlation(
    function: Callable[[np.ndarray, np.ndarray], float], predicted: np.ndarray, reference: np.ndarray
) -> float:
    """Return a correlation; NaN where either side is constant, up to rounding, or there are fewer than two samples."""
    if len(reference) < 2 or metrics.constant(predicted) or metrics.constant(reference):
        return float("nan")
    return float(function(predicted, reference))


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read a predictions.csv; names stay text even where they look like numbers or are called `NA`."""
    frame = pd.read_csv(path, dtype=dict.fromkeys(("id", "group", "system", "source"), str), keep_default_na=False)
    missing = [name for name in PREDICTION_COLUMNS if name not in frame]
    if missing:
        raise EvaluationError(f"{path}: lacks the column {', '.join(missing)}; evaluate this run again")
    return frame


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table atomically; numbers with 10 significant digits, an undefined value as an empty field."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g")
    log.info("wrote %s: %d rows", path, len(frame))
