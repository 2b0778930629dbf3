"""How long a run is: epochs as they are given, or as many as a number of optimisation steps takes."""

import math

import numpy as np

from psigraph.config import Training

#: Batches of an epoch at least where the length is given in steps: a small training set stands several times in it.
_BATCHES = 50


def settle_length(training: Training, samples: int) -> Training:
    """Return the settings with the epochs that `steps` steps on so many samples take; as they are without `steps`."""
    if training.steps is None:
        return training
    batches = math.ceil(samples * _repeats(training, samples) / training.batch_size)
    return training.model_copy(update={"epochs": max(math.ceil(training.steps / max(batches, 1)), 1)})


def repeated(rows: np.ndarray, training: Training) -> np.ndarray:
    """Return the rows (m,) of one epoch of training: once, or several times where the length is given in steps."""
    return rows if training.steps is None else np.tile(rows, _repeats(training, len(rows)))


def _repeats(training: Training, samples: int) -> int:
    """Return how often each sample stands in an epoch, so that it has 50 batches or, if fewer, all steps."""
    assert training.steps is not None
    wanted = min(_BATCHES, training.steps) * training.batch_size
    return max(math.ceil(wanted / max(samples, 1)), 1)
