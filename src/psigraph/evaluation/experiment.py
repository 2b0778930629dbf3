"""Compare the runs of one experiment: out-of-sample errors of model and floors, their paired difference, pooled plots.

Every run predicts its own test set. For sample i and loss l (|e|, |e| / max(|V_ref|, ε) or e²), the losses of the runs
that had i in their test set are averaged first, l_i = mean_s l(e_{s,i}); the pooled value is the mean of l_i over samples
(its square root for an RMSE). With cross-validation every repeat of the folds tests each sample once, so this equals the
out-of-fold value pooled within each repeat and averaged over the repeats (for an RMSE: averaged as mean squares). A floor
is averaged in the same way, with the training mean of the run that made the prediction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from psigraph.evaluation.bootstrap import difference_interval
from psigraph.evaluation.experiment_figures import plot_experiment
from psigraph.evaluation.tables import FLOORS, EvaluationError, floor_predictions, write_csv

log = logging.getLogger(__name__)

COMPARISON_COLUMNS = (
    "experiment",
    "architecture",
    "floor",
    "split_kind",
    "metric",
    "value_model",
    "value_floor",
    "difference",
    "low",
    "high",
    "n_samples",
    "n_groups",
    "unit",
    "n_predictions",
    "n_runs",
)


@dataclass(frozen=True)
class Metric:
    """A pooled metric: loss per prediction, what follows the mean, and whether it carries the unit of V."""

    loss: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] | None = None
    unit: str | None = None


METRICS = {
    "mae": Metric(lambda error, _reference, _epsilon: np.abs(error)),
    "mape": Metric(
        lambda error, reference, epsilon: 100.0 * np.abs(error) / np.maximum(np.abs(reference), epsilon), unit="%"
    ),
    "rmse": Metric(lambda error, _reference, _epsilon: error**2, finish=np.sqrt),
}


def compare_experiment(
    experiment: str,
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    output: str | Path,
    plots: str | Path,
    folds: int = 0,
) -> pd.DataFrame:
    """Pool the runs of one experiment; write `comparison.csv` and the plots, and return the table.

    `predictions` and `histories` name the files of the runs in one order; metrics.csv lies beside each predictions.csv.
    With `folds`, a last repeat of cross-validation that is incomplete is logged. Raises EvaluationError where the runs are
    not of this experiment, of one unit and of one set of samples.
    """
    if len(predictions) != len(histories) or not predictions:
        raise EvaluationError(
            f"{len(predictions)} prediction and {len(histories)} history files: give one of each per run, in one order"
        )
    runs = read_runs(predictions)
    if runs["experiment"].iloc[0] != experiment:
        raise EvaluationError(f"{predictions[0]}: of experiment {runs['experiment'].iloc[0]!r}, expected {experiment!r}")
    split_kind, epsilon = _split_kind_and_epsilon([Path(p).with_name("metrics.csv") for p in predictions])
    table = comparison_table(runs, split_kind, epsilon)
    _log_incomplete_folds(runs, folds)
    curves = [
        pd.read_csv(path).assign(architecture=run["architecture"].iloc[0], seed=run["seed"].iloc[0])
        for path, (_, run) in zip(histories, runs.groupby("run", sort=True), strict=True)
    ]
    plot_experiment(runs, curves, Path(plots), epsilon)
    write_csv(table, output)
    return table


def read_runs(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return the predictions of all runs, run after run, with each floor's V_ref as a column of its name."""
    frames = []
    for number, path in enumerate(paths):
        frame = pd.read_csv(path, dtype={"id": str, "group": str, "system": str, "source": str}, keep_default_na=False)
        for name, values in floor_predictions(frame).items():
            frame[name] = values
        frame["run"] = number
        frames.append(frame)
    runs = pd.concat(frames, ignore_index=True)
    for column in ("experiment", "unit"):
        values = sorted(set(runs[column]))
        if len(values) != 1:
            raise EvaluationError(f"runs of different {column} cannot be compared: {', '.join(map(str, values))}")
    first = frames[0][["id", "v_ref"]].to_numpy().tolist()
    for path, frame in zip(paths, frames, strict=True):
        if frame[["id", "v_ref"]].to_numpy().tolist() != first:
            raise EvaluationError(
                f"{path}: predicts other samples than {paths[0]}; evaluate all runs on the same shards again"
            )
    return runs


