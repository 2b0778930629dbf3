"""Runs whose length is given in optimisation steps."""

import math

import numpy as np
import pytest

from psigraph.config import Training
from psigraph.training.length import repeated, settle_length


@pytest.mark.parametrize(
    ("steps", "samples", "batch_size"), [(3000, 3000, 32), (3000, 100, 32), (3000, 7, 32), (10, 100, 32), (1, 1, 1)]
)
def test_epochs_hold_the_steps_and_enough_batches(steps: int, samples: int, batch_size: int) -> None:
    training = Training(steps=steps, batch_size=batch_size)
    rows = repeated(np.arange(samples) + 5, training)
    batches = math.ceil(len(rows) / batch_size)
    epochs = settle_length(training, samples).epochs
    assert batches >= min(50, steps) and epochs * batches >= steps
    assert (epochs - 1) * batches < steps, "not an epoch more than needed"
    counts = np.unique(rows, return_counts=True)
    assert counts[0].tolist() == list(range(5, samples + 5)) and len(set(counts[1].tolist())) == 1


def test_epochs_count_without_steps() -> None:
    training = Training(epochs=7)
    rows = np.array([3, 1, 2])
    assert settle_length(training, 3) is training and repeated(rows, training) is rows
