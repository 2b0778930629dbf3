"""What a search came to: trials.csv, the best trial as an experiment of its own, and figures."""

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from psigraph.config.searches import Search
from psigraph.search.figures import draw_history, draw_slices
from psigraph.search.space import in_words, short, trial_settings
from psigraph.search.study import SearchError
from psigraph.stores import atomic_path

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
#: Columns before those of the values; `reason` is the last one.
COLUMNS = ("number", "state", "monitor", "value", "best_epoch", "epochs_run", "parameters", "seconds", "worker")


def write_search(
    name: str,
    search: Search,
    entry: Mapping[str, Any],
    settings: Mapping[str, Any],
    workers: Sequence[Path],
    *,
    table: Path,
    best: Path,
    plots: Path,
) -> None:
    """Write what the workers found. `entry`: the experiment as it is written down (config.searches.entry_of);
    `settings`: those of its run, with every default.

    Raises SearchError where the workers' files are of different searches, or no trial succeeded.
    """
    rows = read_trials(workers)
    complete = [row for row in rows if row["state"] == "complete"]
    if not complete:
        raise SearchError(f"search {name}: all {len(rows)} trials have failed; the last one: {rows[-1]['reason']}")
    found = min(complete, key=lambda row: (row["cost"], row["number"]))
    write_table(table, search, rows)
    write_best(best, name, search, entry, settings, found, len(rows))
    plots.mkdir(parents=True, exist_ok=True)
    draw_history(plots / "history.png", name, rows, found)
    draw_slices(plots / "slices.png", name, search, complete, found)
    if len(complete) < len(rows):
        log.warning("%d of %d trials failed; %s says why", len(rows) - len(complete), len(rows), table)
    log.info("best of %d trials: %s (%s)", len(rows), in_words(found["values"]), _rating(found))
    log.info("next: train it with all its seeds: snakemake --cores all --configfile CONFIG %s", best)


def read_trials(workers: Sequence[Path]) -> list[Row]:
    """Return the trials of all workers by number. Raises SearchError for files of different searches."""
    contents = [json.loads(path.read_text()) for path in workers]
    if len({content["study"] for content in contents}) > 1:
        raise SearchError(f"{workers[0].parent}: its workers are of different searches; delete worker*.json")
    return sorted((row for content in contents for row in content["trials"]), key=lambda row: row["number"])


def write_table(path: Path, search: Search, rows: Sequence[Row]) -> None:
    """Write one line for each trial."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *search.space, "reason"])
        for row in rows:
            values = [row["values"][key] for key in search.space]
            writer.writerow([*(row.get(name, "") for name in COLUMNS), *values, row["reason"]])


def write_best(
    path: Path,
    name: str,
    search: Search,
    entry: Mapping[str, Any],
    settings: Mapping[str, Any],
    found: Row,
    trials: int,
) -> None:
    """Write the experiment with the best trial's values, under a name of its own, as YAML."""
    experiment = best_entry(search, entry, settings, found["values"])
    text = yaml.safe_dump({"experiments": {f"{search.experiment}_{name}": experiment}}, sort_keys=False)
    head = (
        f"# Best of {trials} trials of the search {name}: trial {found['number']}, {_rating(found)}.\n"
        "# Copy it below `experiments:`, or give this file after your configuration: --configfile CONFIG THIS_FILE\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(head + text, encoding="utf-8")


def best_entry(
    search: Search, entry: Mapping[str, Any], settings: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the experiment's entry with these values; a key below another is written with all its neighbours."""
    changed = trial_settings(settings, search, dict(values))
    own = entry["architectures"][search.architecture]
    parts = {"training": dict(entry.get("training", {})), "hyperparameters": dict(own)}
    for key in values:
        part, key = key.split(".")[:2]
        parts[part][key] = changed[part][key]
    filled = {**entry, "architectures": {search.architecture: parts["hyperparameters"]}}
    return {**filled, "training": parts["training"]} if parts["training"] else filled


def _rating(row: Row) -> str:
    return f"{row['monitor']} {short(row['value'])} in epoch {row['best_epoch']}"
