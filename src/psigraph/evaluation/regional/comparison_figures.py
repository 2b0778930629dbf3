"""Figures of one experiment on molecules: errors beside floors, error against size, learning histories."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from psigraph.evaluation import figures
from psigraph.evaluation.panels import (
    Look,
    columns_of,
    grid,
    logarithmic,
    looks,
    name_rows,
    with_unit,
)
from psigraph.evaluation.regional.run_figures import FLOOR_STYLES, by_size

log = logging.getLogger(__name__)

FILES = ("errors.png", "relative_errors.png", "error_vs_size.png", "learning_curves.png")


def plot_comparison(
    losses: pd.DataFrame,
    unseen: pd.DataFrame,
    histories: Sequence[pd.DataFrame],
    units: Mapping[str, str],
    folder: Path,
    title: str,
) -> list[str]:
    """Draw every plot for which there are data into `folder`; return the names written.

    `losses` of test molecules and of all `unseen` ones, validation included, as `comparison.losses_of` gives them;
    `histories` with the columns architecture and seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    written = []
    if len(losses):
        plot_errors(losses, units, folder / "errors.png", "mae", title)
        plot_error_vs_size(unseen, units, folder / "error_vs_size.png", title)
        written += ["errors.png", "error_vs_size.png"]
    if len(losses) and losses["mae_relative"].notna().any():
        related = losses[losses["mae_relative"].notna()]
        plot_errors(related, units, folder / "relative_errors.png", "mae_relative", title)
        written.append("relative_errors.png")
    if plot_histories(histories, folder / "learning_curves.png", title):
        written.append("learning_curves.png")
    return written


def plot_errors(losses: pd.DataFrame, units: Mapping[str, str], path: Path, metric: str, title: str) -> None:
    """Draw each architecture's test error: pooled, of every run, and joined from lowest to highest; floors as lines."""
    targets = list(losses["target"].unique())
    names = [str(name) for name in losses["predictor"].unique() if name not in FLOOR_STYLES]
    what = f"{title}: test molecules, all runs"
    with grid(path, targets, what, height=1.1 + 0.27 * len(names)) as panels:
        for number, (axes, target) in enumerate(zip(panels, targets, strict=True)):
            rows = losses[losses["target"] == target]
            for floor, (label, colour, line) in FLOOR_STYLES.items():
                value = pooled(rows[rows["predictor"] == floor], metric)
                axes.axvline(value, color=colour, linestyle=line, linewidth=1.4, label=label)
            for place, (name, look) in enumerate(looks(names).items()):
                _draw_runs(axes, rows[rows["predictor"] == name], metric, place, look)
            name_rows(axes, names, shown=number % columns_of(len(panels)) == 0)
            logarithmic(axes, "x")
            axes.tick_params(axis="x", labelsize=8)
            axes.set_xlabel(with_unit("MAE" if metric == "mae" else "MAE within molecules", units[target]))


def _draw_runs(axes: Axes, rows: pd.DataFrame, metric: str, place: int, look: Look) -> None:
    if rows.empty:
        return
    runs = rows.groupby("seed")[metric].mean().to_numpy()
    axes.plot([runs.min(), runs.max()], [place, place], color=look.colour, linewidth=1.4, alpha=0.6, zorder=3)
    axes.scatter(
        runs, np.full(len(runs), place), s=18, facecolors="white", edgecolors=look.colour, linewidths=1.0, zorder=4
    )
    axes.scatter(pooled(rows, metric), place, s=46, color=look.colour, marker=look.marker, edgecolors="white", zorder=5)


def pooled(rows: pd.DataFrame, metric: str) -> float:
    """Return the mean over molecules of a loss, averaged over the runs that tested a molecule first."""
    return float(rows.groupby("index")[metric].mean().mean())


def plot_error_vs_size(losses: pd.DataFrame, units: Mapping[str, str], path: Path, title: str) -> None:
    """Draw MAE against the number of heavy atoms: the mean over runs, and the range over runs as a band.

    Molecules of validation stand beside those of the test, so that a test on larger ones shows what size costs.
    """
    targets = list(losses["target"].unique())
    names = [str(name) for name in losses["predictor"].unique() if name not in FLOOR_STYLES]
    what = f"{title}: error against size"
    with grid(path, targets, what, width=4.2, height=3.6) as panels:
        for axes, target in zip(panels, targets, strict=True):
            rows = losses[losses["target"] == target]
            for floor, (label, colour, line) in FLOOR_STYLES.items():
                once = rows[rows["predictor"] == floor].groupby("index")[["n_heavy", "mae"]].mean()
                x, y, _ = by_size(once["n_heavy"].to_numpy(), once["mae"].to_numpy())
                axes.plot(x, y, color=colour, linestyle=line, linewidth=1.4, marker=".", label=label)
            for name, look in looks(names).items():
                _draw_by_size(axes, rows[rows["predictor"] == name], name, look)
            logarithmic(axes)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="heavy atoms", ylabel=with_unit("MAE", units[target]))


def _draw_by_size(axes: Axes, rows: pd.DataFrame, name: str, look: Look) -> None:
    curves = [
        pd.Series(*reversed(by_size(run["n_heavy"].to_numpy(), run["mae"].to_numpy())[:2]))
        for _, run in rows.groupby("seed")
    ]
    if not curves:
        return
    table = pd.concat(curves, axis=1).sort_index()
    mean = table.mean(axis=1)
    axes.plot(
        mean.index, mean, color=look.colour, linestyle=look.linestyle, marker=look.marker, markersize=4, label=name
    )
    if len(curves) > 1:
        axes.fill_between(mean.index, table.min(axis=1), table.max(axis=1), color=look.colour, alpha=0.15, linewidth=0)


def plot_histories(histories: Sequence[pd.DataFrame], path: Path, title: str) -> bool:
    """Draw training loss (left) and what was validated (right) of every run; False, and logged, without an epoch."""
    curves = [history for history in histories if len(history)]
    if not curves:
        log.warning("no run recorded an epoch: %s is not written", path.name)
        return False
    validated = "val_mae" if "val_mae" in curves[0] else "val_loss"
    titles = {"train_loss": "training loss", validated: "validation MAE / SD, mean over targets"}
    if validated == "val_loss":
        titles[validated] = "validation loss"
    shown = {name: title for name, title in titles.items() if any(name in c and c[name].notna().any() for c in curves)}
    style = looks(list(dict.fromkeys(str(curve["architecture"].iloc[0]) for curve in curves)))
    with grid(path, list(shown.values()), title, width=4.8, height=3.8) as panels:
        for axes, column in zip(panels, shown, strict=True):
            for curve in curves:
                name = str(curve["architecture"].iloc[0])
                look = style[name]
                line = {"color": look.colour, "linestyle": look.linestyle, "linewidth": 0.9, "label": name}
                figures.draw_history(axes, curve, column, **line)
            logarithmic(axes)
            axes.set_xlabel("epoch")
    return True
