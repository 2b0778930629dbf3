"""Complexes of graph shards as batches, turned and disturbed afresh in each epoch where that is asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psigraph.graphs.augment import Augmentation
from psigraph.graphs.columns import Columns, layout_of, taken_as_batch
from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.graphs.molecule_dataset import chosen_targets, labels_of
from psigraph.graphs.shards import ShardSet
from psigraph.graphs.sources import ShardDataset, Window, by_sample

_POINTERS = {
    "offsets": "atoms_ptr",
    "bond_offsets": "bonds_ptr",
    "site_offsets": "sites_ptr",
    "contact_offsets": "contacts_ptr",
}
#: Columns of numbers that count in a complex: what their own columns count.
_NUMBERS = {"bonds": ("offsets", "offsets"), "contacts": ("offsets", "site_offsets")}


class ComplexDataset(ShardDataset[ComplexBatch]):
    """Complexes of a graphset's shards.

    Parameters and attributes as of `ShardDataset`. `targets` are names of labels, all by default. Positions are centred
    at the mean of the ligand's atoms. Further attributes: `labels`, all that the shards have; `targets`; arrays by
    sample: `ligands` (SMILES), `sides`, `measures`, `n_heavy`, `y` (n, T). Raises ValueError for an unknown target.
    """

    family = "affinity"

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
        self.labels = labels_of(self.settings)
        self.targets = chosen_targets(self.labels, targets)
        names = [label.name for label in self.labels]
        self._target_columns = np.array([names.index(target.name) for target in self.targets], dtype=np.int64)
        self.augmentation = Augmentation()

    def select(
        self, indices: Sequence[int] | np.ndarray, *, rotate: bool = False, jitter: float = 0.0, seed: int = 0
    ) -> "ComplexDataset":
        """Return a dataset of other rows of the same graphset, which shares the arrays in memory.

        `rotate` turns every complex at random, afresh in each epoch; `jitter` [Å] is the SD of the noise on positions.
        """
        chosen = self._selected(indices)
        chosen.augmentation = Augmentation(rotate, jitter, seed)
        return chosen

    def rotated(self, seed: int) -> "ComplexDataset":
        """Return the same complexes turned at random, in each epoch otherwise."""
        return self.select(self.indices, rotate=True, seed=seed)

    def assemble(self, window: Window, first: int, last: int, epoch: int) -> ComplexBatch:
        """Return complexes first..last-1 of a window as one batch, augmented as in `epoch`."""
        where, rows = window.where[first:last], window.rows[first:last]
        return assemble_complexes(
            window.columns, where, rows, self._target_columns, self.ids_of, self.augmentation, epoch
        )

    @property
    def y(self) -> np.ndarray:
        """The targets (n, T) in their units, NaN where not known."""
        return self._of_samples("y")[:, self._target_columns]

    ligands = by_sample("ligand")
    sides = by_sample("side")
    measures = by_sample("measure")
    n_heavy = by_sample("n_heavy")


def assemble_complexes(
    columns: Columns,
    where: np.ndarray,
    index: np.ndarray,
    targets: np.ndarray | None = None,
    names: Callable[[list[int]], list[str]] | None = None,
    augmentation: Augmentation | None = None,
    epoch: int = 0,
) -> ComplexBatch:
    """Return complexes `where` (B,) of `columns`, which are the rows `index` (B,) of the graphset, as one batch.

    `targets` picks columns of y, all by default. The batch shares no memory with the columns.
    """
    taken = taken_as_batch(columns, layout_of("affinity"), where, _NUMBERS, targets)
    values, offsets = taken.values, taken.offsets
    sizes = {name: np.diff(offsets[f"{name}offsets"]) for name in ("", "site_")}
    _place(values, offsets["offsets"], sizes, index, augmentation or Augmentation(), epoch)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(found)) for name, found in values.items()}
    tensors["z_atoms"], tensors["site_z"] = tensors["z_atoms"].long(), tensors["site_z"].long()
    graphs = np.arange(len(where))
    return ComplexBatch(
        **tensors,
        **{pointer: torch.from_numpy(offsets[name]) for name, pointer in _POINTERS.items()},
        atoms_batch=torch.from_numpy(np.repeat(graphs, sizes[""])),
        sites_batch=torch.from_numpy(np.repeat(graphs, sizes["site_"])),
        index=torch.from_numpy(index.astype(np.int64)),
        global_size=len(where),
        names=names,
    )


def _place(
    values: dict[str, np.ndarray],
    offsets: np.ndarray,
    sizes: Mapping[str, np.ndarray],
    index: np.ndarray,
    augmentation: Augmentation,
    epoch: int,
) -> None:
    """Centre positions at the mean of the ligand's atoms, and turn and disturb them as the augmentation says."""
    ligand, site = sizes[""], sizes["site_"]
    kind = values["pos_atoms"].dtype
    centres = np.add.reduceat(values["pos_atoms"].astype(np.float64), offsets[:-1]) / ligand[:, None]
    parts = {"pos_atoms": values["pos_atoms"] - np.repeat(centres, ligand, axis=0)}
    parts["site_pos"] = values["site_pos"] - np.repeat(centres, site, axis=0)
    if augmentation.rotate:
        matrices = augmentation.rotations(index, epoch)  # (B, 3, 3)
        for name, rows in (("pos_atoms", ligand), ("site_pos", site)):
            parts[name] = np.einsum("nab,nb->na", np.repeat(matrices, rows, axis=0), parts[name])
    if augmentation.jitter:
        noise = augmentation.noise(index, ligand + site, epoch)
        first = np.repeat(np.tile([True, False], len(index)), np.stack([ligand, site], axis=1).reshape(-1))
        parts["pos_atoms"] += noise[first]
        parts["site_pos"] += noise[~first]
    values |= {name: found.astype(kind) for name, found in parts.items()}
