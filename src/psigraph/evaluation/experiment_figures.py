"""Plots of one experiment, all runs together: parity, error against distance, interaction curves, learning curves."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psigraph.evaluation import figures
from psigraph.evaluation.interaction_figure import plot_interaction_curves
from psigraph.evaluation.pooling import METRICS, pooled
from psigraph.evaluation.tables import FLOORS

log = logging.getLogger(__name__)

FILES = ("parity.png", "error_vs_distance.png", "interaction_curves.png", "learning_curves.png")


def plot_experiment(runs: pd.DataFrame, histories: Sequence[pd.DataFrame], folder: Path, epsilon: float) -> list[str]:
    """Draw every plot for which there are data into `folder`; return the names written, log those that are not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    written = []
    test = runs[runs["split"] == "test"]
    if test.empty:
        log.warning("no run has test samples: parity.png and error_vs_distance.png are not written")
    else:
        plot_parity(test, folder / "parity.png", epsilon)
        plot_error_vs_distance(test, folder / "error_vs_distance.png")
        written += ["parity.png", "error_vs_distance.png"]
    if plot_interaction_curves(runs, folder / "interaction_curves.png"):
        written.append("interaction_curves.png")
    if plot_learning_curves(histories, folder / "learning_curves.png", str(runs["unit"].iloc[0])):
        written.append("learning_curves.png")
    return written


@dataclass(frozen=True)
class Series:
    """What one colour stands for: its label and which rows of a table it is."""

    label: str
    colour: str
    marker: str
    linestyle: str
    column: str
    values: tuple

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame[self.column].isin(self.values)]


def series_of(frame: pd.DataFrame) -> list[Series]:
    """Return one series per architecture where there are several, else per seed; more than seven become one."""
    column = "architecture" if frame["architecture"].nunique() > 1 else "seed"
    values = sorted(frame[column].unique())
    if len(values) > len(figures.PALETTE):
        return [Series(f"{len(values)} runs", figures.MODEL_COLOUR, "o", "-", column, tuple(values))]
    return [
        Series(
            f"seed {value}" if column == "seed" else str(value),
            figures.PALETTE[number],
            figures.MARKERS[number],
            ("-", "--", ":", "-.")[number % 4],
            column,
            (value,),
        )
        for number, value in enumerate(values)
    ]


def plot_parity(test: pd.DataFrame, path: Path, epsilon: float) -> None:
    """Two panels with equal axes: the floors, and every run's test predictions in colours."""
    unit = str(test["unit"].iloc[0])
    reference, predicted = test["v_ref"].to_numpy(float), test["v_pred"].to_numpy(float)
    low, high = figures.limits(reference, predicted, *(test[f].to_numpy(float) for f in FLOORS))
    with figures.figure(path, 9.6, 5.7) as fig:
        left, right = fig.subplots(1, 2, sharex=True, sharey=True)
        for axes in (left, right):
            figures.draw_diagonal(axes, low, high)
            axes.set_xlabel(f"reference V$_{{ref}}$ [{unit}]")
        left.set_ylabel(f"predicted V$_{{ref}}$ [{unit}]")
        _floor_panel(left, test, unit)
        for series in series_of(test):
            part = series.rows(test)
            style = {"color": series.colour, "marker": series.marker, "label": series.label}
            right.scatter(part["v_ref"], part["v_pred"], s=20, alpha=0.7, linewidths=0, zorder=3, **style)
        right.set_title("model: V$_0$ + ΔV")
        mae, mape = (pooled(test, "v_pred", METRICS[name], epsilon) for name in ("mae", "mape"))
        lines = [
            f"MAE {figures.significant(mae)} {unit}",
            f"MAPE {figures.significant(mape)} % (ε = {epsilon:g} {unit})",
            f"{len(test)} predictions of {test['index'].nunique()} dimers",
        ]
        figures.text_box(right, lines, reference, predicted)
        title = figures.experiment_title(test, "test predictions of all runs")
        left.set_title(f"{title}\nfloors: nothing learned from structures")
        figures.shared_legend(fig)


def _floor_panel(axes: Axes, test: pd.DataFrame, unit: str) -> None:
    reference = test["v_ref"].to_numpy(float)
    lines, every = [], []
    styles = {
        "floor:v0": ("V$_0$ alone", figures.V0_COLOUR, "s", 0.0),
        "floor:mean_delta": ("V$_0$ + mean ΔV", "#4d4d4d", "+", 0.8),
    }
    for floor, (name, colour, marker, width) in styles.items():
        every.append(test[floor].to_numpy(float))
        axes.scatter(
            reference, every[-1], s=20, color=colour, marker=marker, alpha=0.6, linewidths=width, label=name, zorder=3
        )
        lines.append(f"MAE {name}: {figures.significant(pooled(test, floor, METRICS['mae'], 0.0))} {unit}")
    figures.text_box(axes, lines, np.tile(reference, 2), np.concatenate(every))


def plot_error_vs_distance(test: pd.DataFrame, path: Path) -> None:
    """|error| against R on test samples: V_0 once, the model's predictions of all runs by architecture."""
    once = test.drop_duplicates("index")
    distance = test["R_angstrom"].to_numpy(float)
    names = sorted(test["architecture"].unique())
    with figures.figure(path, 7.2, 4.8) as fig:
        axes = fig.subplots()
        series = [("V$_0$ alone", once["R_angstrom"].to_numpy(float), _errors(once, "v_0"), figures.V0_COLOUR, "s")]
        for number, name in enumerate(names):
            part = (test["architecture"] == name).to_numpy()
            label = "model: V$_0$ + ΔV" if len(names) == 1 else name
            colour, marker = figures.PALETTE[number % 7], figures.MARKERS[number % 7]
            series.append((label, distance[part], _errors(test, "v_pred")[part], colour, marker))
        figures.draw_errors(axes, series, str(test["unit"].iloc[0]))
        axes.set_title(
            figures.experiment_title(test, "error against separation")
            + "\ntest predictions of all runs; lines: medians"
        )
        fig.legend(loc="outside lower center", ncols=len(series))


def _errors(frame: pd.DataFrame, column: str) -> np.ndarray:
    return np.abs(frame[column].to_numpy(float) - frame["v_ref"].to_numpy(float))


def plot_learning_curves(histories: Sequence[pd.DataFrame], path: Path, unit: str) -> bool:
    """Training loss (left) and validation MAE (right) of every run; False, and logged, where no epoch was recorded."""
    curves = [history for history in histories if len(history)]
    if not curves:
        log.warning("no run recorded an epoch: %s is not written", path.name)
        return False
    panels = {"train_loss": "training loss (|error| weighted by separation)", "val_mae": "validation MAE"}
    shown = {name: title for name, title in panels.items() if any(np.isfinite(c[name]).any() for c in curves)}
    width = 0.7 if len(curves) > len(figures.PALETTE) else 1.6  # many lines must stay apart
    with figures.figure(path, 4.8 * len(shown), 4.4) as fig:
        for axes, (name, title) in zip(np.ravel(fig.subplots(1, len(shown))), shown.items(), strict=True):
            for series in series_of(pd.concat(curves)):
                for history in curves:
                    figures.draw_history(
                        axes,
                        series.rows(history),
                        name,
                        color=series.colour,
                        linestyle=series.linestyle,
                        linewidth=width,
                        label=series.label,
                    )
            figures.logarithmic(axes)
            axes.set(xlabel="epoch", ylabel=f"error of V$_{{ref}}$ [{unit}]", title=title)
        figures.shared_legend(fig)
    return True
