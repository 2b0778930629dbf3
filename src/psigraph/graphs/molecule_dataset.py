"""Molecules of graph shards as batches."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import inputs_of
from psigraph.graphs.molecules import assemble_molecules
from psigraph.graphs.shards import ShardSet
from psigraph.graphs.sources import ShardDataset, Window, by_sample
from psigraph.models.regional.inputs import MoleculeInputs, Target
from psigraph.structures.model import Label


class MoleculeDataset(ShardDataset[MoleculeBatch]):
    """Molecules of a graphset's shards.

    Parameters and attributes as of `ShardDataset`. `targets` are names of labels: batches and `y` have their columns,
    in this order; None: those of all labels. Further attributes: cutoff and region_cutoff [Å]; `labels`, all that the
    shards have; `targets`; arrays by sample: `n_heavy`, `y`. Raises ValueError for an unknown target.
    """

    family = "regional"

    def __init__(
        self,
        shard_paths: Sequence[str | Path] | ShardSet,
        *,
        indices: Sequence[int] | np.ndarray | None = None,
        targets: Sequence[str] | None = None,
        expected: Mapping[str, Any] | None = None,
        dtype: torch.dtype | None = None,
        memory: int | None = None,
    ) -> None:
        super().__init__(shard_paths, indices=indices, expected=expected, dtype=dtype, memory=memory)
        self.cutoff: float = self.settings["cutoff"]
        self.region_cutoff: float = self.settings["region_cutoff"]
        self.labels = labels_of(self.settings)
        self._choose(targets)

    def _choose(self, targets: Sequence[str] | None) -> None:
        self.targets = chosen_targets(self.labels, targets)
        names = [label.name for label in self.labels]
        self._target_columns = np.array([names.index(target.name) for target in self.targets], dtype=np.int64)

    def select(self, indices: Sequence[int] | np.ndarray) -> "MoleculeDataset":
        """Return a dataset of other rows of the same graphset, which shares the arrays in memory."""
        return self._selected(indices)

    def with_targets(self, targets: Sequence[str] | None) -> "MoleculeDataset":
        """Return a dataset of the same rows with other targets, which shares the arrays in memory."""
        chosen = self._selected(self.indices)
        chosen._choose(targets)
        return chosen

    def inputs(self, targets: Sequence[str] | None = None) -> MoleculeInputs:
        """Return what a model of these graphs is built from; without `targets`, with those of the dataset."""
        found = self.targets if targets is None else chosen_targets(self.labels, targets)
        return inputs_of(self.settings, found)

    def assemble(self, window: Window, first: int, last: int, epoch: int) -> MoleculeBatch:
        """Return graphs first..last-1 of a window as one batch, the same in every epoch."""
        where, rows = window.where[first:last], window.rows[first:last]
        return assemble_molecules(window.columns, where, rows, self._target_columns, self.ids_of)

    @property
    def molecule_of_row(self) -> np.ndarray | None:
        """The number (N,) of the molecule of every row of the graphset, the same for conformers of one; None where no
        target is relative, so that it is not needed."""
        if not any(target.relative for target in self.targets):
            return None
        return np.unique(self._shards["group"], return_inverse=True)[1]

    @property
    def side_by_side(self) -> np.ndarray | None:
        molecules = self.molecule_of_row
        return None if molecules is None else molecules[self.indices]

    @property
    def y(self) -> np.ndarray:
        """The targets (n, T) in their units, NaN where not known."""
        return self._of_samples("y")[:, self._target_columns]

    n_heavy = by_sample("n_heavy")


def labels_of(settings: Mapping[str, Any]) -> tuple[Label, ...]:
    """Return the labels of shards from their settings."""
    return tuple(Label(*label) for label in settings["labels"])


def chosen_targets(labels: Sequence[Label], names: Sequence[str] | None) -> tuple[Target, ...]:
    """Return the labels of these names as targets, in their order; all labels without names.

    Raises ValueError for a name that no label has, or one that stands there twice.
    """
    by_name = {label.name: label for label in labels}
    for name in names or ():
        if name not in by_name:
            raise ValueError(f"no label {name!r}; the graphset has {', '.join(by_name) or 'none'}")
    if names is not None and len(set(names)) != len(names):
        raise ValueError(f"targets name a label twice: {', '.join(names)}")
    chosen = [by_name[name] for name in (by_name if names is None else names)]
    return tuple(Target(**asdict(label)) for label in chosen)
