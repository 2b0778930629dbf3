"""Figures of the leaderboard: all experiments at a glance, learning curves, accuracy against cost, ablations."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from psigraph.evaluation import figures
from psigraph.evaluation.panels import (
    columns_of,
    draw_range,
    grid,
    logarithmic,
    looks,
    name_rows,
    with_unit,
)
from psigraph.evaluation.regional.run_figures import FLOOR_STYLES

log = logging.getLogger(__name__)

#: The setting in which the points of a learning curve differ.
SIZE = "split.train"
COSTS = {"graphs_per_s": "training throughput [molecules/s]", "parameters": "parameters"}


def plot_leaderboard(table: pd.DataFrame, ablations: pd.DataFrame, folder: Path) -> list[str]:
    """Draw every figure for which there are data into `folder`, after removing earlier ones; return the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.png"):
        path.unlink()
    if table.empty:
        log.warning("no experiment on properties of molecules: no figure of a leaderboard is written")
        return []
    plot_board(table, folder / "leaderboard.png")
    curves = ablations[ablations["setting"] == SIZE]
    if len(curves):
        plot_learning_curves(table, curves, folder / "learning_curves.png")
    for experiment, rows in largest(table).groupby("experiment", sort=False):
        if rows["parameters"].nunique() > 1 and (rows["metric"] == "mae").any():
            plot_cost(rows, folder / f"cost_{experiment}.png")
    for setting, rows in ablations[ablations["setting"] != SIZE].groupby("setting", sort=False):
        plot_ablation(rows, folder / f"ablation_{str(setting).replace('.', '_')}.png")
    return sorted(path.name for path in folder.glob("*.png"))


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the experiments that are not a smaller training set (NAME-n) of another one."""
    sizes: dict[str, list[tuple[int, str]]] = {}
    for name in table["experiment"].unique():
        stem, _, n = name.rpartition("-")
        sizes.setdefault(stem if n.isdigit() else name, []).append((int(n) if n.isdigit() else 0, name))
    return table[table["experiment"].isin([max(found)[1] for found in sizes.values()])]


def plot_board(table: pd.DataFrame, path: Path) -> None:
    """Draw a table of experiments and targets by architectures: the error, its SD, coloured by its share of the
    composition floor; the best of a row is bold. Variants are in the figures of ablations."""
    own = table[table["variant"] == ""]
    names = list(own["architecture"].unique())
    rows = list(own.groupby(["experiment", "target", "metric"], sort=False))
    labels = [f"{e}: {t}{' within molecules' if m != 'mae' else ''}" for (e, t, m), _ in rows]
    share = np.full((len(rows), len(names)), np.nan)
    with figures.figure(path, 3.2 + 1.25 * (len(names) + 2), 1.6 + 0.36 * len(rows)) as fig:
        axes = fig.subplots()
        for place, (_, alike) in enumerate(rows):
            best = alike["value"].min()
            for row in alike.to_dict("records"):
                column = names.index(row["architecture"])
                if row["floor:composition"] > 0:
                    share[place, column] = row["value"] / row["floor:composition"]
                spread = f" ± {figures.significant(row['sd'], 2)}" if np.isfinite(row["sd"]) else ""
                weight = "bold" if row["value"] == best else "normal"
                text = figures.significant(row["value"]) + spread
                axes.text(column, place, text, ha="center", va="center", fontsize=8, fontweight=weight)
            _board_margin(axes, alike.iloc[0].to_dict(), len(names), place)
        drawn = axes.imshow(share, aspect="auto", cmap="YlGnBu_r", norm=LogNorm(0.02, 1.0), alpha=0.55)
        axes.set_xticks(range(len(names) + 2), [*names, "composition", "published"], rotation=25, ha="left", fontsize=9)
        axes.xaxis.tick_top()
        axes.set_xlim(-0.5, len(names) + 1.5)
        name_rows(axes, labels, shown=True)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        fig.colorbar(drawn, ax=axes, shrink=0.9).set_label("MAE / composition's", fontsize=9)
        fig.suptitle("Test MAE, mean and SD over seeds", x=0.01, ha="left", fontsize=12)


def _board_margin(axes: Axes, row: dict, columns: int, place: int) -> None:
    """Write floor and published figure of one line, each in its column at the right."""
    for offset, value in enumerate((row["floor:composition"], row["published"])):
        text = f"{figures.significant(value)} {row['unit']}" if np.isfinite(value) else "–"
        axes.text(columns + offset, place, text, ha="center", va="center", fontsize=8, color="#4d4d4d")


def plot_learning_curves(table: pd.DataFrame, curves: pd.DataFrame, path: Path) -> None:
    """Draw the error against the number of training molecules with the range over seeds, both axes logarithmic.

    A panel for each family of experiments and target.
    """
    sizes = table.drop_duplicates("experiment").set_index("experiment")["n_train"]
    curves = curves[(curves["metric"] == "mae") & (curves["variant"] == "")]
    curves = curves.assign(n_train=curves["experiment"].map(sizes), stem=curves["experiment"].map(_stem))
    panels = list(curves.groupby(["stem", "target"], sort=False))
    style = looks(list(curves["architecture"].unique()))
    titles = [": ".join(map(str, names)) for names, _ in panels]
    with grid(path, titles, "Learning curves, test molecules", width=4.2, height=3.6) as drawn:
        for axes, (_, rows) in zip(drawn, panels, strict=True):
            _draw_floors(axes, table[table["experiment"].isin(rows["experiment"])], rows["target"].iloc[0])
            for name, own in rows.groupby("architecture", sort=False):
                own = own.sort_values("n_train")
                draw_range(axes, own, own["n_train"], style[str(name)], str(name))
            logarithmic(axes)
            logarithmic(axes, "x", counts=True)
            axes.set(xlabel="training molecules", ylabel=with_unit("MAE", rows["unit"].iloc[0]))


def _stem(experiment: str) -> str:
    """Return NAME of an experiment NAME-n."""
    stem, _, n = experiment.rpartition("-")
    return stem if n.isdigit() else experiment


def _draw_floors(axes: Axes, rows: pd.DataFrame, target: str) -> None:
    own = rows[(rows["target"] == target) & (rows["metric"] == "mae")].drop_duplicates("n_train").sort_values("n_train")
    for floor, (label, colour, line) in FLOOR_STYLES.items():
        axes.plot(own["n_train"], own[floor], color=colour, linestyle=line, linewidth=1.4, label=label)


def plot_cost(rows: pd.DataFrame, path: Path) -> None:
    """Draw the error of one experiment against training throughput and parameters, with the range over seeds."""
    rows = rows[rows["metric"] == "mae"]
    names = rows["architecture"] + np.where(rows["variant"] == "", "", "." + rows["variant"])
    rows = rows.assign(name=names)
    style = looks(list(rows["name"].unique()))
    panels = [(target, column) for column in COSTS for target in rows["target"].unique()]
    titles, columns = [target for target, _ in panels], rows["target"].nunique()
    title = str(next(iter(rows["experiment"]))) + ": accuracy against cost"
    with grid(path, titles, title, width=4.0, height=3.4, columns=columns) as drawn:
        for axes, (target, column) in zip(drawn, panels, strict=True):
            alike = rows[rows["target"] == target]
            for name, own in alike.groupby("name", sort=False):
                draw_range(axes, own, own[column], style[str(name)], str(name))
            logarithmic(axes)
            logarithmic(axes, "x", counts=True)
            axes.set(xlabel=COSTS[column], ylabel=with_unit("MAE", alike["unit"].iloc[0]))


def plot_ablation(rows: pd.DataFrame, path: Path) -> None:
    """Draw what one setting does: its choices side by side for every architecture and experiment, seeds as bars."""
    setting = next(iter(rows["setting"]))
    several = rows["baseline"].nunique() > 1
    rows = rows.assign(row=rows["architecture"] + (", " + rows["baseline"] if several else ""))
    choices, names = list(rows["choice"].unique()), list(rows["row"].unique())
    style = looks(choices)
    panels = list(rows.groupby(["target", "metric"], sort=False))
    titles = [f"{target}{' within molecules' if metric != 'mae' else ''}" for (target, metric), _ in panels]
    with grid(path, titles, f"{setting}: test MAE", height=1.2 + 0.32 * len(names)) as drawn:
        for number, (axes, (_, alike)) in enumerate(zip(drawn, panels, strict=True)):
            for choice, own in alike.groupby("choice", sort=False):
                shift = 0.18 * (choices.index(choice) - (len(choices) - 1) / 2)
                places = [names.index(name) + shift for name in own["row"]]
                draw_range(axes, own, places, style[str(choice)], str(choice), across=True)
            name_rows(axes, names, shown=number % columns_of(len(panels)) == 0)
            logarithmic(axes, "x")
            axes.set_xlabel(with_unit("MAE", alike["unit"].iloc[0]))
