"""The leaderboard of all experiments on molecules: errors beside floors and published figures, and what they cost."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from psigraph.config import Config
from psigraph.evaluation.regional.entries import Difference, Entry, differences, entries_of
from psigraph.evaluation.regional.leaderboard_figures import plot_leaderboard
from psigraph.evaluation.regional.published import published_of
from psigraph.evaluation.regional.tables import FLOORS
from psigraph.evaluation.report_tables import read_csv, read_json
from psigraph.evaluation.tables import write_csv

log = logging.getLogger(__name__)

#: Rows: the error of a target, and where molecules have several samples its error within molecules.
ERRORS = ("mae", "mae_relative")
LEADERBOARD_COLUMNS = (
    "experiment",
    "dataset",
    "split_kind",
    "n_train",
    "architecture",
    "variant",
    "pretraining",
    "target",
    "metric",
    "value",
    "sd",
    "lowest",
    "highest",
    "unit",
    "n_seeds",
    "n_test",
    *FLOORS,
    "published",
    "citation",
    "parameters",
    "graphs_per_s",
    "peak_memory_mib",
    "device",
)
ABLATION_COLUMNS = (
    "setting",
    "choice",
    "baseline",
    "architecture",
    "experiment",
    "variant",
    "target",
    "metric",
    "value",
    "sd",
    "lowest",
    "highest",
    "unit",
    "n_seeds",
)


def write_leaderboard(
    config: Config, results: str | Path, *, output: str | Path, ablations: str | Path, plots: str | Path
) -> pd.DataFrame:
    """Write leaderboard.csv, ablations.csv and the figures of every regional experiment; return the leaderboard.

    Raises FileNotFoundError naming a run's missing file and the command that makes it.
    """
    entries = entries_of(config)
    table = leaderboard_table(config, entries, Path(results))
    found = differences(entries)
    ablated = ablation_table(table, found)
    plot_leaderboard(table, ablated, Path(plots))
    write_csv(table, output)
    write_csv(ablated, ablations)
    return table


def leaderboard_table(config: Config, entries: list[Entry], results: Path) -> pd.DataFrame:
    """Return one row per entry, target and error: mean over seeds of the test errors, SD and range over seeds."""
    rows = []
    for entry in entries:
        seeds = config.experiments[entry.experiment].seeds
        folders = [f"{entry.experiment}/{entry.architecture}/seed{seed}" for seed in seeds]
        metrics = pd.concat([read_csv(results / "evaluation" / folder / "metrics.csv") for folder in folders])
        records = [read_json(results / "models" / folder / "training.json") for folder in folders]
        first = {"experiment": entry.experiment, "architecture": entry.base, "variant": entry.variant}
        first |= {"pretraining": config.experiments[entry.experiment].start_from or ""} | cost(records)
        for row in error_rows(metrics, entry.architecture):
            found = published_of(config, entry.experiment, row["target"], row["unit"])
            if found is None or row["metric"] != "mae":
                said: dict[str, Any] = {"citation": ""}
            else:
                said = {"published": found.mae, "citation": f"{found.model}: {found.citation}"}
            rows.append({**first, **row, **said})
    return pd.DataFrame(rows, columns=list(LEADERBOARD_COLUMNS))


def error_rows(metrics: pd.DataFrame, architecture: str) -> list[dict[str, Any]]:
    """Return what one entry reached, target by target; `metrics` are the tables of all its runs."""
    n_train = metrics[(metrics["split"] == "train") & (metrics["metric"] == "mae")]["n"].max()
    test = metrics[(metrics["split"] == "test") & metrics["metric"].isin(ERRORS)]
    rows = []
    for (target, metric), alike in test.groupby(["target", "metric"], sort=False):
        own = alike[alike["architecture"] == architecture]
        values = own["value"]
        rows.append(
            {
                "dataset": own["dataset"].iloc[0],
                "split_kind": own["split_kind"].iloc[0],
                "n_train": n_train,
                "target": target,
                "metric": metric,
                "value": values.mean(),
                "sd": values.std(ddof=1) if len(values) > 1 else float("nan"),
                "lowest": values.min(),
                "highest": values.max(),
                "unit": own["unit"].iloc[0],
                "n_seeds": len(values),
                "n_test": own["n"].iloc[0],
                **{floor: alike.loc[alike["architecture"] == floor, "value"].mean() for floor in FLOORS},
            }
        )
    return rows


def cost(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return parameters, mean training throughput, largest peak memory and device of the runs of one entry."""
    speeds = [record["graphs_per_s"] for record in records if record.get("graphs_per_s")]
    memory = [record.get("peak_gpu_memory_mib") or record.get("peak_memory_mib") for record in records]
    return {
        "parameters": records[0].get("parameters"),
        "graphs_per_s": sum(speeds) / len(speeds) if speeds else float("nan"),
        "peak_memory_mib": max((value for value in memory if value), default=float("nan")),
        "device": ", ".join(sorted({str(record.get("device")) for record in records})),
    }


def ablation_table(table: pd.DataFrame, found: list[Difference]) -> pd.DataFrame:
    """Return the rows of the leaderboard whose entries differ in one setting, set by set, with the value of it.

    `baseline` is the experiment of the first entry of the set.
    """
    rows = []
    keys = ["experiment", "architecture", "variant"]
    for difference in found:
        for value, entry in difference.entries:
            own = table[(table[keys] == [entry.experiment, entry.base, entry.variant]).all(axis=1)]
            first = difference.entries[0][1].experiment
            rows.append(own.assign(setting=difference.setting, choice=_text(value), baseline=first))
    if not rows:
        return pd.DataFrame(columns=list(ABLATION_COLUMNS))
    return pd.concat(rows, ignore_index=True)[list(ABLATION_COLUMNS)]


def _text(value: Any) -> str:
    """Return a setting in words."""
    words = {None: "none", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
