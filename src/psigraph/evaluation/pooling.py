"""Errors of many runs as one number: losses averaged over the runs that predicted a sample, then over samples.

For sample i and loss l (|e|, |e| / max(|V_ref|, ε) or e²), the losses of the runs s that had i in their test set are
averaged first, l_i = mean_s l(e_{s,i}); the pooled value is the mean of l_i over samples (its square root for an RMSE).
With cross-validation every repeat of the folds tests each sample once, so this equals the out-of-fold value pooled
within each repeat and averaged over the repeats (for an RMSE: averaged as mean squares). A floor is averaged in the
same way, with the training mean of the run that made the prediction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from psigraph.evaluation.tables import EvaluationError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """A pooled metric: loss of (error, reference, epsilon), what follows the mean, unit (None: that of V)."""

    loss: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] = lambda mean: mean
    unit: str | None = None


METRICS = {
    "mae": Metric(lambda error, _reference, _epsilon: np.abs(error)),
    "mape": Metric(
        lambda error, reference, epsilon: 100.0 * np.abs(error) / np.maximum(np.abs(reference), epsilon), unit="%"
    ),
    "rmse": Metric(lambda error, _reference, _epsilon: error**2, finish=np.sqrt),
}


def sample_losses(predictions: pd.DataFrame, column: str, metric: Metric, epsilon: float) -> pd.Series:
    """Return l_i by sample `index` for V_ref as `column` predicts it."""
    reference = predictions["v_ref"].to_numpy(float)
    losses = metric.loss(predictions[column].to_numpy(float) - reference, reference, epsilon)
    return pd.Series(losses, index=predictions["index"].to_numpy()).groupby(level=0).mean()


def pooled(predictions: pd.DataFrame, column: str, metric: Metric, epsilon: float) -> float:
    """Return the pooled value of a metric for V_ref as `column` predicts it."""
    return float(metric.finish(np.asarray(sample_losses(predictions, column, metric, epsilon).mean())))


def log_missing_folds(runs: pd.DataFrame, folds: int) -> None:
    """Warn where the seeds of a repeat of cross-validation do not cover all folds."""
    for architecture, chosen in runs.groupby("architecture", sort=True):
        seeds = sorted(set(chosen["seed"]))
        for repeat in sorted({seed // folds for seed in seeds}) if folds else []:
            whole = range(repeat * folds, (repeat + 1) * folds)
            missing = sorted(set(whole) - set(seeds))
            if missing:
                log.warning(
                    "%s: repeat %d of the %d folds lacks the seeds %s, so it does not predict every sample",
                    architecture,
                    repeat,
                    folds,
                    ", ".join(map(str, missing)),
                )


def rated_runs(predictions: Sequence[str | Path], experiment: str, folds: int) -> pd.DataFrame:
    """Return the rows of the metrics.csv beside each predictions.csv, and log the folds that its models lack.

    Raises EvaluationError where one is of another experiment.
    """
    table = pd.concat([pd.read_csv(Path(path).with_name("metrics.csv")) for path in predictions], ignore_index=True)
    other = table.loc[table["experiment"] != experiment, "experiment"]
    if len(other):
        raise EvaluationError(f"{predictions[0]}: of experiment {other.iloc[0]!r}, expected {experiment!r}")
    log_missing_folds(table[~table["architecture"].str.startswith("floor:")], folds)
    return table
