"""The figure of experiments side by side: test errors of models and floors, one line per experiment."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psigraph.evaluation import figures

_FLOORS = {
    "floor:v0": ("V$_0$ alone", figures.V0_COLOUR, "s"),
    "floor:mean_delta": ("V$_0$ + mean ΔV", "#4d4d4d", "+"),
}


def plot_across(rows: pd.DataFrame, runs: pd.DataFrame, path: Path) -> None:
    """Draw the errors of experiments, grouped by baseline: the pooled MAE, every run's, and the floors'.

    `rows` are those of one set of datasets in the table of `across`, `runs` the MAE of every run.
    """
    places, headings = _places(rows)
    architectures = list(dict.fromkeys(rows["architecture"]))
    with figures.figure(path, 8.6, 1.5 + 0.34 * (len(rows) + len(headings))) as fig:
        axes = fig.subplots()
        for place, row in zip(places, rows.to_dict("records"), strict=True):
            number = architectures.index(row["architecture"])
            for name, (label, colour, marker) in _FLOORS.items():
                axes.scatter(row[name], place, color=colour, marker=marker, s=42, label=label, zorder=3)
            own = runs[(runs["experiment"] == row["experiment"]) & (runs["architecture"] == row["architecture"])]
            _draw_model(axes, row, own["value"].to_numpy(float), place, number, len(architectures))
        _label(axes, rows, places, headings, several=len(architectures) > 1)
        unit = rows["unit"].iloc[0]
        axes.set_xlabel(f"mean absolute error of V$_{{ref}}$ on test dimers [{unit}]")
        axes.set_title(f"{rows['dataset'].iloc[0]}: experiments side by side")
        figures.shared_legend(fig)


def _places(rows: pd.DataFrame) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the height of each row and of each baseline's heading, counted downwards."""
    places: list[float] = []
    headings: list[tuple[float, str]] = []
    at, last = 0.0, None
    for baseline in rows["baseline"]:
        if baseline != last:
            headings.append((at, str(baseline)))
            at, last = at + 1, baseline
        places.append(at)
        at += 1
    return places, headings


def _draw_model(axes: Axes, row: dict, values: np.ndarray, place: float, number: int, several: int) -> None:
    """Draw pooled error, range over runs and every run of one experiment, and write the number at the right."""
    colour, marker = figures.PALETTE[number % 7], figures.MARKERS[number % 7]
    name = "model: V$_0$ + ΔV" if several == 1 else row["architecture"]
    axes.plot([row["lowest"], row["highest"]], [place, place], color=colour, linewidth=1.4, alpha=0.6, zorder=3)
    single: dict[str, Any] = {"facecolors": "white", "edgecolors": colour, "s": 18, "linewidths": 1.0}
    axes.scatter(values, np.full(len(values), place), label="single run", zorder=4, **single)
    axes.scatter(row["value"], place, color=colour, marker=marker, s=56, edgecolors="white", label=name, zorder=5)
    spread = f" ± {figures.significant(row['sd'], 2)}" if np.isfinite(row["sd"]) else ""
    text = f"{figures.significant(row['value'])}{spread}"
    axes.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9)


def _label(
    axes: Axes, rows: pd.DataFrame, places: list[float], headings: list[tuple[float, str]], several: bool
) -> None:
    """Name rows and groups at the left, give the error axis plain numbers."""
    names = [f"{r.experiment}, {r.architecture}" if several else str(r.experiment) for r in rows.itertuples()]
    axes.set_yticks([*places, *(at for at, _ in headings)], [*names, *(f"V$_0$: {name}" for _, name in headings)])
    for label in axes.get_yticklabels()[len(places) :]:
        label.set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(places) + 0.7, -0.7)
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    figures.few_decades(axes.xaxis)
