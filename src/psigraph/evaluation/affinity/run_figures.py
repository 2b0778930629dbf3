"""Plots of one run on complexes: parity, residuals by target, drift under rotation, learning curve, saliency."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from psigraph import metrics
from psigraph.evaluation import figures
from psigraph.evaluation.affinity.rotation import ROTATIONS
from psigraph.evaluation.affinity.saliency import Explained, saliency_table
from psigraph.evaluation.affinity.saliency_figure import plot_saliency
from psigraph.evaluation.affinity.tables import FLOORS
from psigraph.evaluation.panels import Look, grid, looks, name_rows, with_unit
from psigraph.evaluation.tables import correlation, write_csv
from psigraph.training.affinity import VERDICTS

log = logging.getLogger(__name__)

FILES = ("parity.png", "targets.png", "drift.png", "learning_curve.png", "saliency.png", "saliency.csv")
MOST_COLOURED = 14  # targets that have a colour of their own in a parity plot, those with the most complexes
LOWEST_R2 = -0.5  # where the axis of R² ends; below, a model is worse than any constant by far
#: Floor: colour, line style.
FLOOR_STYLES = {
    "floor:mean": ("#9a9a9a", ":"),
    "floor:forest": ("#4d4d4d", "--"),
    "floor:ligand": ("#8c6d31", "-."),
    "floor:protein": ("#7b6888", (0, (1, 1))),
}


def plot_run(
    predictions: pd.DataFrame,
    history: pd.DataFrame,
    explained: Sequence[Explained],
    folder: Path,
    *,
    title: str,
    best_epoch: int | None = None,
) -> list[str]:
    """Draw every plot for which there are data into `folder`; return the names written, log those that are not.

    Plots of an earlier evaluation are removed first. Beside saliency.png stand its values, saliency.csv.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    written = []
    test = predictions[(predictions["split"] == "test") & predictions["reference"].notna()]
    if len(test):
        plot_parity(test, folder / "parity.png", title)
        plot_targets(test, folder / "targets.png", title)
        plot_drift(test, folder / "drift.png", title)
        plot_saliency(explained, folder / "saliency.png", title, str(test["unit"].iloc[0]))
        write_csv(saliency_table(explained), folder / "saliency.csv")
        written += ["parity.png", "targets.png", "drift.png", "saliency.png", "saliency.csv"]
    else:
        log.warning("%s: the test split is empty; of complexes nothing is drawn", title)
    if plot_history([history], folder / "learning_curve.png", title, best_epoch):
        written.append("learning_curve.png")
    return written


def plot_parity(test: pd.DataFrame, path: Path, title: str) -> None:
    """Predicted against measured labels of test complexes, coloured by target; the forest on contacts in grey."""
    reference, predicted, floor = (test[name].to_numpy(float) for name in ("reference", "predicted", "floor:forest"))
    target, unit = (str(test[name].iloc[0]) for name in ("target", "unit"))
    with figures.figure(path, 7.6, 5.6) as fig:
        axes = fig.subplots()
        figures.draw_diagonal(axes, *figures.limits(reference, predicted, floor))
        label = FLOORS["floor:forest"]
        axes.scatter(reference, floor, s=16, color=figures.V0_COLOUR, marker="s", alpha=0.4, linewidths=0, label=label)
        for label, rows, look in _by_target(test):
            style: Any = {"color": look.colour, "marker": look.marker, "alpha": 0.85, "linewidths": 0}
            axes.scatter(rows["reference"], rows["predicted"], s=24, label=label, zorder=3, **style)
        lines = [_line("model", predicted, reference), _line(FLOORS["floor:forest"], floor, reference)]
        lines.append(f"n = {len(test)}, {test['group'].nunique()} targets")
        figures.text_box(axes, lines, np.tile(reference, 2), np.concatenate([predicted, floor]))
        axes.set(xlabel=with_unit(f"measured {target}", unit), ylabel=with_unit(f"predicted {target}", unit))
        axes.set_title(f"{title}: test complexes")
        fig.legend(loc="outside right upper", fontsize=8)


def _line(name: str, predicted: np.ndarray, reference: np.ndarray) -> str:
    r = correlation(metrics.r, predicted, reference)
    return f"{name}: R {figures.significant(r)}, RMSE {figures.significant(metrics.rmse(predicted, reference))}"


def _by_target(test: pd.DataFrame) -> list[tuple[str, pd.DataFrame, Look]]:
    """Return label, rows and look of each target; those beyond `MOST_COLOURED` are one."""
    names = [str(name) for name in test["group"].value_counts(sort=True).index[:MOST_COLOURED]]
    parts = [(name, test[test["group"] == name], look) for name, look in looks(names).items()]
    others = test[~test["group"].isin(names)]
    if len(others):
        look = Look("#b0b0b0", "o", "-")
        parts.append((f"{others['group'].nunique()} further targets", others, look))
    return parts


