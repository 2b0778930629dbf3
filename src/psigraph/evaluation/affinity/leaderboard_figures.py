"""Figures of the leaderboard of complexes: kinds of splits side by side, learning curves, accuracy against cost."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psigraph.evaluation.affinity.comparison_figures import SHOWN
from psigraph.evaluation.affinity.published import GOALS
from psigraph.evaluation.affinity.run_figures import FLOOR_STYLES
from psigraph.evaluation.affinity.tables import FLOORS
from psigraph.evaluation.panels import columns_of, draw_range, grid, logarithmic, looks, name_rows, with_unit

log = logging.getLogger(__name__)

#: The setting in which the points of a learning curve differ.
SIZE = "split.train"
LEGEND = 2.6  # inches for a name in a legend; those of ensembles are long
#: Settings that have a figure of their own.
ON_FIGURES = (SIZE, "split.by")
COSTS = {"parameters": "parameters", "train_seconds": "training time [s]"}


def plot_leaderboard(table: pd.DataFrame, ablations: pd.DataFrame, folder: Path) -> list[str]:
    """Draw every figure for which there are data into `folder`, after removing earlier ones; return the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.png"):
        path.unlink()
    if table.empty:
        log.warning("no experiment on complexes: no figure of a leaderboard is written")
        return []
    table = table.assign(name=names_of(table))
    plot_splits(table, folder / "splits.png")
    curves = ablations[ablations["setting"] == SIZE]
    if len(curves):
        plot_learning_curves(table, curves, folder / "learning_curves.png")
    for experiment, rows in table[table["metric"] == "r"].groupby("experiment", sort=False):
        if rows["parameters"].nunique() > 1 and not str(experiment).rpartition("-")[2].isdigit():
            plot_cost(rows, folder / f"cost_{experiment}.png")
    for setting, rows in ablations[~ablations["setting"].isin(ON_FIGURES)].groupby("setting", sort=False):
        plot_ablation(rows, folder / f"ablation_{str(setting).replace('.', '_')}.png")
    return sorted(path.name for path in folder.glob("*.png"))


def names_of(table: pd.DataFrame) -> pd.Series:
    """Return architecture and variant of each row in one word."""
    variant = table["variant"].fillna("").astype(str)
    return table["architecture"] + np.where(variant == "", "", "." + variant)


def plot_splits(table: pd.DataFrame, path: Path) -> None:
    """Draw every experiment's metrics side by side, each with the name of its split, floors as ticks across the line.

    Bars are 95 % intervals; of R the note's goals are dotted lines.
    """
    experiments = table.drop_duplicates("experiment")
    labels = [f"{row.experiment} ({row.split_kind}, {row.n_train:.0f})" for row in experiments.itertuples()]
    places = {name: place for place, name in enumerate(experiments["experiment"])}
    names = list(table["name"].unique())
    style = looks(names)
    shown = {metric: label for metric, label in SHOWN.items() if (table["metric"] == metric).any()}
    height = 1.5 + len(labels) * (0.3 + 0.13 * len(names))
    title = "Experiments side by side: split and training complexes in brackets"
    with grid(path, list(shown.values()), title, width=4.8, height=height, legend=LEGEND) as panels:
        for number, (axes, metric) in enumerate(zip(panels, shown, strict=True)):
            rows = table[table["metric"] == metric]
            for goal in GOALS.values() if metric in ("r", "r2") else ():
                axes.axvline(goal, color="#b0b0b0", linestyle=":", linewidth=1.0, label="the note's goals")
            for row in rows.to_dict("records"):
                _draw_entry(axes, row, places[row["experiment"]], names.index(row["name"]), len(names), style)
            for experiment, alike in rows.groupby("experiment", sort=False):
                _draw_floors(axes, alike.iloc[0], places[experiment])
            name_rows(axes, labels, shown=number % columns_of(len(panels)) == 0)
            axes.set_xlabel(with_unit(shown[metric], str(rows["unit"].iloc[0])))


def _draw_entry(axes: Axes, row: dict, place: int, number: int, several: int, style: dict) -> None:
    look = style[row["name"]]
    at = place + 0.7 * ((number + 0.5) / several - 0.5)
    if np.isfinite(row["low"]):
        axes.plot([row["low"], row["high"]], [at, at], color=look.colour, linewidth=1.6, alpha=0.5, zorder=3)
    axes.scatter(row["value"], at, color=look.colour, marker=look.marker, s=28, label=row["name"], zorder=4)


