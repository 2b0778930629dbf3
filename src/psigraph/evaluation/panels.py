"""What figures of several targets and architectures share: a grid of panels, and the look of each architecture."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from psigraph.evaluation import figures

COLUMNS = 3
_LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Look:
    """How one architecture is drawn, the same in all figures of an experiment."""

    colour: str
    marker: str
    linestyle: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of each name; past seven the line and the marker tell colours apart."""
    n = len(figures.PALETTE)
    return {
        name: Look(
            figures.PALETTE[i % n], figures.MARKERS[(i + i // n) % len(figures.MARKERS)], _LINES[i // n % len(_LINES)]
        )
        for i, name in enumerate(names)
    }


@contextmanager
def grid(
    path: Path,
    titles: Sequence[str],
    title: str = "",
    *,
    width: float = 3.6,
    height: float = 3.2,
    columns: int | None = None,
    legend: float = 1.9,
) -> Iterator[list[Axes]]:
    """Yield one titled panel per title, `columns` beside each other (None: two or three); sizes of each in inches.

    At the end all panels get one legend below them, `legend` inches for each entry, and `title` above.
    """
    columns = columns or columns_of(len(titles))
    rows = -(-len(titles) // columns)
    across = max(width * columns, 5.0)
    with figures.figure(path, across, height * rows + 0.9) as fig:
        panels = np.ravel(fig.subplots(rows, columns, squeeze=False))
        for axes in panels[len(titles) :]:
            axes.set_axis_off()
        for axes, name in zip(panels, titles, strict=False):
            axes.set_title(name)
        if title:
            fig.suptitle(title, x=0.01, ha="left", fontsize=12)
        yield list(panels[: len(titles)])
        figures.shared_legend(fig, int(across / legend))


def columns_of(panels: int) -> int:
    """Return how many panels stand beside each other."""
    return min(panels, 2 if panels == 4 else COLUMNS)


def with_unit(name: str, unit: str) -> str:
    """Return `name [unit]`, without brackets where there is no unit."""
    return name if unit in ("1", "") else f"{name} [{unit}]"


def logarithmic(axes: Axes, which: str = "y", *, counts: bool = False) -> None:
    """Make an axis logarithmic with plain numbers, once the data are drawn; one that spans less than 3 stays linear.

    `counts` are written as 20k or 3M.
    """
    axis, (low, high) = (axes.yaxis, axes.get_ybound()) if which == "y" else (axes.xaxis, axes.get_xbound())
    if low > 0 and high < 3 * low:
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
    else:
        axes.set(**{f"{which}scale": "log"})
        figures.few_decades(axis)
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if high < 1000 * low else (1,)))
    if counts:
        axis.set_major_formatter(EngFormatter(sep=""))


def draw_range(axes: Axes, rows: pd.DataFrame, at: Any, look: Look, label: str, *, across: bool = False) -> None:
    """Draw `value` of rows with bars from `lowest` to `highest`: upwards at the x `at`, or `across` at the y `at`."""
    bars = [rows["value"] - rows["lowest"], rows["highest"] - rows["value"]]
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": 6, "capsize": 2, "label": label}
    if across:
        axes.errorbar(rows["value"], at, xerr=bars, linestyle="none", **style)
    else:
        axes.errorbar(at, rows["value"], yerr=bars, linestyle=look.linestyle, linewidth=1.4, **style)


def name_rows(axes: Axes, names: Sequence[str], *, shown: bool) -> None:
    """Put names at the heights 0, 1, ... downwards; without text where not `shown`."""
    axes.set_yticks(range(len(names)), names if shown else [""] * len(names))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