def plot_targets(test: pd.DataFrame, path: Path, title: str) -> None:
    """Draw the residual of every test complex and the mean of each target, targets in the order of their means."""
    target, unit = (str(test[name].iloc[0]) for name in ("target", "unit"))
    residual = test["predicted"] - test["reference"]
    means = residual.groupby(test["group"]).mean().sort_values()
    places = test["group"].map({name: place for place, name in enumerate(means.index)})
    with figures.figure(path, 6.8, 1.6 + 0.24 * len(means)) as fig:
        axes = fig.subplots()
        axes.axvline(0.0, color=figures.REFERENCE_COLOUR, linewidth=0.8)
        axes.scatter(residual, places, s=16, color=figures.MODEL_COLOUR, alpha=0.5, linewidths=0, label="complex")
        style: Any = {"color": figures.PALETTE[1], "marker": "D", "edgecolors": "white"}
        axes.scatter(means, range(len(means)), s=44, zorder=3, label="mean of the target", **style)
        counts = test["group"].value_counts()
        name_rows(axes, [f"{name} ({counts[name]})" for name in means.index], shown=True)
        axes.set_xlabel(with_unit(f"predicted − measured {target}", unit))
        axes.set_title(f"{title}: residuals of test complexes by target")
        fig.legend(loc="outside lower center", ncols=2)


def plot_drift(test: pd.DataFrame, path: Path, title: str) -> None:
    """Draw histograms of the drift under rotation of single predictions and of the mean over rotations."""
    series = {"drift_sd": ("single orientation", 0), "drift_tta": (f"mean over {ROTATIONS} orientations", 1)}
    values = {name: test[name].to_numpy(float) for name in series}
    bins = np.linspace(0.0, max(float(v.max()) for v in values.values()) or 1.0, 31)
    with figures.figure(path, 6.4, 4.0) as fig:
        axes = fig.subplots()
        for name, (label, number) in series.items():
            drift = float(np.sqrt(np.mean(values[name] ** 2)))
            style: Any = {"color": figures.PALETTE[number], "alpha": 0.55}
            axes.hist(values[name], bins=list(bins), label=f"{label}: RMS {figures.significant(drift, 2)}", **style)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        unit = str(test["unit"].iloc[0])
        axes.set(xlabel=with_unit(f"SD of {test['target'].iloc[0]} under rotation", unit), ylabel="test complexes")
        axes.set_title(f"{title}: drift under rotation")
        fig.legend(loc="outside lower center", ncols=2)


def plot_history(histories: Sequence[pd.DataFrame], path: Path, title: str, best_epoch: int | None = None) -> bool:
    """Draw losses and the validation R² of one or several runs, over the note's bands of R²; False without an epoch.

    `histories` of several runs have the column `architecture`.
    """
    curves = [history for history in histories if len(history)]
    if not curves:
        log.warning("%s: no epoch was recorded; %s is not written", title, path.name)
        return False
    names = [str(curve["architecture"].iloc[0]) if "architecture" in curve else "" for curve in curves]
    style = looks(list(dict.fromkeys(names)))
    with grid(
        path, ["loss", "R² on validation complexes"], f"{title}: learning curve", width=5.4, height=3.8
    ) as panels:
        for name, curve in zip(names, curves, strict=True):
            look, who = style[name], f"{name}: " if name else ""
            line: Any = {"color": look.colour, "linewidth": 1.2 if len(curves) > 1 else 1.6}
            figures.draw_history(panels[0], curve, "train_loss", label=f"{who}training", linestyle="--", **line)
            figures.draw_history(panels[0], curve, "val_loss", label=f"{who}validation", **line)
            known = curve[curve["val_r2"].notna()]
            panels[1].plot(known["epoch"], known["val_r2"].clip(lower=LOWEST_R2), label=f"{who}validation", **line)
        if best_epoch is not None:
            for axes in panels:
                label = f"weights kept: epoch {best_epoch}"
                axes.axvline(best_epoch, color="#404040", linewidth=1, linestyle=":", label=label)
        figures.logarithmic(panels[0])
        draw_bands(panels[1])
        for axes in panels:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel("epoch")
    return True


def draw_bands(axes: Axes) -> None:
    """Shade R² by the note's words for it, from POOR below 0 to EXCELLENT from 0.7 on."""
    axes.set_ylim(LOWEST_R2, 1.0)
    edges = [1.0, *(least for least, _ in VERDICTS), LOWEST_R2]
    words = [*(word for _, word in VERDICTS), "POOR"]
    for number, (word, high, low) in enumerate(zip(words, edges, edges[1:], strict=False)):
        axes.axhspan(low, high, color=figures.PALETTE[2], alpha=0.20 - 0.045 * number, linewidth=0, zorder=0)
        place: Any = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center"}
        axes.annotate(word, (0.99, (low + high) / 2), fontsize=7.5, color="#5a5a5a", **place)
