"""Figures of one experiment on complexes: metrics beside floors, parity, ranking, calibration, learning curves."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psigraph import metrics
from psigraph.evaluation import figures
from psigraph.evaluation.affinity.ensembles import Ensemble, reliability, spread_scale
from psigraph.evaluation.affinity.run_figures import FLOOR_STYLES, plot_history
from psigraph.evaluation.affinity.tables import FLOORS
from psigraph.evaluation.panels import columns_of, grid, looks, name_rows, with_unit
from psigraph.evaluation.tables import correlation

log = logging.getLogger(__name__)

FILES = ("metrics.png", "parity.png", "targets.png", "calibration.png", "learning_curves.png")
#: Metrics that are drawn side by side.
SHOWN = {"r": "R", "r2": "R²", "rmse": "RMSE", "spearman_within": "Spearman within targets"}
MOST_TARGETS = 40  # rows of targets.png


def plot_comparison(
    table: pd.DataFrame,
    by_target: pd.DataFrame,
    tested: Mapping[str, Sequence[pd.DataFrame]],
    ensembles: Sequence[Ensemble],
    histories: Sequence[pd.DataFrame],
    folder: Path,
    title: str,
) -> list[str]:
    """Draw every plot for which there are data into `folder`, after removing earlier ones; return the names written.

    `table`, `by_target` and `tested` are what `comparison` makes; `histories` have the column architecture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*FILES, "targets.csv", "ensembles.csv"):
        (folder / name).unlink(missing_ok=True)
    written = []
    if tested:
        plot_metrics(table, tested, folder / "metrics.png", title)
        plot_parity(tested, folder / "parity.png", title)
        written += ["metrics.png", "parity.png"]
    if by_target["spearman"].notna().any():
        plot_targets(by_target, folder / "targets.png", title)
        written.append("targets.png")
    if ensembles:
        plot_calibration(ensembles, folder / "calibration.png", title)
        written.append("calibration.png")
    if plot_history(histories, folder / "learning_curves.png", title):
        written.append("learning_curves.png")
    return written


def plot_metrics(table: pd.DataFrame, tested: Mapping[str, Sequence[pd.DataFrame]], path: Path, title: str) -> None:
    """Draw each model's and ensemble's metrics with their intervals, the range over runs as dots, floors as lines."""
    names = list(tested)
    size: Any = {"width": 4.6, "height": 1.3 + 0.27 * len(names)}
    with grid(path, list(SHOWN.values()), f"{title}: test complexes", **size) as panels:
        for number, (axes, (metric, label)) in enumerate(zip(panels, SHOWN.items(), strict=True)):
            rows = table[table["metric"] == metric]
            for floor, (colour, line) in FLOOR_STYLES.items():
                value = rows.loc[rows["reference"] == floor, "value_reference"].mean()
                if np.isfinite(value):
                    axes.axvline(value, color=colour, linestyle=line, linewidth=1.4, label=FLOORS[floor])
            for place, (name, look) in enumerate(looks(names).items()):
                row = rows[rows["architecture"] == name].iloc[0]
                _draw_value(axes, row, place, look.colour)
            name_rows(axes, names, shown=number % columns_of(len(panels)) == 0)
            axes.set_xlabel(with_unit(label, str(rows["unit"].iloc[0])))


def _draw_value(axes: Axes, row: pd.Series, place: int, colour: str) -> None:
    """Draw a value with its 95 % interval, and its lowest and highest run as open dots."""
    if np.isfinite(row["value_low"]):
        axes.plot([row["value_low"], row["value_high"]], [place] * 2, color=colour, linewidth=2.4, alpha=0.45, zorder=3)
    style: dict[str, Any] = {"facecolors": "white", "edgecolors": colour, "linewidths": 1.0, "zorder": 4}
    axes.scatter([row["lowest"], row["highest"]], [place] * 2, s=16, **style)
    axes.scatter(row["value"], place, s=44, color=colour, edgecolors="white", zorder=5)


