"""Figures of the page on features: histograms of every series of a scope, and time against size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from psigraph.evaluation import figures
from psigraph.evaluation.feature_series import EVERYTHING, Series

COLUMNS = 4
BINS = 40
_OTHERS = "#8c8c8c"


def plot_histograms(series: Sequence[Series], path: Path) -> None:
    """Draw one panel per series with a logarithmic count axis, atoms by element."""
    labels = _labels(series)
    rows = -(-len(series) // COLUMNS)
    with figures.figure(path, 10.4, 0.5 + 1.75 * rows) as fig:
        panels = np.ravel(fig.subplots(rows, COLUMNS, squeeze=False))
        for axes, item in zip(panels, series, strict=False):
            _histogram(axes, item, labels)
        for axes in panels[len(series) :]:
            axes.set_visible(False)
        if labels != [EVERYTHING]:
            figures.shared_legend(fig)


def _labels(series: Sequence[Series]) -> list[str]:
    """Return all labels, most frequent first."""
    every = np.concatenate([item.label.astype(str) for item in series])
    names, counts = np.unique(every, return_counts=True)
    return [str(name) for name in names[np.argsort(-counts, kind="stable")]]


def _histogram(axes: Axes, item: Series, labels: Sequence[str]) -> None:
    axes.set_title(item.name, fontsize=8.5)
    unit = item.feature.unit
    axes.set_xlabel("" if unit == "1" else unit, fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if not len(item.values):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", fontsize=8)
        return
    edges = bin_edges(item)
    for number, label in enumerate(labels):
        colour = figures.PALETTE[number] if number < len(figures.PALETTE) else _OTHERS
        chosen = item.values[item.label == label]
        if len(chosen):
            counts, _ = np.histogram(chosen, edges)
            axes.stairs(counts, edges, color=colour, linewidth=1.1, label=label)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.yaxis.set_minor_formatter(NullFormatter())
    if item.discrete:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def bin_edges(item: Series) -> np.ndarray:
    """Return the edges of a histogram's bins: around whole numbers for labels and counts, else BINS equal ones."""
    low, high = float(item.values.min()), float(item.values.max())
    if item.discrete:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.0)
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):  # all equal but for rounding
        half = 0.5 * max(abs(low), 1.0)
        return np.linspace(low - half, high + half, BINS + 1)
    return np.linspace(low, high, BINS + 1)


def plot_times(seconds: np.ndarray, atoms: np.ndarray, ok: np.ndarray, path: Path) -> None:
    """Draw time [s] against number of atoms of each structure, failed ones marked; the time axis is logarithmic."""
    with figures.figure(path, 6.4, 4.2) as fig:
        axes = fig.subplots()
        known = seconds > 0
        kinds = ((ok, "computed", figures.MODEL_COLOUR, "o"), (~ok, "failed", figures.PALETTE[1], "X"))
        for chosen, name, colour, marker in kinds:
            if (chosen & known).any():
                style: dict[str, Any] = {"color": colour, "marker": marker, "alpha": 0.6, "linewidths": 0}
                axes.scatter(atoms[chosen & known], seconds[chosen & known], s=18, label=name, **style)
        axes.set_yscale("log")
        figures.few_decades(axes.yaxis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="atoms", ylabel="time of all its calculations [s]")
        figures.shared_legend(fig)
