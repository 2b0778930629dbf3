"""Plots of one run: parity on test and validation, learning curve, error against distance."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation import figures

log = logging.getLogger(__name__)

#: Names fixed by the project's notes, by split.
PARITY_FILES = {"test": "test_final_delta_learning.png", "validation": "val_final_delta_learning.png"}
FILES = (*PARITY_FILES.values(), "learning_curve.png", "error_vs_distance.png")


def plot_run(
    predictions: pd.DataFrame,
    history: pd.DataFrame,
    folder: Path,
    *,
    title: str,
    epsilon: float,
    best_epoch: int | None = None,
) -> list[str]:
    """Draw every plot of a run into `folder` and return the names written.

    The parity plot of an empty split is left out, and the log says so. Plots of an earlier evaluation are removed
    first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    written = []
    for split, name in PARITY_FILES.items():
        chosen = predictions[predictions["split"] == split]
        if chosen.empty:
            log.warning("%s: the %s split is empty; %s is not written", title, split, name)
            continue
        plot_parity(chosen, folder / name, f"{title}: {split} set", epsilon)
        written.append(name)
    unit = str(predictions["unit"].iloc[0])
    if plot_learning_curve(history, folder / "learning_curve.png", title, unit, best_epoch):
        written.append("learning_curve.png")
    plot_error_vs_distance(predictions, folder / "error_vs_distance.png", title)
    return [*written, "error_vs_distance.png"]


def plot_parity(chosen: pd.DataFrame, path: Path, title: str, epsilon: float) -> None:
    """Scatter predicted against reference V_ref with the ideal diagonal; V_0 as pale points; errors in a box."""
    reference, v_0, predicted = (chosen[name].to_numpy(float) for name in ("v_ref", "v_0", "v_pred"))
    unit = str(chosen["unit"].iloc[0])
    low, high = figures.limits(reference, v_0, predicted)
    with figures.figure(path, 5.4, 5.6) as fig:
        axes = fig.subplots()
        figures.draw_diagonal(axes, low, high)
        axes.scatter(reference, v_0, s=20, color=figures.V0_COLOUR, alpha=0.55, linewidths=0, label="V$_0$ alone")
        axes.scatter(
            reference,
            predicted,
            s=24,
            color=figures.MODEL_COLOUR,
            alpha=0.8,
            linewidths=0,
            label="model: V$_0$ + ΔV",
            zorder=3,
        )
        axes.set_xlabel(f"reference V$_{{ref}}$ [{unit}]")
        axes.set_ylabel(f"predicted V$_{{ref}}$ [{unit}]")
        axes.set_title(title)
        lines = parity_lines(predicted, v_0, reference, epsilon, unit)
        figures.text_box(axes, lines, np.tile(reference, 2), np.concatenate([v_0, predicted]))
        fig.legend(loc="outside lower center", ncols=3)


def parity_lines(predicted: np.ndarray, v_0: np.ndarray, reference: np.ndarray, epsilon: float, unit: str) -> list[str]:
    """Return the lines of the box: MAE and MAPE of model and V_0, the epsilon of MAPE, the number of dimers."""
    (percent, below), (percent_0, _) = (metrics.mape(v, reference, epsilon) for v in (predicted, v_0))
    mae, mae_0 = (float(metrics.mae(v, reference)) for v in (predicted, v_0))
    show = figures.significant
    return [
        f"MAE {show(mae)} {unit} (V$_0$: {show(mae_0)})",
        f"MAPE {show(float(percent))} % (V$_0$: {show(float(percent_0))} %)",
        f"ε = {epsilon:g} {unit}, {int(below)} below",
        f"n = {len(reference)}",
    ]


def plot_learning_curve(history: pd.DataFrame, path: Path, title: str, unit: str, best_epoch: int | None) -> bool:
    """Draw training loss and validation MAE against the epoch, and mark the epoch whose weights were kept.

    Returns False, and logs it, where no epoch was recorded.
    """
    if history.empty:
        log.warning("%s: no epoch was recorded; %s is not written", title, path.name)
        return False
    with figures.figure(path, 6.4, 4.0) as fig:
        axes = fig.subplots()
        loss, validation = "training loss (weighted |error|)", "validation MAE"
        figures.draw_history(axes, history, "train_loss", color=figures.PALETTE[1], linestyle="--", label=loss)
        figures.draw_history(axes, history, "val_mae", color=figures.MODEL_COLOUR, linestyle="-", label=validation)
        if best_epoch is not None and best_epoch >= 0:
            axes.axvline(
                best_epoch, color="#404040", linewidth=1, linestyle=":", label=f"weights kept: epoch {best_epoch}"
            )
        figures.logarithmic(axes)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"error of V$_{{ref}}$ [{unit}]")
        axes.set_title(f"{title}: learning curve")
        fig.legend(loc="outside lower center", ncols=3)
    return True


def plot_error_vs_distance(predictions: pd.DataFrame, path: Path, title: str) -> None:
    """Draw |error| against R for V_0 and the model on test and validation samples, or on all where both are empty."""
    chosen = predictions[predictions["split"] != "train"]
    which = "test and validation dimers"
    if chosen.empty:
        log.warning("%s: no test or validation samples; %s shows training samples", title, path.name)
        chosen, which = predictions, "TRAINING dimers"
    reference, distance = chosen["v_ref"].to_numpy(float), chosen["R_angstrom"].to_numpy(float)
    with figures.figure(path, 6.4, 4.4) as fig:
        axes = fig.subplots()
        figures.draw_errors(
            axes,
            [
                (label, distance, np.abs(chosen[column].to_numpy(float) - reference), colour, marker)
                for label, column, colour, marker in (
                    ("V$_0$ alone", "v_0", figures.V0_COLOUR, "s"),
                    ("model: V$_0$ + ΔV", "v_pred", figures.MODEL_COLOUR, "o"),
                )
            ],
            str(chosen["unit"].iloc[0]),
        )
        axes.set_title(f"{title}: error against separation\n{len(chosen)} {which}; lines: medians")
        fig.legend(loc="outside lower center", ncols=2)
