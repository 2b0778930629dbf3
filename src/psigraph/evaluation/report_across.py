"""The report's part on experiments side by side."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.config import Config
from psigraph.evaluation.across import figures_of
from psigraph.evaluation.figures import significant
from psigraph.evaluation.report_tables import Table, image, read_csv, table
from psigraph.evaluation.tables import FLOORS

TEXT = (
    "Experiments that learn from the same datasets, by their error on test dimers. Experiments with one V_0 stand "
    "together, for their floors are the same."
)
#: Families that have a leaderboard.
ON_A_BOARD = ("regional", "affinity")


def families(config: Config) -> list[str]:
    """Return the families with more than one experiment, in the order of the configuration.

    Experiments of families with a leaderboard stand there side by side instead.
    """
    found = [config.graphsets[experiment.graphset].family for experiment in config.experiments.values()]
    return [family for family in dict.fromkeys(found) if family not in ON_A_BOARD and found.count(family) > 1]


def part(config: Config, results: Path) -> dict[str, Any] | None:
    """Return what the template shows, or None where no two experiments share their datasets."""
    plots, tables = [], []
    for family in families(config):
        rows = read_csv(results / "evaluation" / "experiments" / f"{family}.csv")
        for name, members in figures_of(rows).items():
            caption = (
                "Large: all runs together; small: single runs, joined from the lowest to the highest. The number is "
                "the pooled error with the standard deviation over runs. The error axis is logarithmic."
            )
            plots.append(image(results / "plots" / "experiments" / family / name, name.removesuffix(".png"), caption))
            tables.append(across_table(members))
    if not tables:
        return None
    return {"text": TEXT, "plots": [shown for shown in plots if shown is not None], "tables": tables}


def across_table(rows: pd.DataFrame) -> Table:
    """One line per experiment: error, floors, difference to the first experiment with the same baseline."""
    lines = [
        (
            row["experiment"],
            row["architecture"],
            row["baseline"],
            significant(row["value"]),
            significant(row["sd"], 2),
            *(significant(row[floor]) for floor in FLOORS),
            _difference(row),
            f"{row['n_samples']} / {row['n_runs']}",
        )
        for row in rows.to_dict("records")
    ]
    first = rows.iloc[0]
    header = ("experiment", "model", "V_0", "MAE", "SD", *FLOORS.values(), "difference, 95 % interval", "dimers / runs")
    caption = (
        f"MAE of V_ref [{first['unit']}] on test dimers of {first['dataset']}. SD: over runs. The difference is to the "
        "first experiment with the same V_0 and model, on dimers that both tested with the same seed; negative is "
        "better. Its interval is a bootstrap over groups."
    )
    return table(caption, header, lines, numeric=(3, 4, 5, 6, 7, 8))


def _difference(row: dict[Any, Any]) -> str:
    if not np.isfinite(row["difference"]):
        return "–"
    interval = f" ({significant(row['low'])} … {significant(row['high'])})" if np.isfinite(row["low"]) else ""
    return significant(row["difference"]) + interval