def comparison_table(runs: pd.DataFrame, split_kind: str, epsilon: float) -> pd.DataFrame:
    """Return one row per architecture, floor and metric of `METRICS`: pooled test values, difference, 95 % interval.

    `difference` is model minus floor, so negative is better than the floor. Without test samples the table is empty.
    """
    rows = []
    test = runs[runs["split"] == "test"]
    if test.empty:
        log.warning("no run has test samples: the comparison is empty")
    for architecture, chosen in test.groupby("architecture", sort=True):
        _log_unequal_counts(str(architecture), chosen)
        for floor in FLOORS:
            for name, metric in METRICS.items():
                rows.append(
                    {
                        "experiment": chosen["experiment"].iloc[0],
                        "architecture": architecture,
                        "floor": floor,
                        "split_kind": split_kind,
                        "metric": name,
                        **_compare(chosen, floor, metric, epsilon),
                        "unit": metric.unit or chosen["unit"].iloc[0],
                        "n_predictions": len(chosen),
                        "n_runs": chosen["run"].nunique(),
                    }
                )
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def _compare(chosen: pd.DataFrame, floor: str, metric: Metric, epsilon: float) -> dict[str, float | int]:
    """Values, difference and interval of one metric of one architecture against one floor."""
    reference = chosen["v_ref"].to_numpy(float)
    losses = pd.DataFrame(
        {
            "index": chosen["index"],
            "group": chosen["group"],
            "model": metric.loss(chosen["v_pred"].to_numpy(float) - reference, reference, epsilon),
            "floor": metric.loss(chosen[floor].to_numpy(float) - reference, reference, epsilon),
        }
    )
    samples = losses.groupby("index").agg({"group": "first", "model": "mean", "floor": "mean"})  # one row per sample
    groups, model, floor_loss = (samples[name].to_numpy() for name in ("group", "model", "floor"))
    finish = metric.finish or (lambda value: value)
    value_model, value_floor = float(finish(model.mean())), float(finish(floor_loss.mean()))
    low, high = difference_interval(groups, model, floor_loss, transform=metric.finish)
    return {
        "value_model": value_model,
        "value_floor": value_floor,
        "difference": value_model - value_floor,
        "low": low,
        "high": high,
        "n_samples": len(samples),
        "n_groups": len(set(groups)),
    }


def _log_incomplete_folds(runs: pd.DataFrame, folds: int) -> None:
    for architecture, chosen in runs.groupby("architecture", sort=True):
        missing = set(range(folds)) - set(chosen["seed"] % folds) if folds else set()
        if missing:
            log.warning(
                "%s: no seed tests fold %s of %d, so not every sample is predicted out of fold; seeds 0 to %d make one "
                "whole repeat",
                architecture,
                ", ".join(map(str, sorted(missing))),
                folds,
                folds - 1,
            )


def _log_unequal_counts(architecture: str, chosen: pd.DataFrame) -> None:
    counts = chosen.groupby("index").size()
    log.info(
        "%s: %d test predictions of %d samples in %d groups, %d to %d for each sample",
        architecture,
        len(chosen),
        len(counts),
        chosen["group"].nunique(),
        counts.min(),
        counts.max(),
    )


def _split_kind_and_epsilon(paths: Sequence[str | Path]) -> tuple[str, float]:
    """The one split kind and the one epsilon of MAPE of all metric tables. Raises EvaluationError where they differ."""
    table = pd.concat([pd.read_csv(path) for path in paths])
    kinds = sorted(set(table["split_kind"].astype(str)))
    epsilons = sorted(set(table.loc[table["metric"] == "mape_epsilon", "value"]))
    for what, values in (("split kinds", kinds), ("MAPE epsilons", epsilons)):
        if len(values) != 1:
            raise EvaluationError(f"the runs have several {what} ({', '.join(map(str, values))}); evaluate them again")
    return kinds[0], float(epsilons[0])
