"""Figures of searches and of the learning-rate finder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from psigraph.config.searches import Range, Search
from psigraph.evaluation.figures import PALETTE, REFERENCE_COLOUR, V0_COLOUR, few_decades, figure, limits, shared_legend

Row = Mapping[str, Any]
#: Values farther from the best than so many times the median's distance are drawn at the edge.
_FAR = 4.0


def shown(values: np.ndarray, best: float) -> np.ndarray:
    """Return values (n,) with those far worse than the best drawn nearer, so that the others can be told apart."""
    reach = _FAR * float(np.median(np.abs(values - best)))
    return np.clip(values, best - reach, best + reach) if reach > 0 else values


def draw_history(path: Path, name: str, rows: Sequence[Row], found: Row) -> None:
    """Draw every trial's value by number, the best one so far as a line, and failed trials at the edge."""
    complete = [row for row in rows if row["state"] == "complete"]
    numbers = np.array([row["number"] for row in complete])
    values = np.array([row["value"] for row in complete], dtype=float)
    drawn = shown(values, found["value"])
    best = (np.maximum if found["higher_is_better"] else np.minimum).accumulate(values)
    failed = [row["number"] for row in rows if row["state"] != "complete"]
    with figure(path, 7.0, 4.0) as fig:
        axes = fig.subplots()
        axes.step(numbers, shown(best, found["value"]), where="post", color=V0_COLOUR, label="best so far")
        axes.scatter(numbers, drawn, s=26, color=PALETTE[0], label="trial", zorder=3)
        _mark_best(axes, found["number"], found["value"])
        axes.set_ylim(*limits(drawn))
        worst = axes.get_ylim()[0 if found["higher_is_better"] else 1]
        if failed:
            axes.scatter(failed, [worst] * len(failed), marker="x", color=PALETTE[1], clip_on=False, label="failed")
        axes.set(xlabel="trial", ylabel=_label(found, values, drawn), title=f"search {name}: {len(rows)} trials")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        shared_legend(fig)


def draw_slices(path: Path, name: str, search: Search, complete: Sequence[Row], found: Row) -> None:
    """Draw the value against each searched key, one panel for each."""
    values = np.array([row["value"] for row in complete], dtype=float)
    drawn = shown(values, found["value"])
    keys = list(search.space)
    columns = min(len(keys), 3)
    lines = -(-len(keys) // columns)
    with figure(path, 3.2 * columns + 0.6, 2.9 * lines + 0.5) as fig:
        panels = fig.subplots(lines, columns, sharey=True, squeeze=False)
        for axes, key in zip(panels.flat, keys, strict=False):
            where = _places(axes, search.space[key], [row["values"][key] for row in complete])
            axes.scatter(where, drawn, s=22, color=PALETTE[0], alpha=0.8, label="trial", zorder=3)
            _mark_best(axes, where[[row["number"] for row in complete].index(found["number"])], found["value"])
            axes.set_xlabel(key)
            axes.set_ylim(*limits(drawn))
        for axes in panels.flat[len(keys) :]:
            axes.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel(_label(found, values, drawn))
        fig.suptitle(f"search {name}: every trial by what was searched", x=0.01, ha="left", fontsize=11)
        shared_legend(fig)


def _places(axes: Axes, item: Range | list[Any], values: Sequence[Any]) -> np.ndarray:
    """Return where values (n,) stand on the x axis: themselves, or the numbers of choices, which are its labels."""
    if isinstance(item, Range):
        if item.log:
            axes.set_xscale("log")
            if item.high < 10 * item.low:
                few_decades(axes.xaxis)
        return np.array(values, dtype=float)
    axes.set_xticks(range(len(item)), [str(choice) for choice in item])
    axes.set_xlim(-0.5, len(item) - 0.5)
    return np.array([item.index(value) for value in values], dtype=float)


def _mark_best(axes: Axes, x: float, y: float) -> None:
    axes.scatter([x], [y], s=90, facecolors="none", edgecolors=REFERENCE_COLOUR, linewidths=1.6, label="best", zorder=4)


def _label(found: Row, values: np.ndarray, drawn: np.ndarray) -> str:
    beyond = int((values != drawn).sum())
    return f"{found['monitor']}" + (f"\n({beyond} worse, drawn at the edge)" if beyond else "")


def draw_rates(
    path: Path, title: str, rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: int | None
) -> None:
    """Draw losses (n,) and their smooth course against learning rates (n,), and mark the suggested one.

    Where the loss diverges it leaves the figure.
    """
    with figure(path, 6.0, 4.0) as fig:
        axes = fig.subplots()
        axes.plot(rates, losses, color=V0_COLOUR, linewidth=0.9, label="loss of a batch")
        axes.plot(rates, smoothed, color=PALETTE[0], linewidth=2, label="smoothed")
        axes.set_xscale("log")
        if suggestion is not None:
            rate = rates[suggestion]
            axes.axvline(rate, color=PALETTE[1], linestyle="--", linewidth=1)
            axes.scatter(
                [rate], [smoothed[suggestion]], s=60, color=PALETTE[1], zorder=3, label=f"suggested {rate:.2g}"
            )
        axes.set_ylim(*limits(losses[losses <= 3 * np.nanmedian(losses)]))
        axes.set(xlabel="learning rate", ylabel="training loss", title=title)
        shared_legend(fig)