def _draw_floors(axes: Axes, row: pd.Series, place: int) -> None:
    for floor, (colour, line) in FLOOR_STYLES.items():
        if np.isfinite(row[floor]):
            axes.plot([row[floor]] * 2, [place - 0.4, place + 0.4], color=colour, linestyle=line, label=FLOORS[floor])


def plot_learning_curves(table: pd.DataFrame, curves: pd.DataFrame, path: Path) -> None:
    """Draw R and RMSE against the number of training complexes with the range over seeds, and the forest on contacts.

    A row of panels for each family of experiments, named by its first.
    """
    sizes = table.drop_duplicates("experiment").set_index("experiment")["n_train"]
    curves = curves[(curves["variant"] == "") & curves["metric"].isin(["r", "rmse"])]
    curves = curves.assign(n_train=curves["experiment"].map(sizes))
    panels = list(curves.groupby(["baseline", "metric"], sort=False))
    style = looks(list(curves["architecture"].unique()))
    titles = [f"{baseline}: {SHOWN[str(metric)]}" for (baseline, metric), _ in panels]
    with grid(path, titles, "Learning curves, test complexes", width=4.4, height=3.6, columns=2) as drawn:
        for axes, ((_, metric), rows) in zip(drawn, panels, strict=True):
            floors = table[table["experiment"].isin(rows["experiment"]) & (table["metric"] == metric)]
            floors = floors.drop_duplicates("experiment").sort_values("n_train")
            for floor, (colour, line) in FLOOR_STYLES.items():
                axes.plot(floors["n_train"], floors[floor], color=colour, linestyle=line, label=FLOORS[floor])
            for name, own in rows.groupby("architecture", sort=False):
                own = own.sort_values("n_train")
                draw_range(axes, own, own["n_train"], style[str(name)], str(name))
            logarithmic(axes, "x", counts=True)
            label = with_unit(SHOWN[str(metric)], str(rows["unit"].iloc[0]))
            axes.set(xlabel="training complexes", ylabel=label)


def plot_cost(rows: pd.DataFrame, path: Path) -> None:
    """Draw R of one experiment against parameters and training time, with the range over seeds."""
    style = looks(list(rows["name"]))
    title = str(next(iter(rows["experiment"]))) + ": accuracy against cost"
    with grid(path, [""] * len(COSTS), title, width=4.4, height=3.6, legend=LEGEND) as drawn:
        for axes, column in zip(drawn, COSTS, strict=True):
            for name, own in rows.groupby("name", sort=False):
                draw_range(axes, own, own[column], style[str(name)], str(name))
            logarithmic(axes, "x", counts=True)
            axes.set(xlabel=COSTS[column], ylabel="R on test complexes")


def plot_ablation(rows: pd.DataFrame, path: Path) -> None:
    """Draw what one setting does to R and RMSE: its choices side by side for every architecture, seeds as bars."""
    setting = next(iter(rows["setting"]))
    several = rows["baseline"].nunique() > 1
    rows = rows[rows["metric"].isin(["r", "rmse"])]
    rows = rows.assign(row=rows["architecture"] + (", " + rows["baseline"] if several else ""))
    choices, names = list(rows["choice"].unique()), list(rows["row"].unique())
    style = looks(choices)
    panels = list(rows.groupby("metric", sort=False))
    titles = [SHOWN[str(metric)] for metric, _ in panels]
    with grid(path, titles, f"{setting}: test complexes", width=4.4, height=1.2 + 0.32 * len(names)) as drawn:
        for number, (axes, (metric, alike)) in enumerate(zip(drawn, panels, strict=True)):
            for choice, own in alike.groupby("choice", sort=False):
                shift = 0.18 * (choices.index(choice) - (len(choices) - 1) / 2)
                places = [names.index(name) + shift for name in own["row"]]
                draw_range(axes, own, places, style[str(choice)], str(choice), across=True)
            name_rows(axes, names, shown=number == 0)
            axes.set_xlabel(with_unit(SHOWN[str(metric)], str(alike["unit"].iloc[0])))
