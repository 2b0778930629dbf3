"""The family `affinity`: complexes, their pK, and what is said of the complexes that trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from psigraph.config import Training
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.split import Grouped, SplitError, split_given, split_samples
from psigraph.models import build_model
from psigraph.training.affinity import AffinityLoss, AffinityTask
from psigraph.training.settings import RunSettings


@dataclass(frozen=True)
class ComplexStatistics:
    """Mean and SD of the training labels (T,), and the elements of ligands and proteins."""

    y_mean: np.ndarray
    y_scale: np.ndarray
    elements: list[int]


class AffinityFamily:
    def open(self, shards: Sequence[str | Path], settings: RunSettings, dtype: torch.dtype) -> ComplexDataset:
        return ComplexDataset(shards, expected=settings.graph_settings().identity(), dtype=dtype)

    def split(self, data: ComplexDataset, settings: RunSettings, seed: int) -> Mapping[str, np.ndarray]:
        split = settings.split
        if split.by == "given":
            return split_given(data.sides, data.groups, seed=seed, train=split.train)
        together = {"random": data.ligands, "group": data.groups, "scaffold": data.systems}
        if split.by not in together:
            raise SplitError(f"split by {split.by}: complexes are split by {', '.join(together)} or given")
        labels = together[split.by]
        return split_samples(Grouped(labels, labels, data.n_heavy), seed=seed, **split.numbers())

    def training_samples(self, data: ComplexDataset, rows: np.ndarray, training: Training, seed: int) -> ComplexDataset:
        return data.select(rows, rotate=training.rotate, jitter=training.jitter, seed=seed)

    def statistics(self, train: ComplexDataset) -> ComplexStatistics:
        y = train.y
        if not np.isfinite(y).all():
            raise ValueError(f"{train.ids[int(np.argmin(np.isfinite(y).all(axis=1)))]}: has no label; leave it out")
        batch = train.batch(np.arange(len(train)))
        elements = np.union1d(batch.z_atoms.numpy(), batch.site_z.numpy())
        return ComplexStatistics(y.mean(axis=0), y.std(axis=0), elements.tolist())

    def inputs(self, data: ComplexDataset, settings: RunSettings) -> dict[str, Any]:
        return {"targets": len(data.targets)}

    def new_model(
        self, architecture: str, hyperparameters: Mapping[str, Any], inputs: Mapping[str, Any], objective: str
    ) -> nn.Module:
        return build_model(architecture, hyperparameters, **inputs)

    def task(
        self,
        model: Any,
        train: ComplexDataset,
        statistics: ComplexStatistics,
        settings: RunSettings,
        learned: Sequence[str],
    ) -> AffinityTask:
        if len(train.targets) != 1:
            names = ", ".join(target.name for target in train.targets)
            raise ValueError(f"complexes have one label, these have {len(train.targets)}: {names}")
        training, target = settings.training, train.targets[0]
        model.translate, model.voxelizer.noise = training.translate, training.noise
        loss = AffinityLoss(
            kind="combined" if training.loss == "auto" else training.loss,
            weights={str(name): weight for name, weight in training.loss_weights.items()},
            alpha=training.focal_alpha,
            gamma=training.focal_gamma,
            scale=max(float(statistics.y_scale[0]), 1e-8),
        )
        return AffinityTask(loss, target.name, target.unit)

    def meta(self, train: ComplexDataset, statistics: ComplexStatistics) -> dict[str, Any]:
        return {
            "elements": statistics.elements,
            "training_ranges": {
                "n_heavy": [int(train.n_heavy.min()), int(train.n_heavy.max())],
                "charges": np.unique(train.charges).tolist(),
                "groups": sorted({str(name) for name in train.groups}),
                "n_samples": len(train),
            },
        }
