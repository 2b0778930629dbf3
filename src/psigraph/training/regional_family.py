"""The family `regional`: molecules, their properties, and what is said of the molecules that trained."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from psigraph.config import Training
from psigraph.graphs.molecule_dataset import MoleculeDataset
from psigraph.graphs.split import split_samples
from psigraph.models import build_model
from psigraph.models.regional.base import RegionalModel
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.normalisation import MoleculeStatistics
from psigraph.training.regional import ObjectiveTask, RegionalTask
from psigraph.training.settings import RunSettings
from psigraph.training.task import Task

log = logging.getLogger(__name__)


class RegionalFamily:
    def open(self, shards: Sequence[str | Path], settings: RunSettings, dtype: torch.dtype) -> MoleculeDataset:
        expected = settings.graph_settings().identity()
        return MoleculeDataset(shards, expected=expected, dtype=dtype, targets=settings.targets)

    def split(self, data: MoleculeDataset, settings: RunSettings, seed: int) -> Mapping[str, np.ndarray]:
        return split_samples(data, seed=seed, by=settings.split.by, **settings.split.numbers())

    def training_samples(
        self, data: MoleculeDataset, rows: np.ndarray, training: Training, seed: int
    ) -> MoleculeDataset:
        """Return the samples as they are: models do not see how a molecule lies in space."""
        return data.select(rows)

    def statistics(self, train: MoleculeDataset) -> MoleculeStatistics:
        return MoleculeStatistics.of_dataset(train)

    def inputs(self, data: MoleculeDataset, settings: RunSettings) -> dict[str, Any]:
        return data.inputs().as_dict()

    def new_model(
        self, architecture: str, hyperparameters: Mapping[str, Any], inputs: Mapping[str, Any], objective: str
    ) -> nn.Module:
        model: Any = build_model(architecture, hyperparameters, inputs=MoleculeInputs.from_dict(inputs))
        model.objective = objective
        return model

    def task(
        self,
        model: Any,
        train: MoleculeDataset,
        statistics: MoleculeStatistics,
        settings: RunSettings,
        learned: Sequence[str],
    ) -> Task:
        if settings.objective != "properties":
            return ObjectiveTask(model, settings.objective)
        epochs = 0 if model.own_objective in learned else pretraining_epochs(model, settings.training.epochs)
        if epochs:
            log.info("epochs 1 to %d learn the objective %s, the others the targets", epochs, model.own_objective)
        return RegionalTask(model, statistics.known, settings.target_weights, epochs, learned, train.molecule_of_row)

    def meta(self, train: MoleculeDataset, statistics: MoleculeStatistics) -> dict[str, Any]:
        return {
            "elements": [int(z) for z in statistics.elements],
            "training_ranges": {
                "n_atoms": [int(train.n_atoms.min()), int(train.n_atoms.max())],
                "n_heavy": [int(train.n_heavy.min()), int(train.n_heavy.max())],
                "charges": np.unique(train.charges).tolist(),
                "n_samples": len(train),
            },
        }


def pretraining_epochs(model: RegionalModel, epochs: int) -> int:
    """Return how many epochs a model learns its own objective first; at least one is left for the targets."""
    if model.own_objective is None:
        return 0
    return min(round(model.pretraining_share * epochs), epochs - 1)
