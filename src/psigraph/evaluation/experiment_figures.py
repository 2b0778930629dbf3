"""Plots of one experiment, all runs together: parity, error against distance, interaction curves, learning curves."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psigraph.evaluation import figures
from psigraph.evaluation.run_figures import parity_lines
from psigraph.evaluation.tables import FLOORS

log = logging.getLogger(__name__)

FILES = ("parity.png", "error_vs_distance.png", "interaction_curves.png", "learning_curves.png")
MAX_PANELS = 9  # interaction curves
MIN_SEPARATIONS = 3  # points of an interaction curve


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


def _series(frame: pd.DataFrame) -> tuple[str, list]:
    """What the colours stand for: the architecture where there are several, else the seed; and its values."""
    column = "architecture" if frame["architecture"].nunique() > 1 else "seed"
    return column, sorted(frame[column].unique())


def _label(column: str, value: object) -> str:
    return f"seed {value}" if column == "seed" else str(value)


def plot_parity(test: pd.DataFrame, path: Path, epsilon: float) -> None:
    """Two panels with equal axes: the floor V_0, and every run's test predictions in colours."""
    unit = str(test["unit"].iloc[0])
    reference = test["v_ref"].to_numpy(float)
    low, high = figures.limits(reference, test["v_pred"].to_numpy(float), *(test[f].to_numpy(float) for f in FLOORS))
    column, values = _series(test)
    with figures.figure(path, 9.6, 5.6) as fig:
        left, right = fig.subplots(1, 2, sharex=True, sharey=True)
        _floor_panel(left, test, unit)
        for number, value in enumerate(values):
            part = test[test[column] == value]
            right.scatter(
                part["v_ref"],
                part["v_pred"],
                s=20,
                alpha=0.7,
                linewidths=0,
                color=figures.PALETTE[number % len(figures.PALETTE)],
                marker=figures.MARKERS[number % len(figures.MARKERS)],
                label=_label(column, value),
                zorder=3,
            )
        figures.draw_diagonal(right, low, high)
        right.set_title("model: V$_0$ + ΔV")
        lines = parity_lines(test["v_pred"].to_numpy(float), test["v_0"].to_numpy(float), reference, epsilon, unit)
        figures.text_box(right, [lines[0].split(" (")[0], lines[1].split(" (")[0], f"{len(test)} test predictions"])
        for axes in (left, right):
            axes.set_xlabel(f"reference V$_{{ref}}$ [{unit}]")
            figures.draw_diagonal(axes, low, high) if axes is left else None
            axes.legend(loc="upper left", ncols=1 if len(values) <= 6 else 2)
        left.set_ylabel(f"predicted V$_{{ref}}$ [{unit}]")
        fig.suptitle(_title(test, "test predictions of all runs"), x=0.01, ha="left", fontsize=12)


def _floor_panel(axes: Axes, test: pd.DataFrame, unit: str) -> None:
    reference = test["v_ref"].to_numpy(float)
    lines = []
    styles = {"floor:v0": (figures.V0_COLOUR, "s"), "floor:mean_delta": ("#4d4d4d", "+")}
    names = {"floor:v0": "V$_0$ alone", "floor:mean_delta": "V$_0$ + mean ΔV"}
    for floor, (colour, marker) in styles.items():
        values = test[floor].to_numpy(float)
        width = 0.8 if marker == "+" else 0
        axes.scatter(
            reference, values, s=20, color=colour, marker=marker, alpha=0.6, linewidths=width, label=names[floor]
        )
        lines.append(f"MAE {names[floor]}: {figures.significant(float(np.abs(values - reference).mean()))} {unit}")
    axes.set_title("floors: no learning from structures")
    figures.text_box(axes, lines)


def _title(frame: pd.DataFrame, what: str) -> str:
    architectures = ", ".join(sorted(frame["architecture"].unique()))
    return f"{frame['experiment'].iloc[0]} ({architectures}): {what}"


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
        axes.set_title(_title(test, "error against separation") + "\npoints: test predictions of all runs; lines: medians")
        fig.legend(loc="outside lower center", ncols=len(series))


def _errors(frame: pd.DataFrame, column: str) -> np.ndarray:
    return np.abs(frame[column].to_numpy(float) - frame["v_ref"].to_numpy(float))


def plot_learning_curves(histories: Sequence[pd.DataFrame], path: Path, unit: str) -> bool:
    """Training loss (left) and validation MAE (right) of every run; False, and logged, where no epoch was recorded."""
    curves = [history for history in histories if len(history)]
    if not curves:
        log.warning("no run recorded an epoch: %s is not written", path.name)
        return False
    column, values = _series(pd.concat(curves))
    panels = {"train_loss": "training loss (|error| weighted by separation)", "val_mae": "validation MAE"}
    shown = {name: title for name, title in panels.items() if any(np.isfinite(c[name]).any() for c in curves)}
    with figures.figure(path, 4.8 * len(shown), 4.2) as fig:
        for axes, (name, title) in zip(np.ravel(fig.subplots(1, len(shown))), shown.items(), strict=True):
            for history in curves:
                number = values.index(history[column].iloc[0])
                figures.draw_history(
                    axes,
                    history,
                    name,
                    color=figures.PALETTE[number % 7],
                    linestyle=("-", "--", ":", "-.")[number % 4],
                    label=_label(column, values[number]),
                )
            figures.logarithmic(axes)
            axes.set(xlabel="epoch", ylabel=f"[{unit}]", title=title)
        _shared_legend(fig)
    return True


def _shared_legend(fig: Figure) -> None:
    """One legend below the panels, every label once."""
    found: dict[str, object] = {}
    for axes in fig.axes:
        found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    fig.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(len(found), 6))


def choose_systems(outside: pd.DataFrame) -> list[str]:
    """Return up to `MAX_PANELS` systems with at least `MIN_SEPARATIONS` different R, from strong to weak binding.

    Where there are more, they are taken evenly over the order by their lowest V_ref.
    """
    once = outside.drop_duplicates("index")
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
        fig.supxlabel("dimer separation R [Å]", fontsize=10)
        fig.supylabel(f"interaction V [{unit}]", fontsize=10)
        fig.suptitle(_title(runs, "interaction curves of dimers outside training"), x=0.01, ha="left", fontsize=12)
        _shared_legend(fig)
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
    where = {
        split: sorted(rows.loc[rows["split"] == split, "seed"].unique()) for split in ("test", "validation")
    }
    notes = [f"{split}: seed {', '.join(map(str, seeds))}" for split, seeds in where.items() if seeds]
    group = str(rows["group"].iloc[0])
    axes.set_title(f"{_short(system)}  {_short(group)}\n{'; '.join(notes)}", fontsize=9)


def _short(text: str, length: int = 30) -> str:
    text = text.replace("$", r"\$")
    return text if len(text) <= length else text[: length - 1] + "…"
