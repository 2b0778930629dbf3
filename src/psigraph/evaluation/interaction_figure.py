"""Interaction curves: V_0, prediction and reference against the separation, for dimers outside training."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psigraph.evaluation import figures

log = logging.getLogger(__name__)

MAX_PANELS = 9
MIN_SEPARATIONS = 3  # points of a curve


def choose_systems(outside: pd.DataFrame) -> list[str]:
    """Return up to `MAX_PANELS` systems with at least `MIN_SEPARATIONS` different R, from strong to weak binding.

    Where there are more, they are taken evenly over the order by their lowest V_ref. A system that is its own group (a
    simulation frame with many pairs) is a collection, not a curve.
    """
    once = outside.drop_duplicates("index")
    once = once[once["system"] != once["group"]]
    table = once.groupby("system").agg(separations=("R_angstrom", "nunique"), lowest=("v_ref", "min"))
    table = table[table["separations"] >= MIN_SEPARATIONS].sort_values(["lowest", "separations"], kind="stable")
    if len(table) <= MAX_PANELS:
        return [str(name) for name in table.index]
    places = np.linspace(0, len(table) - 1, MAX_PANELS).round().astype(int)
    return [str(table.index[i]) for i in places]


def plot_interaction_curves(runs: pd.DataFrame, path: Path) -> bool:
    """V_0, prediction and reference against R for some systems; only samples that the predicting run did not train on.

    A prediction is the mean over the runs that did not train on the sample, with bars from the lowest to the highest.
    Returns False, and logs it, where no system has enough separations outside training.
    """
    outside = runs[runs["split"] != "train"]
    systems = choose_systems(outside)
    if not systems:
        log.warning("no system has %d separations outside training: %s is not written", MIN_SEPARATIONS, path.name)
        return False
    columns = min(3, len(systems))
    lines = -(-len(systems) // columns)
    unit = str(runs["unit"].iloc[0])
    with figures.figure(path, 3.5 * columns + 0.4, 2.9 * lines + 1.2) as fig:
        panels = fig.subplots(lines, columns, squeeze=False)
        for axes in panels.ravel()[len(systems) :]:
            axes.set_axis_off()
        for axes, system in zip(panels.ravel(), systems, strict=False):
            _curve_panel(axes, outside[outside["system"] == system], system)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(f"V [{unit}]")
        for column in range(columns):
            lowest = (len(systems) - 1 - column) // columns
            panels[lowest, column].set_xlabel("dimer separation R [Å]")
        fig.suptitle(
            figures.experiment_title(runs, "interaction curves of dimers outside training"),
            x=0.01,
            ha="left",
            fontsize=12,
        )
        figures.shared_legend(fig)
    return True


def _curve_panel(axes: Axes, rows: pd.DataFrame, system: str) -> None:
    table = rows.groupby("index").agg(
        R=("R_angstrom", "first"),
        v_0=("v_0", "first"),
        v_ref=("v_ref", "first"),
        mean=("v_pred", "mean"),
        low=("v_pred", "min"),
        high=("v_pred", "max"),
    )
    table = table.sort_values("R")
    distance = table["R"].to_numpy()
    axes.axhline(0, color="#bbbbbb", linewidth=0.8)
    axes.plot(distance, table["v_0"], color=figures.V0_COLOUR, marker="s", markersize=4, label="V$_0$ alone")
    axes.plot(
        distance, table["v_ref"], color=figures.REFERENCE_COLOUR, marker="o", markersize=4, label="reference V$_{ref}$"
    )
    bars = np.abs(table[["low", "high"]].to_numpy().T - table["mean"].to_numpy())  # (2, m)
    axes.errorbar(
        distance,
        table["mean"],
        yerr=bars,
        color=figures.MODEL_COLOUR,
        marker="D",
        markersize=4,
        linestyle="--",
        capsize=2,
        label="model: mean and range over runs",
    )
    where = {split: sorted(rows.loc[rows["split"] == split, "seed"].unique()) for split in ("test", "validation")}
    notes = [f"{split}: seed {', '.join(map(str, seeds))}" for split, seeds in where.items() if seeds]
    group = str(rows["group"].iloc[0])
    axes.set_title(f"{_short(system)}  {_short(group)}\n{'; '.join(notes)}", fontsize=9)


def _short(text: str, length: int = 30) -> str:
    text = text.replace("$", r"\$")
    return text if len(text) <= length else text[: length - 1] + "…"
