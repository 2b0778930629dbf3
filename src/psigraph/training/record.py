"""What a training job leaves beside its model: split.csv, training.json, and what the checkpoint says of the run."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from psigraph import __version__
from psigraph.stores import atomic_path
from psigraph.training.device import peak_memory
from psigraph.training.families import Family
from psigraph.training.module import monitored
from psigraph.training.recorder import RunState
from psigraph.training.settings import RunSettings
from psigraph.training.start import Start
from psigraph.training.task import Task
from psigraph.training.team import Team

SPLIT_COLUMNS = ("index", "id", "group", "system", "split")


@dataclass(frozen=True)
class Run:
    """One training job: what it is called, what it was asked for, and its data."""

    experiment: str
    architecture: str
    seed: int
    settings: RunSettings
    device: str
    precision: str
    family: Family
    data: Any
    split: Mapping[str, np.ndarray]  # train, validation, test: rows of the data
    team: Team = Team()
    start: Start | None = None  # the checkpoint whose encoder it begins with

    @property
    def train(self) -> Any:
        """The training samples as they stand in the shards."""
        return self.data.select(self.split["train"])


def _monitor(run: Run, task: Task) -> str:
    has_validation = len(run.split["validation"]) > 0
    return f"validation {monitored(run.settings.training, task)}" if has_validation else "training loss"


def _higher_is_better(run: Run, task: Task) -> bool:
    return len(run.split["validation"]) > 0 and monitored(run.settings.training, task) in task.higher_is_better


def training_record(run: Run, model: nn.Module, task: Task, state: RunState, notes: Sequence[str]) -> dict[str, Any]:
    """Return what training.json says about how the run went."""
    return {
        "device": run.device,
        "precision": run.precision,
        "execution": state.execution,
        "epochs_run": len(state.history),
        "best_epoch": state.best_epoch,
        "best_value": state.best_value,
        "monitor": _monitor(run, task),
        "higher_is_better": _higher_is_better(run, task),
        "stopped_reason": state.stopped,
        "bad_batches": state.bad_batches,
        "processes": run.team.size,
        "graphs_per_s": round(state.graphs / state.train_seconds, 1) if state.train_seconds else None,
        **peak_memory(run.device),
        "parameters": sum(p.numel() for p in model.parameters()),
        **({"start_from": run.start.record()} if run.start else {}),
        "notes": list(notes),
    }


def checkpoint_meta(run: Run, task: Task, statistics: Any, state: RunState) -> dict[str, Any]:
    """Return what a checkpoint says beside the weights: all that prediction and evaluation need, as plain values."""
    graph_settings = run.settings.graph_settings()
    return {
        "psigraph_version": __version__,
        "experiment": run.experiment,
        "architecture": run.architecture,
        "seed": run.seed,
        "hyperparameters": dict(run.settings.hyperparameters),
        "inputs": run.family.inputs(run.data, run.settings),
        "objective": run.settings.objective,
        "graphset": {**graph_settings.identity(), "level_name": graph_settings.level_name},
        "split": run.settings.split.model_dump(mode="json"),
        "training": run.settings.training.model_dump(mode="json"),
        "shard_digests": dict(run.data.digests),
        **({"start_from": run.start.record()} if run.start else {}),
        **task.meta(),
        **run.family.meta(run.train, statistics),
        "best_epoch": state.best_epoch if len(run.split["validation"]) else None,
        "epochs_run": len(state.history),
        "monitor": _monitor(run, task),
    }


def write_split(path: Path, run: Run) -> None:
    """Write one line for each sample of the graphset; `unused` are those on no side of the split."""
    data = run.data
    sides = {int(row): name for name, rows in run.split.items() for row in rows}
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SPLIT_COLUMNS)
        for row in range(len(data)):
            side = sides.get(row, "unused")
            writer.writerow([row, data.ids[row], data.groups[row], data.systems[row], side])


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
