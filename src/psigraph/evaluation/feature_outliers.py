"""Values far from all others: robust z-scores within one element (features of atoms) or over everything.

z = (x − median) / (1.4826 MAD), MAD the median absolute deviation; where half of the values are equal (MAD = 0), the
mean absolute deviation times 1.2533 takes its place. Both factors make the scale the standard deviation of a normal
distribution (B. Iglewicz, D. C. Hoaglin, How to Detect and Handle Outliers, ASQC, 1993, section 3).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from psigraph.evaluation.feature_series import Series

#: Beyond this |z| a value is an outlier. Features of molecules have long tails: 3.5, the usual limit, would list them.
LIMIT = 10.0
#: Fewer values than this say nothing about what is usual.
FEWEST = 20
#: Spreads below this share of the largest magnitude (of 1, where that is less) are rounding.
ROUNDING = 1e-7


@dataclass(frozen=True)
class Outlier:
    """One value and where it stands; `structure` is a row of the structure store, `place` counts within it from 0."""

    series: Series
    structure: int
    place: int
    label: str
    value: float
    median: float
    z: float


def robust_z(values: np.ndarray) -> np.ndarray:
    """Return the robust z-scores (n,) of values (n,); all 0 where the values are equal or too few."""
    if len(values) < FEWEST:
        return np.zeros(len(values))
    deviation = values - np.median(values)
    smallest = ROUNDING * max(1.0, float(np.abs(values).max()))
    scale = 1.4826 * np.median(np.abs(deviation))
    if scale <= smallest:
        scale = 1.2533 * np.abs(deviation).mean()
    if scale <= smallest:
        return np.zeros(len(values))
    return deviation / scale


def outliers_of(series: Series) -> list[Outlier]:
    """Return the outliers of a series, farthest first; labels and counts have none."""
    if series.discrete:
        return []
    found = []
    for label in np.unique(series.label.astype(str)):
        rows = np.flatnonzero(series.label == label)
        values = series.values[rows]
        z = robust_z(values)
        median = float(np.median(values))
        for i in np.flatnonzero(np.abs(z) > LIMIT):
            row = rows[i]
            where = int(series.structure[row]), int(series.place[row])
            found.append(Outlier(series, *where, str(label), float(values[i]), median, float(z[i])))
    return farthest(found)


def farthest(outliers: Iterable[Outlier]) -> list[Outlier]:
    """Return outliers by falling |z|, ties by their place in the data."""
    return sorted(outliers, key=lambda o: (-abs(o.z), o.series.name, o.structure, o.place))
