"""How far predictions drift when complexes are turned, and what averaging over rotations makes of it.

The grid's axes stay where they are, so a model predicts something else of a turned complex. Each complex is predicted
in `ROTATIONS` random orientations. The SD of the mean over them is measured, not derived: the means A and B over two
disjoint halves of the orientations are independent, so the variance of the mean over all is Var(A - B) / 4, and
|A - B| / 2 is its SD as one pair of halves shows it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from psigraph.evaluation.inference import predict_labels
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.loader import make_loader

ROTATIONS = 8
SEED = 1


@dataclass(frozen=True)
class Drift:
    """Of each complex (n,): the mean over rotations, the SD over them, and the SD of the mean as measured."""

    mean: np.ndarray
    sd: np.ndarray
    sd_of_mean: np.ndarray


def rotated_labels(model: Any, complexes: ComplexDataset, batch_size: int, rotations: int = ROTATIONS) -> np.ndarray:
    """Return the label (rotations, n) of complexes turned at random, each in as many orientations."""
    loader = make_loader(complexes.rotated(SEED), batch_size)
    found = []
    for number in range(rotations):
        loader.set_epoch(number)
        found.append(predict_labels(model, loader, 1)[:, 0])
    return np.stack(found)


def drift_of(values: np.ndarray) -> Drift:
    """Return the drift of predictions (rotations, n); an even number of rotations."""
    assert len(values) % 2 == 0, "the halves are of one size"
    first, second = np.split(values, 2)
    difference = first.mean(axis=0) - second.mean(axis=0)
    return Drift(values.mean(axis=0), values.std(axis=0, ddof=1), np.abs(difference) / 2)
