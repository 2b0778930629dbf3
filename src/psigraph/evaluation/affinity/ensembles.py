"""Ensembles of runs, and how well the spread of their members tells the error.

An ensemble is the mean of its members' predictions with weights w_m ∝ 1 / MSE_m, the members' mean squared errors on
validation complexes, which add up to 1; without such complexes the weights are equal. Members are the seeds of one
architecture (`ensemble:NAME`), or all runs of all architectures (`ensemble`). Only what all members test counts.

The spread is σ_i = (Σ_m w_m (f_mi - Σ_m w_m f_mi)²)^½. It is scaled by the s that makes the mean of (e_i / (s σ_i))²
one on validation complexes, the maximum-likelihood scale of a Gaussian (M.-H. Laves et al., PMLR 121, 393, 2020).

Legend of shapes: M members, n complexes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from psigraph import metrics
from psigraph.evaluation.tables import correlation

log = logging.getLogger(__name__)

ALL = "ensemble"
BINS = 8  # at most, of a reliability plot
FEWEST = 6  # complexes in a bin
#: Below this a spread is rounding [unit of the label].
_SMALLEST = 1e-9
#: Metrics of calibration, in this order.
CALIBRATION = ("uncertainty_spearman", "uncertainty_scale", "uncertainty_z", "uncertainty_95")


@dataclass(frozen=True)
class Ensemble:
    """One ensemble: its name, its members (architecture, seed), their weights (M,), and a table of what it predicts.

    predictions: index, id, group, split (test or validation), reference, predicted, sd, by complex.
    """

    name: str
    members: tuple[tuple[str, int], ...]
    weights: np.ndarray
    predictions: pd.DataFrame

    def of(self, split: str) -> pd.DataFrame:
        return self.predictions[self.predictions["split"] == split]


def ensembles_of(runs: Sequence[pd.DataFrame]) -> list[Ensemble]:
    """Return the ensemble of each architecture with several runs, and that of all where there are several.

    `runs` are predictions.csv of each. An ensemble whose members test no complex in common is left out, and logged.
    """
    by_name: dict[str, list[pd.DataFrame]] = {}
    for run in runs:
        by_name.setdefault(str(run["architecture"].iloc[0]), []).append(run)
    wanted = {f"{ALL}:{name}": members for name, members in by_name.items() if len(members) > 1}
    if len(by_name) > 1:
        wanted[ALL] = list(runs)
    found = [ensemble(name, members) for name, members in wanted.items()]
    return [item for item in found if item is not None]


def ensemble(name: str, members: Sequence[pd.DataFrame]) -> Ensemble | None:
    """Return the ensemble of some runs, or None, and log it, where they test no complex in common."""
    validation, test = (common(members, split) for split in ("validation", "test"))
    if test.empty:
        log.warning("%s: its %d members test no complex in common; see split.draw", name, len(members))
        return None
    weights = weights_of(_values(validation, len(members)), validation["reference"].to_numpy(float))
    parts = []
    for rows in (validation, test):
        values = _values(rows, len(members))
        mean = weights @ values
        sd = np.sqrt(weights @ (values - mean) ** 2)
        columns = rows[["index", "id", "group", "split", "reference"]]
        parts.append(columns.assign(predicted=mean, sd=sd))
    who = tuple((str(run["architecture"].iloc[0]), int(run["seed"].iloc[0])) for run in members)
    log.info("%s: members %s with weights %s", name, who, weights.round(3).tolist())
    return Ensemble(name, who, weights, pd.concat(parts, ignore_index=True))


def common(members: Sequence[pd.DataFrame], split: str) -> pd.DataFrame:
    """Return the complexes with a label that all members have in `split`, and their predictions as columns 0 to M-1."""
    first = members[0][(members[0]["split"] == split) & members[0]["reference"].notna()]
    found = first.set_index("index", drop=False)[["index", "id", "group", "split", "reference"]]
    for number, run in enumerate(members):
        own = run[run["split"] == split].set_index("index")["predicted"].rename(number)
        found = found.join(own, how="inner")
    return found.reset_index(drop=True)


def weights_of(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return weights (M,) ∝ 1 / MSE of predictions (M, n) of references (n,), equal ones where n is 0."""
    if not len(reference):
        return np.full(len(values), 1 / len(values))
    errors = np.square(values - reference).mean(axis=1)
    inverse = 1 / np.maximum(errors, _SMALLEST)
    return inverse / inverse.sum()


def calibration(item: Ensemble) -> dict[str, float]:
    """Return how well the spread of an ensemble's members tells its error on test complexes, by `CALIBRATION`.

    Spearman's correlation of spread and absolute error; the scale from validation (NaN without it); with it, the root
    mean square of error / spread, which should be 1, and the share of errors within 1.96 spreads, which should be 0.95.
    """
    test, scale = item.of("test"), spread_scale(item.of("validation"))
    error, sd = (test["predicted"] - test["reference"]).abs().to_numpy(), test["sd"].to_numpy()
    z = error / np.maximum(scale * sd, _SMALLEST)
    scaled = (float(np.sqrt(np.mean(z**2))), float(np.mean(z <= 1.96))) if np.isfinite(scale) else (np.nan, np.nan)
    return dict(zip(CALIBRATION, (correlation(metrics.spearman, sd, error), scale, *scaled), strict=True))


def spread_scale(validation: pd.DataFrame) -> float:
    """Return the factor of the spread that makes the mean squared error / spread one; NaN without complexes."""
    if validation.empty:
        return float("nan")
    error = (validation["predicted"] - validation["reference"]).to_numpy()
    return float(np.sqrt(np.mean((error / np.maximum(validation["sd"].to_numpy(), _SMALLEST)) ** 2)))


def reliability(item: Ensemble) -> pd.DataFrame:
    """Return bins of test complexes by their spread, of equal counts: mean squared spread and RMSE, and how many."""
    test = item.of("test").sort_values("sd", kind="stable")
    bins = int(np.clip(len(test) // FEWEST, 1, BINS))
    rows = []
    for part in np.array_split(np.arange(len(test)), bins):
        own = test.iloc[part]
        spread = float(np.sqrt(np.mean(own["sd"] ** 2)))
        rows.append(
            {
                "sd": spread,
                "rmse": metrics.rmse(own["predicted"].to_numpy(), own["reference"].to_numpy()),
                "n": len(own),
            }
        )
    return pd.DataFrame(rows)


def _values(rows: pd.DataFrame, members: int) -> np.ndarray:
    """Return the members' predictions (M, n)."""
    return rows[list(range(members))].to_numpy(float).T
