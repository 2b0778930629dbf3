"""What a training job leaves beside its model: split.csv, training.json, and what the checkpoint says of the run."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psigraph import __version__
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.models.base import DeltaModel
from psigraph.stores import atomic_path
from psigraph.training.delta import DeltaTask
from psigraph.training.device import peak_memory
from psigraph.training.recorder import RunState
from psigraph.training.settings import RunSettings
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
    data: CachedDimerDataset
    split: Mapping[str, np.ndarray]  # train, validation, test: rows of the data
    team: Team = Team()

    @property
    def train(self) -> CachedDimerDataset:
        """The training samples as they stand in the shards."""
        return self.data.select(self.split["train"])


def _monitor(run: Run) -> str:
    has_validation = len(run.split["validation"]) > 0
    return f"validation {run.settings.training.monitor}" if has_validation else "training loss"


def training_record(run: Run, model: DeltaModel, state: RunState, notes: Sequence[str]) -> dict[str, Any]:
    """Return what training.json says about how the run went."""
    return {
        "device": run.device,
        "precision": run.precision,
        "execution": state.execution,
        "epochs_run": len(state.history),
        "best_epoch": state.best_epoch,
        "best_value": state.best_value,
        "monitor": _monitor(run),
        "stopped_reason": state.stopped,
        "bad_batches": state.bad_batches,
        "processes": run.team.size,
        "graphs_per_s": round(state.graphs / state.train_seconds, 1) if state.train_seconds else None,
        **peak_memory(run.device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "notes": list(notes),
    }


def checkpoint_meta(
    run: Run, arrays: Mapping[str, torch.Tensor], model: DeltaModel, task: DeltaTask, state: RunState
) -> dict[str, Any]:
    """Return what a checkpoint says beside the weights: all that prediction and evaluation need, as plain values."""
    train, graph_settings = run.train, run.settings.graph_settings()
    distances = train.u[:, 0] / run.data.length_scale
    return {
        "psigraph_version": __version__,
        "experiment": run.experiment,
        "architecture": run.architecture,
        "seed": run.seed,
        "hyperparameters": dict(model.hyperparameters),
        "graphset": {**graph_settings.identity(), "level_name": graph_settings.level_name},
        "split": run.settings.split.model_dump(mode="json"),
        "training": run.settings.training.model_dump(mode="json"),
        "shard_digests": dict(run.data.digests),
        **task.meta(),
        "elements": sorted(arrays["z_atoms"].unique().tolist()),
        "training_ranges": {
            "n_atoms": [int(train.n_atoms.min()), int(train.n_atoms.max())],
            "R_angstrom": [float(distances.min()), float(distances.max())],
            "charges": np.unique(np.sort(train.charges, axis=1), axis=0).tolist(),
            "n_samples": len(train),
        },
        "best_epoch": state.best_epoch if len(run.split["validation"]) else None,
        "epochs_run": len(state.history),
        "monitor": _monitor(run),
    }


def write_split(path: Path, run: Run) -> None:
    data = run.data
    sides = {int(row): name for name, rows in run.split.items() for row in rows}
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SPLIT_COLUMNS)
        for row in range(len(data)):
            writer.writerow([row, data.ids[row], data.groups[row], data.systems[row], sides[row]])


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
