"""Bootstrap intervals of R, R², RMSE and MAE over many runs at once, from sums over samples.

All four follow from sums over the test complexes of a run: of 1, p, q, p², q², pq, (p - q)² and |p - q|, p the
prediction and q the label. The mean over targets of Spearman's correlation within them follows from two more, for each
complex 1/n_t and ρ_t/n_t of its target t with n_t complexes, where whole targets are drawn.

Legend of shapes: n complexes, R runs, P predictors (a model, then floors), K sums, d draws.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation.affinity.tables import predictors
from psigraph.evaluation.bootstrap import DRAWS, statistic_intervals

#: What `statistics` returns, in its order.
STATISTICS = ("r", "r2", "rmse", "mae", "spearman_within")
_SUMS = 10
#: A sum of squares below this share of the squares is rounding.
_ROUNDING = 1e-10


def interval_table(
    frames: Sequence[pd.DataFrame], names: Sequence[str], column: str, draws: int = DRAWS
) -> dict[tuple[str, str, str | None], tuple[float, float]]:
    """Return 95 % intervals by (metric, model, floor): of the difference to a floor, and of the value where it is None.

    `frames` are the test complexes of each run; `names` has the model, then the floors; `column` is what is drawn.
    The mean of a metric over runs is what the intervals are of.
    """
    once = pd.concat(frames).drop_duplicates("index").set_index("index")
    centre = float(once["reference"].mean())
    terms = np.zeros((len(once), len(frames), len(names), _SUMS))  # (n, R, P, K)
    for run, frame in enumerate(frames):
        rows = once.index.get_indexer(pd.Index(frame["index"]))
        reference, groups = frame["reference"].to_numpy(float), frame["group"].to_numpy(str)
        for place, values in enumerate(predictors(frame, names[0]).values()):
            terms[rows, run, place] = terms_of(values - centre, reference - centre, groups)
    shape = terms.shape[1:]

    def differences(sums: np.ndarray) -> np.ndarray:
        found = means_over_runs(statistics(sums.reshape(-1, *shape)))  # (d, P, M)
        found[:, 1:] = found[:, :1] - found[:, 1:]
        return found.reshape(len(sums), -1)

    intervals = statistic_intervals(once[column].to_numpy(str), terms.reshape(len(once), -1), differences, draws=draws)
    intervals = intervals.reshape(len(names), len(STATISTICS), 2)
    floors = [None, *names[1:]]
    return {
        (metric, names[0], floor): (float(intervals[place, number, 0]), float(intervals[place, number, 1]))
        for place, floor in enumerate(floors)
        for number, metric in enumerate(STATISTICS)
        if metric != "spearman_within" or column == "group"
    }


def terms_of(p: np.ndarray, q: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return what is summed (n, K) for predictions and labels (n,) of targets `groups` (n,)."""
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    known = metrics.by_group(metrics.spearman, p, q, groups)
    rho = np.array([known.get(str(name), np.nan) for name in names])
    counted, rho = (values[group] / sizes[group] for values in (np.isfinite(rho), np.nan_to_num(rho)))
    error = p - q
    return np.stack([np.ones_like(p), p, q, p * p, q * q, p * q, error * error, np.abs(error), counted, rho], axis=1)


def statistics(sums: np.ndarray) -> np.ndarray:
    """Return `STATISTICS` (..., M) of sums (..., K); NaN where one is undefined."""
    n, p, q, pp, qq, pq, squares, absolutes, targets, rho = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        vp, vq, cov = pp - p * p / n, qq - q * q / n, pq - p * q / n
        vp, vq = (np.where(v > _ROUNDING * np.maximum(s, 1e-300), v, np.nan) for v, s in ((vp, pp), (vq, qq)))
        found = [cov / np.sqrt(vp * vq), 1 - squares / vq, np.sqrt(squares / n), absolutes / n, rho / targets]
    return np.stack(found, axis=-1)


def means_over_runs(values: np.ndarray) -> np.ndarray:
    """Return the means (d, P, M) over runs of values (d, R, P, M), without runs in which one is NaN."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
