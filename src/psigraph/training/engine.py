"""Shards in, trained model out: everything one training job of the workflow does."""

import csv
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psigraph import __version__
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.settings import atom_width
from psigraph.graphs.split import split_groups
from psigraph.models import build_model
from psigraph.models.base import DeltaModel
from psigraph.stores import atomic_path
from psigraph.training.checkpoint import save_model
from psigraph.training.device import choose_device, choose_precision
from psigraph.training.fit import Setting, fit
from psigraph.training.losses import DistanceWeight
from psigraph.training.recorder import RunState, write_history
from psigraph.training.settings import RunSettings, run_key

log = logging.getLogger(__name__)

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

    @property
    def train(self) -> CachedDimerDataset:
        """The training samples as they stand in the shards."""
        return self.data.select(self.split["train"])


def train_run(
    shards: Sequence[str | Path],
    output_dir: str | Path,
    *,
    experiment: str,
    architecture: str,
    seed: int,
    settings: Mapping[str, Any],
    gpus: int = 0,
    threads: int | None = None,
) -> Path:
    """Train one architecture with one seed and return the checkpoint's path.

    `settings` as in psigraph.training.settings. The folder gets final_model_{experiment}_learning.pt, history.csv,
    split.csv, training.json, and last.ckpt, from which the same call resumes after it was killed.

    Raises ValueError (StoreError, SplitError) for settings or shards that do not fit or an empty training split,
    DeviceError where a cluster job sees no GPU, TrainingError where too many batches fail.
    """
    started = time.perf_counter()
    checked = RunSettings.parse(architecture, settings)
    torch.set_num_threads(threads or checked.training.threads)
    run = _prepare(shards, checked, experiment, architecture, seed, gpus)
    arrays = collect(run.train)
    model = _new_model(run, arrays)
    weight = DistanceWeight.fit(run.train.u[:, 0], checked.training.distance_power)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _write_split(folder / "split.csv", run)
    state, notes = _fit(run, model, weight, folder)
    if not len(run.split["test"]):
        notes.append("test set empty: no test metrics")
        log.warning("the test set is empty: there will be no test metrics")
    path = folder / f"final_model_{experiment}_learning.pt"
    write_history(folder / "history.csv", state.history)
    seconds = round(time.perf_counter() - started, 2)
    _write_json(folder / "training.json", training_record(run, model, state, notes) | {"seconds": seconds})
    save_model(path, model, checkpoint_meta(run, arrays, model, weight, state))
    log.info("wrote %s", path)
    return path


def _prepare(
    shards: Sequence[str | Path], settings: RunSettings, experiment: str, architecture: str, seed: int, gpus: int
) -> Run:
    """Choose device and precision, read and check the shards, split the samples."""
    device = choose_device(gpus, cuda_available=torch.cuda.is_available(), environment=os.environ)
    capability = torch.cuda.get_device_capability() if device == "cuda" else None
    precision = choose_precision(settings.training.precision, device, capability)
    data = CachedDimerDataset(shards, expected=settings.graph_settings().identity(), dtype=_dtype(precision))
    labels = data.systems if settings.split.by == "system" else data.groups
    shares = settings.split.model_dump(include={"validation", "test", "folds"})
    split = split_groups(labels, seed=seed, **shares)
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in split.items())
    log.info("%s, seed %d on %s in %s: %s samples", architecture, seed, device, precision, counts)
    return Run(experiment, architecture, seed, settings, device, precision, data, split)


def _dtype(precision: str) -> torch.dtype:
    return torch.float64 if precision == "float64" else torch.float32


def _new_model(run: Run, arrays: Mapping[str, torch.Tensor]) -> DeltaModel:
    """Return the untrained model, drawn from the seed, with the training set's normalisation."""
    torch.manual_seed(run.seed)
    model = build_model(
        run.architecture,
        run.settings.hyperparameters,
        cutoff=run.data.cutoff,
        length_scale=run.data.length_scale,
        atom_width=atom_width(run.data.settings),
    ).to(_dtype(run.precision))
    model.fit_normalisation(arrays)
    return model


def _fit(run: Run, model: DeltaModel, weight: DistanceWeight, folder: Path) -> tuple[RunState, list[str]]:
    """Train on the augmented training samples; order and augmentation depend on seed and epoch alone."""
    training, validation = run.settings.training, run.data.select(run.split["validation"])
    train = run.data.select(run.split["train"], rotate=training.rotate, jitter=training.jitter, seed=run.seed)
    batch: dict[str, Any] = {"batch_size": training.batch_size, "device_type": run.device}
    key = run_key(
        run.settings,
        architecture=run.architecture,
        seed=run.seed,
        digests=run.data.digests,
        precision=run.precision,
    )
    return fit(
        model,
        make_loader(train, shuffle=True, seed=run.seed, **batch),
        make_loader(validation, **batch) if len(validation) else None,
        training,
        weight,
        folder,
        Setting(run.seed, key, run.device, run.precision, run.data.unit),
    )


def collect(data: Any) -> dict[str, torch.Tensor]:
    """Return the arrays that a model's normalisation is fitted on, and the atomic numbers, of samples as they stand."""
    samples = [data[i] for i in range(len(data))]
    names = ("u", "y", "atomic_node_attr", "field_node_features", "z_atoms")
    return {name: torch.cat([getattr(sample, name) for sample in samples]) for name in names}


def _monitor(run: Run) -> str:
    has_validation = len(run.split["validation"]) > 0
    return f"validation {run.settings.training.monitor}" if has_validation else "training loss"


def training_record(run: Run, model: DeltaModel, state: RunState, notes: Sequence[str]) -> dict[str, Any]:
    """Return what training.json says about how the run went."""
    return {
        "device": run.device,
        "precision": run.precision,
        "epochs_run": len(state.history),
        "best_epoch": state.best_epoch,
        "best_value": state.best_value,
        "monitor": _monitor(run),
        "stopped_reason": state.stopped,
        "bad_batches": state.bad_batches,
        "parameters": sum(p.numel() for p in model.parameters()),
        "notes": list(notes),
    }


def checkpoint_meta(
    run: Run, arrays: Mapping[str, torch.Tensor], model: DeltaModel, weight: DistanceWeight, state: RunState
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
        "loss_weight": weight.as_dict(),
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


def _write_split(path: Path, run: Run) -> None:
    data = run.data
    sides = {int(row): name for name, rows in run.split.items() for row in rows}
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SPLIT_COLUMNS)
        for row in range(len(data)):
            writer.writerow([row, data.ids[row], data.groups[row], data.systems[row], sides[row]])


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
