"""What a family brings to the training engine; the engine, its records and its checkpoints know no family."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from psigraph.config import Training
from psigraph.training.settings import RunSettings
from psigraph.training.task import Task

#: Where each family is: module:class.
FAMILIES = {
    "delta": "psigraph.training.delta_family:DeltaFamily",
    "regional": "psigraph.training.regional_family:RegionalFamily",
    "affinity": "psigraph.training.affinity_family:AffinityFamily",
}


class Family(Protocol):
    """Data, model and task of a family's runs; n samples, of which `rows` are some.

    `data` is a dataset with ids, groups, systems, digests and select(rows), and takes part in make_loader; `statistics`
    is whatever the family needs of its training set.
    """

    def open(self, shards: Sequence[str | Path], settings: RunSettings, dtype: torch.dtype) -> Any:
        """Return the data, checked against the settings. Raises StoreError where they do not fit."""

    def split(self, data: Any, settings: RunSettings, seed: int) -> Mapping[str, np.ndarray]:
        """Return the rows of train, validation and test. Raises SplitError where data cannot be split as asked."""

    def training_samples(self, data: Any, rows: np.ndarray, training: Training, seed: int) -> Any:
        """Return the samples of rows (m,) as training sees them, afresh in each epoch where they are augmented."""

    def statistics(self, train: Any) -> Any:
        """Return what the training set says of itself, nothing augmented."""

    def inputs(self, data: Any, settings: RunSettings) -> dict[str, Any]:
        """Return what build_model needs besides hyperparameters, as JSON values for the checkpoint."""

    def new_model(
        self, architecture: str, hyperparameters: Mapping[str, Any], inputs: Mapping[str, Any], objective: str
    ) -> nn.Module:
        """Return an untrained model for `inputs` that learns, or learned, an objective."""

    def task(
        self, model: nn.Module, train: Any, statistics: Any, settings: RunSettings, learned: Sequence[str]
    ) -> Task:
        """Return the learning task of a model that has its normalisation; its parameters may take part in the loss.

        learned: objectives that the model comes with, from the run it starts from.
        """

    def meta(self, train: Any, statistics: Any) -> dict[str, Any]:
        """Return what checkpoints say of the training set, as JSON values: elements, training_ranges."""


def family_of(name: str) -> Family:
    """Return a family by name. Raises ValueError for an unknown one."""
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}; known: {', '.join(FAMILIES)}")
    module, cls = FAMILIES[name].split(":")
    found: Family = getattr(import_module(module), cls)()
    return found
