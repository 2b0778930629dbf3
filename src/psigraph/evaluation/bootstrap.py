"""How sure a difference between two predictors is: paired bootstrap over groups.

Samples of one group (one pair of monomers) are alike, so the unit that is drawn with replacement is the group. With
per-sample losses l_i (already averaged over the runs that predicted sample i), group sums S_g = Σ_{i in g} l_i and
group sizes n_g, one draw gives every group a multiplicity w_g and estimates the mean loss as Σ_g w_g S_g / Σ_g w_g n_g.
Model and floor share the w_g, so the difference is paired. The interval is the 2.5th to 97.5th percentile over the
draws (percentile bootstrap; B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from collections.abc import Callable, Iterator

import numpy as np

DRAWS = 10_000
_CHUNK = 1_000_000  # multiplicities held in memory at once


def group_sums(groups: np.ndarray, *losses: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the group sizes (G,) and, for each loss (n,), its sums over groups (G,), groups in sorted order."""
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sizes = np.bincount(inverse, minlength=len(names)).astype(float)
    return (sizes, *(np.bincount(inverse, weights=loss, minlength=len(names)) for loss in losses))


def draw_multiplicities(n_groups: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield (chunk, G) arrays: how often each of G groups occurs in each of `draws` resamples with replacement."""
    rng = np.random.default_rng(seed)
    share = np.full(n_groups, 1.0 / n_groups)
    chunk = max(1, _CHUNK // n_groups)
    for start in range(0, draws, chunk):
        yield rng.multinomial(n_groups, share, size=min(chunk, draws - start))


def difference_interval(
    groups: np.ndarray,
    loss_model: np.ndarray,
    loss_floor: np.ndarray,
    *,
    transform: Callable[[np.ndarray], np.ndarray] = lambda mean: mean,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of transform(mean loss of the model) − transform(mean loss of the floor).

    `groups` (n,) names each sample's group; the losses are (n,); `transform` is the square root for an RMSE of squared
    errors. With fewer than two groups the interval is (NaN, NaN): nothing can be said.
    """
    sizes, model, floor = group_sums(groups, loss_model, loss_floor)
    if len(sizes) < 2:
        return float("nan"), float("nan")
    differences = []
    for multiplicities in draw_multiplicities(len(sizes), draws, seed):
        total = multiplicities @ sizes  # (chunk,)
        differences.append(transform(multiplicities @ model / total) - transform(multiplicities @ floor / total))
    low, high = np.percentile(np.concatenate(differences), [2.5, 97.5])
    return float(low), float(high)


def difference_intervals(
    groups: np.ndarray,
    losses: np.ndarray,
    others: np.ndarray,
    *,
    roots: np.ndarray | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """Return the 95 % intervals (K, 2) of mean loss minus mean other loss for K pairs of predictors at once.

    groups (n,) names each sample's group; losses, others: (n, K), NaN where a pair leaves a sample out;
    roots (K,) bool: whether the difference is of square roots of means, as of an RMSE. All pairs share the draws, of
    groups as in `difference_interval`. A pair with samples of fewer than two groups has (NaN, NaN).
    """
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    known = np.isfinite(losses) & np.isfinite(others)
    sizes, model, other = (
        _sums_by_group(np.where(known, values, 0.0), group, len(names))
        for values in (known.astype(float), losses, others)
    )
    square = np.zeros(losses.shape[1], dtype=bool) if roots is None else roots
    differences = []
    for multiplicities in _drawn_groups(len(names), draws, seed):
        with np.errstate(invalid="ignore"):  # a draw may miss every group of a pair: NaN, left out below
            total = multiplicities @ sizes
            means = [multiplicities @ sums / total for sums in (model, other)]
        first, second = (np.where(square, np.sqrt(mean), mean) for mean in means)
        differences.append(first - second)
    enough = (sizes > 0).sum(0) > 1
    found = np.full((losses.shape[1], 2), np.nan)
    if enough.any():
        found[enough] = np.nanpercentile(np.concatenate(differences)[:, enough], [2.5, 97.5], axis=0).T
    return found


def statistic_intervals(
    groups: np.ndarray,
    terms: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """Return the 95 % intervals (M, 2) of M numbers that follow from sums over samples, such as correlations.

    groups (n,) names each sample's group; terms (n, K) are what is summed over the samples of a draw of groups;
    `statistic` makes numbers (d, M) of the sums (d, K) of d draws. Draws in which a number is NaN leave it out. With
    fewer than two groups, or no draw that has a number, its interval is (NaN, NaN).
    """
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums = _sums_by_group(terms, group, len(names))  # (G, K)
    drawn = [statistic(multiplicities @ sums) for multiplicities in _drawn_groups(len(names), draws, seed)]
    values = np.concatenate(drawn)  # (draws, M)
    found = np.full((values.shape[1], 2), np.nan)
    known = np.isfinite(values).any(axis=0) & (len(names) > 1)
    if known.any():
        found[known] = np.nanpercentile(values[:, known], [2.5, 97.5], axis=0).T
    return found


def _sums_by_group(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return sums (G, K) of values (n, K) over the groups (n,)."""
    return np.stack([np.bincount(group, weights=column, minlength=groups) for column in values.T], axis=1)


def _drawn_groups(n_groups: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield multiplicities (chunk, G) as `draw_multiplicities` does, but fast where there are thousands of groups."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // n_groups)
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        drawn = rng.integers(0, n_groups, size=(rows, n_groups)) + n_groups * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_groups).reshape(rows, n_groups).astype(float)