def plot_parity(tested: Mapping[str, Sequence[pd.DataFrame]], path: Path, title: str) -> None:
    """Predicted against measured labels, a panel for each model and ensemble, all runs; the ligand alone in grey."""
    with grid(path, list(tested), f"{title}: test complexes, all runs", height=3.7) as panels:
        for axes, (name, frames) in zip(panels, tested.items(), strict=True):
            rows = pd.concat(frames if not name.startswith("ensemble") else frames[:1])
            reference, predicted, floor = (
                rows[column].to_numpy(float) for column in ("reference", "predicted", "floor:ligand")
            )
            figures.draw_diagonal(axes, *figures.limits(reference, predicted, floor))
            style: dict[str, Any] = {"s": 10, "alpha": 0.5, "linewidths": 0}
            axes.scatter(reference, floor, color=figures.V0_COLOUR, marker="s", label=FLOORS["floor:ligand"], **style)
            axes.scatter(reference, predicted, color=figures.MODEL_COLOUR, label="model", **style)
            r, other = (correlation(metrics.r, values, reference) for values in (predicted, floor))
            lines = [f"R {figures.significant(r)}", f"ligand alone: {figures.significant(other)}"]
            lines.append(f"RMSE {figures.significant(metrics.rmse(predicted, reference))}")
            figures.text_box(axes, lines, np.tile(reference, 2), np.concatenate([predicted, floor]))
            target, unit = (str(rows[column].iloc[0]) for column in ("target", "unit"))
            axes.set(xlabel=with_unit(f"measured {target}", unit), ylabel=with_unit(f"predicted {target}", unit))


def plot_targets(by_target: pd.DataFrame, path: Path, title: str) -> None:
    """Draw Spearman's correlation within each target, a column for each model and floor that can rank, as a map."""
    wide = by_target.pivot_table(index="group", columns="predictor", values="spearman", sort=False)
    ranking = [str(name) for name in by_target["predictor"].unique() if name in wide and wide[name].abs().max() > 0]
    wide = wide[sorted(ranking, key=lambda name: name in FLOORS)]  # floors last
    counts = by_target.drop_duplicates("group").set_index("group")["n"]
    order = counts[wide.index].sort_values(ascending=False, kind="stable").index[:MOST_TARGETS]
    wide = wide.loc[order]
    with figures.figure(path, 4.0 + 0.95 * len(wide.columns), max(3.4, 2.0 + 0.27 * len(wide))) as fig:
        axes = fig.subplots()
        drawn = axes.imshow(wide.to_numpy(float), aspect="auto", cmap="PuOr_r", vmin=-1, vmax=1, alpha=0.7)
        for (row, column), value in np.ndenumerate(wide.to_numpy(float)):
            axes.text(column, row, f"{value:.2f}".replace("-", "−"), ha="center", va="center", fontsize=8)
        labels = [FLOORS.get(str(name), str(name)) for name in wide.columns]
        axes.set_xticks(range(len(labels)), labels, rotation=25, ha="left", fontsize=9)
        axes.xaxis.tick_top()
        name_rows(axes, [f"{name} ({counts[name]})" for name in wide.index], shown=True)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        fig.colorbar(drawn, ax=axes, shrink=0.9).set_label("Spearman's ρ")
        more = f", the {len(wide)} with most complexes" if len(counts) > len(wide) else ""
        fig.suptitle(f"{title}: ranking within targets (test complexes{more})", x=0.01, ha="left", fontsize=12)


def plot_calibration(ensembles: Sequence[Ensemble], path: Path, title: str) -> None:
    """Draw the RMSE of bins of test complexes against the spread of the members, as it is and scaled by validation."""
    names = [item.name for item in ensembles]
    with grid(path, names, f"{title}: does the spread of the members tell the error?", height=3.4) as panels:
        for axes, item in zip(panels, ensembles, strict=True):
            bins, scale = reliability(item), spread_scale(item.of("validation"))
            highest = 1.08 * max(bins["rmse"].max(), bins["sd"].max())
            series = [("spread", 1.0, figures.PALETTE[0], "o")]
            if np.isfinite(scale):
                series.append(("spread, scaled on validation", scale, figures.PALETTE[1], "s"))
                highest = max(highest, 1.08 * scale * bins["sd"].max())
            axes.plot([0, highest], [0, highest], color="#404040", linestyle="--", linewidth=1, label="calibrated")
            for label, factor, colour, marker in series:
                axes.plot(factor * bins["sd"], bins["rmse"], color=colour, marker=marker, markersize=5, label=label)
            axes.set(xlim=(0, highest), ylim=(0, highest), xlabel="spread of the members (SD)", ylabel="RMSE")
