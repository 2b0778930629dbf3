"""The family `delta`: dimers, ΔV, and what is said of the dimers that trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from psigraph.config import Training
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.settings import atom_width
from psigraph.graphs.split import split_groups, split_samples
from psigraph.models import build_model
from psigraph.training.delta import DeltaTask
from psigraph.training.losses import DistanceWeight
from psigraph.training.settings import RunSettings


class DeltaFamily:
    def open(self, shards: Sequence[str | Path], settings: RunSettings, dtype: torch.dtype) -> CachedDimerDataset:
        return CachedDimerDataset(shards, expected=settings.graph_settings().identity(), dtype=dtype)

    def split(self, data: CachedDimerDataset, settings: RunSettings, seed: int) -> Mapping[str, np.ndarray]:
        split = settings.split
        if split.train is not None or max(split.validation, split.test) >= 1:
            counted: Any = data
            return split_samples(counted, seed=seed, by=split.by, **split.numbers())
        labels = data.systems if split.by == "system" else data.groups
        return split_groups(labels, seed=seed, **split.model_dump(include={"validation", "test", "folds"}))

    def training_samples(
        self, data: CachedDimerDataset, rows: np.ndarray, training: Training, seed: int
    ) -> CachedDimerDataset:
        return data.select(rows, rotate=training.rotate, jitter=training.jitter, seed=seed)

    def statistics(self, train: CachedDimerDataset) -> dict[str, torch.Tensor]:
        return train.normalisation_arrays()

    def inputs(self, data: CachedDimerDataset, settings: RunSettings) -> dict[str, Any]:
        return {
            "cutoff": float(data.cutoff),
            "length_scale": float(data.length_scale),
            "atom_width": atom_width(data.settings),
        }

    def new_model(
        self, architecture: str, hyperparameters: Mapping[str, Any], inputs: Mapping[str, Any], objective: str
    ) -> nn.Module:
        return build_model(architecture, hyperparameters, **inputs)

    def task(
        self,
        model: nn.Module,
        train: CachedDimerDataset,
        statistics: Any,
        settings: RunSettings,
        learned: Sequence[str],
    ) -> DeltaTask:
        weight = DistanceWeight.fit(train.u[:, 0], settings.training.distance_power)
        return DeltaTask(weight, settings.training.mape_epsilon, train.unit)

    def meta(self, train: CachedDimerDataset, statistics: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        distances = train.u[:, 0] / train.length_scale
        return {
            "elements": sorted(statistics["z_atoms"].unique().tolist()),
            "training_ranges": {
                "n_atoms": [int(train.n_atoms.min()), int(train.n_atoms.max())],
                "R_angstrom": [float(distances.min()), float(distances.max())],
                "charges": np.unique(np.sort(train.charges, axis=1), axis=0).tolist(),
                "n_samples": len(train),
            },
        }
