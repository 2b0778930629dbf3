"""Every metric of the reports, each with one definition. Arrays of equal length, any unit; NumPy only."""

import math
from collections.abc import Callable, Sequence

import numpy as np

Values = np.ndarray | Sequence[float]


def _pair(predicted: Values, reference: Values) -> tuple[np.ndarray, np.ndarray]:
    p, r = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(reference, dtype=np.float64).ravel()
    if p.shape != r.shape:
        raise ValueError(f"{p.size} predictions for {r.size} references")
    return p, r


def mae(predicted: Values, reference: Values) -> float:
    """Return the mean absolute error, in the unit of the values; NaN where there are none."""
    p, r = _pair(predicted, reference)
    return float(np.abs(p - r).mean()) if p.size else math.nan


def rmse(predicted: Values, reference: Values) -> float:
    """Return the root mean square error, in the unit of the values; NaN where there are none."""
    p, r = _pair(predicted, reference)
    return float(np.sqrt(np.square(p - r).mean())) if p.size else math.nan


def mae_relative(predicted: Values, reference: Values, groups: np.ndarray) -> tuple[float, int]:
    """Return the MAE of deviations from the mean of each group, and for how many samples.

    Both sides lose the mean of their group, such as the mean energy over a molecule's conformers. Samples that are
    alone in their group do not count. NaN and 0 where all are.
    """
    p, q = _pair(predicted, reference)
    differences = np.abs(within_groups(p, groups) - within_groups(q, groups))
    known = np.isfinite(differences)
    return (float(differences[known].mean()) if known.any() else math.nan), int(known.sum())


def within_groups(
    values: np.ndarray, groups: Sequence[str] | np.ndarray, known: np.ndarray | None = None
) -> np.ndarray:
    """Return values (n,) minus the mean of their group; NaN where fewer than two of the group are known.

    known: (n,) bool, which values the means are of; by default those that are not NaN.
    """
    known = np.isfinite(values) if known is None else known
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group, weights=known)
    means = np.bincount(group, weights=np.where(known, values, 0)) / np.maximum(sizes, 1)
    return np.where(sizes[group] > 1, values - means[group], np.nan)


def mape(predicted: Values, reference: Values, epsilon: float) -> tuple[float, int]:
    """Return 100 % × mean |p - r| / max(|r|, epsilon), and for how many samples |r| < epsilon.

    References do reach zero; the epsilon [unit of the values] and that number belong beside the figure. Raises
    ValueError unless epsilon is above 0.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}")
    p, r = _pair(predicted, reference)
    if not p.size:
        return math.nan, 0
    size = np.abs(r)
    return float(100 * (np.abs(p - r) / np.maximum(size, epsilon)).mean()), int((size < epsilon).sum())


def r(predicted: Values, reference: Values) -> float:
    """Return Pearson's correlation; NaN below two samples or where one side is constant."""
    p, q = _pair(predicted, reference)
    if p.size < 2:
        return math.nan
    p, q = p - p.mean(), q - q.mean()
    scale = math.sqrt(float(p @ p) * float(q @ q))
    return float(p @ q) / scale if scale > 0 else math.nan


def r2(predicted: Values, reference: Values) -> float:
    """Return the coefficient of determination 1 - Σ(p-r)²/Σ(r-mean r)²; NaN below two samples or for a constant r."""
    p, q = _pair(predicted, reference)
    if p.size < 2:
        return math.nan
    spread = float(np.square(q - q.mean()).sum())
    return 1 - float(np.square(p - q).sum()) / spread if spread > 0 else math.nan


def spearman(predicted: Values, reference: Values) -> float:
    """Return Spearman's rank correlation: Pearson's r of the ranks, equal values sharing their mean rank."""
    p, q = _pair(predicted, reference)
    return r(_ranks(p), _ranks(q))


def by_group(
    metric: Callable[[Values, Values], float],
    predicted: Values,
    reference: Values,
    groups: Sequence[str] | np.ndarray,
    least: int = 5,
) -> dict[str, float]:
    """Return a correlation, `r` or `spearman`, within each group of at least `least` samples whose references differ.

    Where all predictions of a group are alike they rank nothing, and the correlation counts as 0.
    """
    p, q = _pair(predicted, reference)
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    found = {}
    for number, name in enumerate(names):
        own = group == number
        if own.sum() >= least and not constant(q[own]):
            found[str(name)] = 0.0 if constant(p[own]) else metric(p[own], q[own])
    return found


def mean_within(
    metric: Callable[[Values, Values], float],
    predicted: Values,
    reference: Values,
    groups: Sequence[str] | np.ndarray,
    least: int = 5,
) -> tuple[float, int]:
    """Return the mean over groups of a correlation within each, as `by_group` has them, and their number; NaN and 0
    without any."""
    found = by_group(metric, predicted, reference, groups, least)
    return (float(np.mean(list(found.values()))) if found else math.nan), len(found)


def constant(values: np.ndarray) -> bool:
    """Return whether values (n,) are all alike, up to rounding."""
    return not len(values) or bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 0, equal values with their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[inverse]
