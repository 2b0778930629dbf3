"""Compare the runs of one experiment: out-of-sample errors of model and floors, their paired difference, pooled plots.

What is pooled and how: `pooling`. The interval of a difference: `bootstrap`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from psigraph.evaluation.affinity.comparison import compare_complexes
from psigraph.evaluation.bootstrap import difference_interval
from psigraph.evaluation.experiment_figures import plot_experiment
from psigraph.evaluation.pooling import METRICS, Metric, log_missing_folds, pooled, sample_losses
from psigraph.evaluation.regional.comparison import compare_molecules
from psigraph.evaluation.tables import FLOORS, EvaluationError, floor_predictions, read_predictions, write_csv

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


def compare_experiment(
    experiment: str,
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    output: str | Path,
    plots: str | Path,
    folds: int = 0,
) -> pd.DataFrame:
    """Pool the runs of one experiment of any family; write `comparison.csv` and the plots, and return the table.

    `predictions` and `histories` name the files of the runs in one order; metrics.csv lies beside each predictions.csv.
    With `folds`, a repeat of cross-validation that lacks folds is logged. Raises EvaluationError where the runs are not
    of this experiment, of one unit and of one set of samples.
    """
    if len(predictions) != len(histories) or not predictions:
        raise EvaluationError(
            f"{len(predictions)} prediction and {len(histories)} history files: give one of each per run, in one order"
        )
    compare = COMPARE[family_of(predictions[0])]
    return compare(experiment, predictions, histories, output=output, plots=plots, folds=folds)


def compare_dimers(
    experiment: str,
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    output: str | Path,
    plots: str | Path,
    folds: int = 0,
) -> pd.DataFrame:
    """Do what `compare_experiment` says for an experiment of the family delta."""
    runs = read_runs(predictions)
    if runs["experiment"].iloc[0] != experiment:
        raise EvaluationError(
            f"{predictions[0]}: of experiment {runs['experiment'].iloc[0]!r}, expected {experiment!r}"
        )
    split_kind, epsilon = _split_kind_and_epsilon([Path(p).with_name("metrics.csv") for p in predictions])
    table = comparison_table(runs, split_kind, epsilon)
    log_missing_folds(runs, folds)
    curves = [
        pd.read_csv(path).assign(architecture=run["architecture"].iloc[0], seed=run["seed"].iloc[0])
        for path, (_, run) in zip(histories, runs.groupby("run", sort=True), strict=True)
    ]
    plot_experiment(runs, curves, Path(plots), epsilon)
    write_csv(table, output)
    return table


#: What compares the runs of an experiment, by family.
COMPARE: Mapping[str, Callable[..., pd.DataFrame]] = {
    "delta": compare_dimers,
    "regional": compare_molecules,
    "affinity": compare_complexes,
}


def family_of(predictions: str | Path) -> str:
    """Return the family of a run by the metrics.csv beside its predictions.csv."""
    return str(pd.read_csv(Path(predictions).with_name("metrics.csv"), nrows=1)["family"].iloc[0])


def read_runs(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return the predictions of all runs, run after run, with each floor's V_ref as a column of its name."""
    frames = []
    for number, path in enumerate(paths):
        frame = read_predictions(path)
        frames.append(frame.assign(run=number, **floor_predictions(frame)))
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
    """Return one row per architecture, floor and metric: pooled test values, difference, 95 % interval.

    `difference` is model minus floor, so negative is better than the floor. Without test samples the table is empty.
    """
    rows = []
    test = runs[runs["split"] == "test"]
    if test.empty:
        log.warning("no run has test samples: the comparison is empty")
    for architecture, chosen in test.groupby("architecture", sort=True):
        counts = chosen.groupby("index").size()
        log.info(
            "%s: %d test predictions, %d to %d for each of %d samples in %d groups",
            architecture,
            len(chosen),
            counts.min(),
            counts.max(),
            len(counts),
            chosen["group"].nunique(),
        )
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
    groups = chosen.groupby("index")["group"].first().to_numpy()
    model, other = (sample_losses(chosen, column, metric, epsilon).to_numpy() for column in ("v_pred", floor))
    value_model, value_floor = (pooled(chosen, column, metric, epsilon) for column in ("v_pred", floor))
    low, high = difference_interval(groups, model, other, transform=metric.finish)
    return {
        "value_model": value_model,
        "value_floor": value_floor,
        "difference": value_model - value_floor,
        "low": low,
        "high": high,
        "n_samples": len(groups),
        "n_groups": len(set(groups)),
    }


def _split_kind_and_epsilon(paths: Sequence[str | Path]) -> tuple[str, float]:
    """The one split kind and the one epsilon of MAPE of all metric tables. Raises EvaluationError where they differ."""
    table = pd.concat([pd.read_csv(path) for path in paths])
    kinds = sorted(set(table["split_kind"].astype(str)))
    epsilons = sorted(set(table.loc[table["metric"] == "mape_epsilon", "value"]))
    for what, values in (("split kinds", kinds), ("MAPE epsilons", epsilons)):
        if len(values) != 1:
            raise EvaluationError(f"the runs have several {what} ({', '.join(map(str, values))}); evaluate them again")
    return kinds[0], float(epsilons[0])
