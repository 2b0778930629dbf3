"""Floors of properties of molecules: what the training mean and a molecule's composition alone predict.

The composition floor is a ridge regression on the numbers of atoms of each element where a target grows with the
molecule, else on their shares. Columns and target are centred with the training set's means, so that the intercept is
not penalised, and the coefficients are w = (X'X/n + λ I)⁻¹ X'y/n (A. E. Hoerl, R. W. Kennard, Technometrics 12, 55,
1970). Of `PENALTIES` the λ is taken that has the lowest MAE on the validation set, without one the smallest.
Legend of shapes: n molecules, E elements.
"""

import numpy as np

PENALTIES = tuple(10.0**power for power in range(-8, 3))


def element_counts(z: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return how many atoms of each element (n, E) molecules have; elements in the order of their numbers.

    z: (ΣN,) atomic numbers; offsets: (n+1,) where each molecule's atoms begin.
    """
    elements, kind = np.unique(z, return_inverse=True)
    n, molecule = len(offsets) - 1, np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    counts = np.bincount(molecule * len(elements) + kind, minlength=n * len(elements))
    return counts.reshape(n, len(elements)).astype(float)


def mean_floor(y: np.ndarray, train: np.ndarray) -> float:
    """Return the mean of a target (n,) over the training rows that have it; NaN where none has."""
    known = y[train & np.isfinite(y)]
    return float(known.mean()) if len(known) else float("nan")


def composition_floor(
    counts: np.ndarray, y: np.ndarray, train: np.ndarray, validation: np.ndarray, *, extensive: bool
) -> np.ndarray:
    """Return what the composition predicts for every molecule (n,); NaN where no training row has the target.

    counts: (n, E) atoms of each element; y: (n,) the target, NaN where missing; train, validation: (n,) bool.
    """
    columns = counts if extensive else counts / counts.sum(1, keepdims=True)
    known = np.isfinite(y)
    fitted, chosen_on = train & known, validation & known
    if not fitted.any():
        return np.full(len(y), np.nan)
    predicted = [ridge(columns[fitted], y[fitted], penalty, columns) for penalty in PENALTIES]
    if not chosen_on.any():
        return predicted[0]
    errors = [np.abs(values[chosen_on] - y[chosen_on]).mean() for values in predicted]
    return predicted[int(np.argmin(errors))]


def ridge(x: np.ndarray, y: np.ndarray, penalty: float, new: np.ndarray) -> np.ndarray:
    """Return predictions (m,) for `new` (m, E) of a ridge regression of y (n,) on x (n, E)."""
    centre, mean = x.mean(0), y.mean()
    centred = x - centre
    normal = centred.T @ centred / len(x) + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(normal, centred.T @ (y - mean) / len(x))
    return mean + (new - centre) @ weights
