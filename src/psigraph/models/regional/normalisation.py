"""The normalisation of features and targets of molecules, fitted on a training set in one pass.

A column's mean and spread are those of its known values; the targets' baseline is a sum over elements where the target
is extensive, else the mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psigraph.graphs.molecule_batch import MoleculeBatch

MAX_Z = 100
#: Columns of features by the name they have in `MoleculeInputs`, and their field in a batch.
GROUPS = {
    "atoms": "atom_features",
    "bonds": "bond_features",
    "regions": "region_features",
    "molecules": "molecule_features",
}
#: Spreads below this are rounding; the column is then left as it is.
_SMALLEST = 1e-8
#: Of the ridge regression on element counts, times the number of molecules.
_RIDGE = 1e-6
_WINDOW = 1024


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of the known values of K columns (Chan, Golub, LeVeque 1983)."""

    count: np.ndarray  # (K,)
    mean: np.ndarray  # (K,)
    deviation: np.ndarray  # (K,)

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Return the moments of values (n, K); NaN is not known."""
        values = np.asarray(values, dtype=np.float64)
        known = np.isfinite(values)
        count = known.sum(0)
        mean = np.where(known, values, 0.0).sum(0) / np.maximum(count, 1)
        return cls(count, mean, (np.where(known, values - mean, 0.0) ** 2).sum(0))

    def joined(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of values together."""
        count = self.count + other.count
        step = other.mean - self.mean
        share = other.count / np.maximum(count, 1)
        return Moments(
            count,
            self.mean + step * share,
            self.deviation + other.deviation + step**2 * self.count * share,
        )

    @property
    def scale(self) -> np.ndarray:
        """Standard deviations (K,), 1 for a column without spread."""
        spread = np.sqrt(self.deviation / np.maximum(self.count, 1))
        return np.where(spread > _SMALLEST, spread, 1.0)


@dataclass
class MoleculeStatistics:
    """What a model's normalisation is fitted on: moments of feature columns, element counts and targets.

    `counts` (n, MAX_Z + 1) are each molecule's atoms by atomic number, `y` (n, T) are targets in their units, NaN
    where missing.
    """

    columns: dict[str, Moments] = field(default_factory=dict)
    counts: np.ndarray = field(default_factory=lambda: np.zeros((0, MAX_Z + 1), dtype=np.int32))
    y: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def of(cls, batches: Iterable[MoleculeBatch]) -> "MoleculeStatistics":
        """Return the statistics of all molecules of some batches; feature columns are summed up in float64."""
        columns: dict[str, Moments] = {}
        counts, y = [], []
        for batch in batches:
            for name, attribute in GROUPS.items():
                found = Moments.of(getattr(batch, attribute).cpu().numpy())
                columns[name] = columns[name].joined(found) if name in columns else found
            counts.append(count_elements(batch).cpu().numpy())
            y.append(batch.y.cpu().numpy().astype(np.float64))
        if not y:
            raise ValueError("no molecules to fit the normalisation on; look at the training set's size")
        return cls(columns, np.concatenate(counts), np.concatenate(y))

    @classmethod
    def of_dataset(cls, dataset: Any, window: int = _WINDOW) -> "MoleculeStatistics":
        """Return the statistics of a `MoleculeDataset`, read `window` molecules at a time."""
        starts = range(0, len(dataset), window)
        return cls.of(dataset.batch(np.arange(s, min(s + window, len(dataset)))) for s in starts)

    @property
    def elements(self) -> list[int]:
        """The atomic numbers that occur, sorted."""
        return np.flatnonzero(self.counts.any(0)).tolist()

    @property
    def known(self) -> np.ndarray:
        """The share of molecules that have each target (T,)."""
        return np.isfinite(self.y).mean(0)

    def targets(self, columns: Sequence[int]) -> "MoleculeStatistics":
        """Return the statistics with some columns of y only."""
        return MoleculeStatistics(self.columns, self.counts, self.y[:, list(columns)])


@dataclass(frozen=True)
class Baseline:
    """A first guess of T targets from the composition, and the spread of what is left."""

    composition: np.ndarray  # (MAX_Z + 1, T), per atom of an element; 0 for targets that are not extensive
    constant: np.ndarray  # (T,)
    scale: np.ndarray  # (T,)

    @classmethod
    def fit(cls, counts: np.ndarray, y: np.ndarray, extensive: Sequence[bool]) -> "Baseline":
        """Fit element counts (n, Z) to targets (n, T) of which NaN is missing.

        Extensive targets: ridge regression on the counts, without a constant; others: the mean. A target without any
        value gets 0 and the scale 1.
        """
        composition = np.zeros((counts.shape[1], y.shape[1]))
        constant = np.zeros(y.shape[1])
        scale = np.ones(y.shape[1])
        for t, grows in enumerate(extensive):
            known = np.isfinite(y[:, t])
            if not known.any():
                continue
            x, values = counts[known].astype(np.float64), y[known, t]
            if grows:
                composition[:, t] = _ridge(x, values)
            else:
                constant[t] = values.mean()
            rest = values - x @ composition[:, t] - constant[t]
            scale[t] = Moments.of(rest[:, None]).scale[0]
        return cls(composition, constant, scale)


def _ridge(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weights (Z,) of counts (n, Z); 0 for elements that do not occur."""
    present = np.flatnonzero(counts.any(0))
    x = counts[:, present]
    weights = np.zeros(counts.shape[1])
    weights[present] = np.linalg.solve(x.T @ x + _RIDGE * len(x) * np.eye(len(present)), x.T @ values)
    return weights


def count_elements(batch: MoleculeBatch) -> Tensor:
    """Return how many atoms of each atomic number each molecule has (B, MAX_Z + 1), int64."""
    place = batch.atoms_batch * (MAX_Z + 1) + batch.z_atoms
    return torch.bincount(place, minlength=batch.num_graphs * (MAX_Z + 1)).view(-1, MAX_Z + 1)
