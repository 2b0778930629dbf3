"""The leaderboard of all experiments on complexes: metrics by kind of split, floors, goals, and what training costs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from psigraph.config import Config
from psigraph.evaluation.affinity.comparison import METRICS
from psigraph.evaluation.affinity.ensembles import ALL
from psigraph.evaluation.affinity.leaderboard_figures import plot_leaderboard
from psigraph.evaluation.affinity.published import goal_met
from psigraph.evaluation.affinity.tables import FLOORS
from psigraph.evaluation.regional.entries import Entry, differences, entries_of
from psigraph.evaluation.regional.leaderboard import ablation_table, cost
from psigraph.evaluation.report_tables import read_csv, read_json
from psigraph.evaluation.tables import write_csv

log = logging.getLogger(__name__)

LEADERBOARD_COLUMNS = (
    "experiment",
    "dataset",
    "split_kind",
    "n_train",
    "n_test",
    "architecture",
    "variant",
    "target",
    "metric",
    "value",
    "sd",
    "lowest",
    "highest",
    "low",
    "high",
    "drawn",
    "unit",
    "n_seeds",
    "goal",
    *FLOORS,
    "parameters",
    "graphs_per_s",
    "peak_memory_mib",
    "device",
    "epochs",
    "train_seconds",
)


def write_leaderboard(
    config: Config, results: str | Path, *, output: str | Path, ablations: str | Path, plots: str | Path
) -> pd.DataFrame:
    """Write the leaderboard, the ablations and the figures of every experiment on complexes; return the leaderboard.

    Raises FileNotFoundError naming a run's missing file and the command that makes it.
    """
    entries = entries_of(config, "affinity")
    table = leaderboard_table(config, entries, Path(results))
    ablated = ablation_table(table, differences(entries))
    plot_leaderboard(table, ablated, Path(plots))
    write_csv(table, output)
    write_csv(ablated, ablations)
    return table


def leaderboard_table(config: Config, entries: Sequence[Entry], results: Path) -> pd.DataFrame:
    """Return a row for each experiment, architecture or ensemble, and metric.

    `value`, `sd`, `lowest` and `highest` are over seeds, `low` and `high` the 95 % interval of the value, `goal` the
    highest of the note's goals that R or R² reaches. An ensemble costs what its members cost together.
    """
    rows = []
    for experiment in dict.fromkeys(entry.experiment for entry in entries):
        comparison = read_csv(results / "evaluation" / experiment / "comparison.csv")
        own = {entry.architecture: entry for entry in entries if entry.experiment == experiment}
        seeds = config.experiments[experiment].seeds
        folders = {name: [f"{experiment}/{name}/seed{seed}" for seed in seeds] for name in own}
        first = read_csv(results / "evaluation" / next(iter(folders.values()))[0] / "metrics.csv")
        shared = {
            "experiment": experiment,
            "dataset": first["dataset"].iloc[0],
            "split_kind": first["split_kind"].iloc[0],
            "n_train": first.loc[first["split"] == "train", "n"].max(),
        }
        for name in comparison["architecture"].unique():
            members = folders if name == ALL else {name: folders[str(name).removeprefix(f"{ALL}:")]}
            runs = [folder for found in members.values() for folder in found]
            entry = own.get(str(name))
            names = {"architecture": entry.base, "variant": entry.variant} if entry else {"architecture": name}
            costs = cost_of(results, runs, ensemble=entry is None)
            alike = comparison[comparison["architecture"] == name]
            rows += [{**shared, "variant": "", **names, **row, **costs} for row in metric_rows(alike)]
    return pd.DataFrame(rows, columns=list(LEADERBOARD_COLUMNS))


def metric_rows(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what one architecture or ensemble reached, metric by metric."""
    rows = []
    for metric in METRICS:
        alike = comparison[comparison["metric"] == metric]
        if alike.empty:
            continue
        row = alike.iloc[0]
        taken = ("target", "metric", "value", "sd", "lowest", "highest", "drawn", "unit")
        floors = alike.set_index("reference")["value_reference"]
        rows.append(
            {
                **{name: row[name] for name in taken},
                "low": row["value_low"],
                "high": row["value_high"],
                "n_test": row["n_samples"],
                "n_seeds": row["n_runs"],
                "goal": goal_met(float(row["value"])) if metric in ("r", "r2") else "",
                **{floor: floors.get(floor) for floor in FLOORS},
            }
        )
    return rows


def cost_of(results: Path, runs: Sequence[str], *, ensemble: bool) -> dict[str, Any]:
    """Return parameters, throughput, memory, epochs and training time of runs: means, of an ensemble's members sums."""
    records = [read_json(results / "models" / run / "training.json") for run in runs]
    times = [float(read_csv(results / "models" / run / "history.csv")["seconds"].sum()) for run in runs]
    found = cost(records)
    epochs = [int(record["epochs_run"]) for record in records]
    if ensemble:
        found["parameters"] = sum(int(record["parameters"]) for record in records)
    share = 1 if ensemble else len(runs)
    return found | {"epochs": sum(epochs) / share, "train_seconds": sum(times) / share}
