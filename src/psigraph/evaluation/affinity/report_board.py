"""The report's part on the leaderboard of complexes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.config import Config
from psigraph.evaluation.affinity.published import GOALS
from psigraph.evaluation.affinity.tables import rows_by
from psigraph.evaluation.figures import significant
from psigraph.evaluation.report_tables import Table, image, read_csv, table

#: Figures by the beginning of their file's name: title, caption.
BOARD_PLOTS = {
    "splits": (
        "Kinds of splits side by side",
        "A model that has seen the targets of its test complexes has an easier task. Bars: 95 % intervals. Lines "
        "across: floors of the same split.",
    ),
    "learning_curves": (
        "Learning curves",
        "Against the number of training complexes; bars from the lowest to the highest seed; lines are floors.",
    ),
    "cost_": ("Accuracy against cost", "Bars go from the lowest to the highest seed."),
    "ablation_": ("Ablation", "Runs that differ in this setting only. Bars go from the lowest to the highest seed."),
}


def board(config: Config, results: Path) -> dict[str, Any] | None:
    """Return the leaderboard's figures and table, or None without experiments on complexes."""
    if not any(config.graphsets[item.graphset].family == "affinity" for item in config.experiments.values()):
        return None
    rows = read_csv(results / "report" / "leaderboard_affinity.csv")
    folder = results / "plots" / "leaderboard_affinity"
    found = []
    for kind, (title, caption) in BOARD_PLOTS.items():
        for path in sorted(folder.glob(f"{kind}*.png")):
            what = path.stem.removeprefix(kind)
            found.append(image(path, f"{title}: {what}" if what else title, caption))
    return {
        "heading": "Leaderboard: affinity",
        "text": "All experiments on complexes; every metric and its spread over seeds is in leaderboard_affinity.csv.",
        "plots": [shown for shown in found if shown is not None],
        "tables": board_tables(rows),
    }


def board_tables(rows: pd.DataFrame) -> list[Table]:
    """One line per experiment and model in each table: R, R² and the goals they meet; what training costs."""
    keys = ["experiment", "architecture", "variant"]
    rows = rows.astype({"variant": object}).fillna({"variant": ""})
    reached, costs = [], []
    for (experiment, architecture, variant), own in rows.groupby(keys, sort=False):
        found = rows_by(own, "metric")
        r, r2 = found["r"], found["r2"]
        model = ".".join(filter(None, (str(architecture), str(variant))))
        floors = [significant(r[floor]) for floor in ("floor:forest", "floor:ligand")]
        interval = f" ({significant(r['low'], 2)} … {significant(r['high'], 2)})" if np.isfinite(r["low"]) else ""
        reached.append(
            (
                f"{experiment} ({r['split_kind']})",
                f"{r['n_train']:.0f}",
                model,
                significant(r["value"]) + interval,
                significant(r["sd"], 2),
                *floors,
                significant(r2["value"]),
                significant(r2["sd"], 2),
                f"{_goal(r)} / {_goal(r2)}",
            )
        )
        figures = [significant(r[name]) for name in ("peak_memory_mib", "epochs", "train_seconds")]
        costs.append((experiment, model, f"{int(r['parameters']):,}", *figures, r["device"]))
    header = (
        "experiment (split)", "trained on", "model", "R, 95 % interval", "SD", "R, forest", "R, ligand alone",
        "R²", "SD", "goal met by R / R²"
    )  # fmt: skip
    goals = ", ".join(f"{value:.3f} ({name})" for name, value in GOALS.items())
    caption = (
        f"Means and SD over seeds. The note's goals are {goals}; it gives its reference as R², which can only be R, so "
        "both are compared."
    )
    cost_header = ("experiment", "model", "parameters", "peak memory [MiB]", "epochs", "time [s]", "on")
    cost_caption = (
        "What training costs. Epochs and time are means over seeds, of an ensemble sums; peak memory is the largest of "
        "a job."
    )
    return [
        table(caption, header, reached, numeric=(1, 3, 4, 5, 6, 7, 8, 9)),
        table(cost_caption, cost_header, costs, numeric=(2, 3, 4, 5)),
    ]


def _goal(row: Mapping[str, Any]) -> str:
    goal = row["goal"]
    return f"{float(goal):.3f}" if str(goal).replace(".", "").isdigit() else str(goal) if isinstance(goal, str) else "–"
