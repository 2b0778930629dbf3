"""What all plots share: style, colours that colour-blind readers can tell apart, and the two recurring panels.

Colours are from M. Okabe and K. Ito, Color Universal Design, 2008. V_0 is always pale grey, the reference black.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from psigraph.stores import atomic_path

log = logging.getLogger(__name__)

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
V0_COLOUR = "#9a9a9a"
REFERENCE_COLOUR = "#000000"
MODEL_COLOUR = PALETTE[0]

DPI = 160
STYLE: Any = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "savefig.dpi": DPI,
    "figure.constrained_layout.use": True,
}


@contextmanager
def figure(path: str | Path, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure of `width` × `height` inches in the house style; at the end it becomes a PNG at `path`."""
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(width, height), layout="constrained")
        yield fig
        with atomic_path(path) as temporary:
            fig.savefig(temporary, format="png", metadata={"Software": None})
    log.info("wrote %s", path)


def limits(*values: np.ndarray) -> tuple[float, float]:
    """Return limits with a margin of 5 % around all finite values."""
    every = np.concatenate([np.ravel(v) for v in values])
    every = every[np.isfinite(every)]
    if not len(every):
        return -1.0, 1.0
    low, high = float(every.min()), float(every.max())
    margin = 0.05 * (high - low) or 0.05 * max(abs(high), 1.0)
    return low - margin, high + margin


def draw_diagonal(axes: Axes, low: float, high: float) -> None:
    """Draw the line of perfect predictions and give both axes the same limits and scale."""
    axes.plot(
        [low, high], [low, high], color="#404040", linewidth=1, linestyle="--", zorder=1, label="perfect prediction"
    )
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set_aspect("equal")


def text_box(axes: Axes, lines: Sequence[str], x: np.ndarray, y: np.ndarray) -> None:
    """Put `lines` into a white box in the corner that hides the fewest of the points (x, y); limits must be set."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across, up = (x - left) / (right - left), (y - bottom) / (top - bottom)

    def hidden(corner: tuple[str, str]) -> int:
        horizontal = across > 0.5 if corner[0] == "right" else across < 0.5
        vertical = up < 0.22 if corner[1] == "bottom" else up > 0.78
        return int((horizontal & vertical).sum())

    corners = [("right", "bottom"), ("left", "top"), ("right", "top"), ("left", "bottom")]
    side, end = min(corners, key=hidden)
    axes.text(
        0.97 if side == "right" else 0.03,
        0.03 if end == "bottom" else 0.97,
        "\n".join(lines),
        transform=axes.transAxes,
        ha=side,
        va=end,
        fontsize=8.5,
        linespacing=1.35,
        bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": "#cccccc", "alpha": 0.9},
        zorder=5,
    )


def binned_medians(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the medians (bins,) of x and of y in up to 8 bins of equal count, 8 points or more in each if possible."""
    order = np.argsort(x, kind="stable")
    bins = int(np.clip(len(order) // 8, 1, 8))
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return np.array([np.median(x[p]) for p in parts]), np.array([np.median(y[p]) for p in parts])


def draw_errors(axes: Axes, series: Sequence[tuple[str, np.ndarray, np.ndarray, str, str]], unit: str) -> None:
    """Draw |error| against R on a logarithmic axis with binned medians.

    `series` holds (label, R (n,) [Å], absolute errors (n,), colour, marker). Errors below a thousandth of the largest
    are drawn at that limit, and the axis label says so, for a logarithmic axis has no zero.
    """
    largest = max((float(errors.max()) for _, _, errors, _, _ in series if len(errors)), default=1.0) or 1.0
    lowest = largest * 1e-3
    clipped = 0
    for label, distance, errors, colour, marker in series:
        clipped += int((errors < lowest).sum())
        shown = np.maximum(errors, lowest)
        axes.scatter(distance, shown, s=16, color=colour, marker=marker, alpha=0.45, linewidths=0, label=label)
        x, y = binned_medians(distance, shown)
        axes.plot(x, y, color=colour, marker=marker, markersize=6, markeredgecolor="white", linewidth=2, zorder=4)
    logarithmic(axes)
    axes.set_ylim(lowest * 0.8, largest * 1.6)
    axes.set_xlabel("dimer separation R [Å]")
    note = f"\n({clipped} below {lowest:.2g} drawn there)" if clipped else ""
    axes.set_ylabel(f"absolute error of V$_{{ref}}$ [{unit}]{note}")


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with so many significant digits, without an exponent for everyday sizes; a dash for NaN."""
    if not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{decimals}f}".replace("-", "−")


def draw_history(axes: Axes, history: pd.DataFrame, column: str, **style: Any) -> None:
    """Draw one column of a training history against the epoch; epochs without a positive value are left out."""
    values = history[column].to_numpy(float)
    known = np.isfinite(values) & (values > 0)
    if known.any():
        axes.plot(history["epoch"].to_numpy(float)[known], values[known], **{"linewidth": 1.6, **style})


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic with plain numbers at 1, 2 and 5 of each decade."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(FuncFormatter(_two_and_five))


def few_decades(axis: Axis) -> None:
    """Label a logarithmic axis that may span less than a decade: plain numbers at 1, 1.5, 2, 3, 5 and 7."""
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: int | None = None) -> str:
    return f"{value:g}"


def _two_and_five(value: float, _: int | None = None) -> str:
    leading = round(value / 10.0 ** np.floor(np.log10(value) + 1e-9))
    return _plain(value) if leading in (2, 5) else ""


def experiment_title(frame: pd.DataFrame, what: str) -> str:
    """Return experiment, architectures and what a plot of several runs shows."""
    architectures = ", ".join(sorted(frame["architecture"].unique()))
    return f"{frame['experiment'].iloc[0]} ({architectures}): {what}"


def shared_legend(fig: Figure, columns: int = 6) -> None:
    """Put one legend below the panels, with every label once, in at most so many columns."""
    found: dict[str, Any] = {}
    for axes in fig.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    fig.legend(list(found.values()), list(found), loc="outside lower center", ncols=max(1, min(len(found), columns)))
