"""Plots of one run on molecules: predicted against reference, error against size, learning history."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from psigraph import metrics
from psigraph.evaluation import figures
from psigraph.evaluation.panels import grid, logarithmic, with_unit
from psigraph.evaluation.regional.tables import predictors, targets_of

log = logging.getLogger(__name__)

FILES = ("parity.png", "error_vs_size.png", "learning_curve.png")
#: Floor: label, colour, line style.
FLOOR_STYLES = {
    "floor:mean": ("training mean", "#9a9a9a", ":"),
    "floor:composition": ("composition", "#4d4d4d", "--"),
}
MOST_POINTS = 3000  # of one scatter plot, evenly taken


def plot_run(
    predictions: pd.DataFrame,
    history: pd.DataFrame,
    folder: Path,
    *,
    title: str,
    units: Mapping[str, str],
    best_epoch: int | None = None,
) -> list[str]:
    """Draw every plot for which there are data into `folder`; return the names written, log those that are not.

    Plots of an earlier evaluation are removed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    written = []
    test = predictions[predictions["split"] == "test"]
    rated = [name for name in targets_of(predictions) if test[name].notna().any()]
    if rated:
        plot_parity(test, rated, units, folder / "parity.png", title)
        plot_error_vs_size(predictions, rated, units, folder / "error_vs_size.png", title)
        written += ["parity.png", "error_vs_size.png"]
    elif targets_of(predictions):
        log.warning("%s: no test molecule has a label; parity.png and error_vs_size.png are not written", title)
    if plot_history(history, folder / "learning_curve.png", title, best_epoch):
        written.append("learning_curve.png")
    return written


def plot_parity(test: pd.DataFrame, targets: list[str], units: Mapping[str, str], path: Path, title: str) -> None:
    """Predicted against reference on test molecules, a panel per target; the composition floor as pale points."""
    with grid(path, targets, f"{title}: test molecules", height=3.7) as panels:
        for axes, name in zip(panels, targets, strict=True):
            _parity_panel(axes, test[test[name].notna()], name, units[name])


def _parity_panel(axes: Axes, rows: pd.DataFrame, name: str, unit: str) -> None:
    shown = rows.iloc[:: max(1, len(rows) // MOST_POINTS)]
    reference = shown[name].to_numpy(float)
    points = {
        "composition": (shown[f"{name}_composition"].to_numpy(float), figures.V0_COLOUR, "s"),
        "model": (shown[f"{name}_predicted"].to_numpy(float), figures.MODEL_COLOUR, "o"),
    }
    figures.draw_diagonal(axes, *figures.limits(reference, *(values for values, _, _ in points.values())))
    for label, (values, colour, marker) in points.items():
        axes.scatter(reference, values, s=10, color=colour, marker=marker, alpha=0.5, linewidths=0, label=label)
    mae, floor = (
        metrics.mae(rows[f"{name}_{which}"].to_numpy(), rows[name].to_numpy()) for which in ("predicted", "composition")
    )
    lines = [
        f"MAE {figures.significant(mae)} {unit}",
        f"composition: {figures.significant(floor)}",
        f"n = {len(rows)}",
    ]
    every = np.concatenate([values for values, _, _ in points.values()])
    figures.text_box(axes, lines, np.tile(reference, 2), every)
    axes.set(xlabel=with_unit("reference", unit), ylabel=with_unit("predicted", unit))


def plot_error_vs_size(
    predictions: pd.DataFrame, targets: list[str], units: Mapping[str, str], path: Path, title: str
) -> None:
    """MAE against the number of heavy atoms on test molecules, model and floors, a panel per target."""
    architecture = str(predictions["architecture"].iloc[0])
    test = (predictions["split"] == "test").to_numpy()
    heavy = predictions["n_heavy"].to_numpy()
    with grid(path, targets, f"{title}: test molecules") as panels:
        for axes, name in zip(panels, targets, strict=True):
            reference = predictions[name].to_numpy(float)
            for which, values in predictors(predictions, name, architecture).items():
                label, colour, line = FLOOR_STYLES.get(which, ("model", figures.MODEL_COLOUR, "-"))
                x, y, _ = by_size(heavy[test], np.abs(values - reference)[test])
                axes.plot(x, y, color=colour, linestyle=line, marker="o", markersize=4, label=label)
            logarithmic(axes)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="heavy atoms", ylabel=with_unit("MAE", units[name]))


def by_size(heavy: np.ndarray, errors: np.ndarray, most: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean sizes, mean errors and counts (bins,) of molecules by their number of heavy atoms.

    Each number is a bin; where there are more than `most`, neighbouring ones share bins of about equal counts. Missing
    errors count nowhere.
    """
    known = np.isfinite(errors)
    heavy, errors = heavy[known], errors[known]
    sizes = np.unique(heavy)
    if len(sizes) <= most:
        bins = np.searchsorted(sizes, heavy)
    else:
        edges = np.unique(np.quantile(heavy, np.linspace(0, 1, most + 1)[1:-1]))
        bins = np.searchsorted(edges, heavy, side="left")
    counts = np.bincount(bins)
    filled = counts > 0
    x, y = (np.bincount(bins, weights=values)[filled] / counts[filled] for values in (heavy, errors))
    return x, y, counts[filled]


def plot_history(history: pd.DataFrame, path: Path, title: str, best_epoch: int | None) -> bool:
    """Draw training loss and what was validated against the epoch; False, and logged, without an epoch.

    All are in units of the targets' SD, except those of a pretraining.
    """
    if history.empty:
        log.warning("%s: no epoch was recorded; %s is not written", title, path.name)
        return False
    series = {"train_loss": "training loss", "val_mae": "validation MAE / SD", "val_loss": "validation loss"}
    with figures.figure(path, 6.4, 4.0) as fig:
        axes = fig.subplots()
        for number, (column, label) in enumerate(series.items()):
            if column in history:
                figures.draw_history(axes, history, column, color=figures.PALETTE[number], label=label)
        if best_epoch is not None:
            label = f"weights kept: epoch {best_epoch}"
            axes.axvline(best_epoch, color="#404040", linewidth=1, linestyle=":", label=label)
        logarithmic(axes)
        axes.set(xlabel="epoch", ylabel="loss, error / SD", title=f"{title}: learning curve")
        fig.legend(loc="outside lower center", ncols=4)
    return True
