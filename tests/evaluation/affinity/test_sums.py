"""Bootstrap intervals from sums, against metrics of samples that are really drawn."""

import numpy as np
import pandas as pd
import pytest
from made_up_complexes import predictions

from psigraph import metrics
from psigraph.evaluation import bootstrap
from psigraph.evaluation.affinity.sums import STATISTICS, interval_table, statistics, terms_of
from psigraph.evaluation.affinity.tables import FLOORS

NAMES = ["a", *FLOORS]


def frames() -> list[pd.DataFrame]:
    """Two runs, which test different complexes."""
    runs = [predictions("a", seed, error=0.7) for seed in (0, 1)]
    runs[1].loc[runs[1]["group"] == "t9", "split"] = "train"
    return [run[run["split"] == "test"] for run in runs]


def rated(frame: pd.DataFrame, column: str) -> list[float]:
    p, q = frame[column].to_numpy(float), frame["reference"].to_numpy(float)
    within = metrics.mean_within(metrics.spearman, p, q, frame["group"].to_numpy())[0]
    r = np.nan if metrics.constant(p) else metrics.r(p, q)
    return [r, metrics.r2(p, q), metrics.rmse(p, q), metrics.mae(p, q), within]


@pytest.mark.parametrize("column", ["predicted", "floor:forest", "floor:mean"])
def test_statistics_of_sums_are_the_metrics(column: str) -> None:
    frame = frames()[0]
    p, q = frame[column].to_numpy(float) - 7, frame["reference"].to_numpy(float) - 7
    found = statistics(terms_of(p, q, frame["group"].to_numpy(str)).sum(axis=0))
    np.testing.assert_allclose(found, rated(frame, column), rtol=1e-9)


def test_intervals_are_those_of_targets_really_drawn() -> None:
    runs = frames()
    found = interval_table(runs, NAMES, "group", draws=60)
    groups = sorted(set(pd.concat(runs)["group"]))
    values, differences = [], []
    for multiplicities in np.concatenate(list(bootstrap._drawn_groups(len(groups), 60, 0))).astype(int):
        drawn = [
            pd.concat(
                [
                    run[run["group"] == name].assign(group=f"{name}.{copy}")
                    for name, times in zip(groups, multiplicities, strict=True)
                    for copy in range(times)
                ]
            )
            for run in runs
        ]
        drawn = [frame for frame in drawn if len(frame)]
        own, floor = (np.mean([rated(f, c) for f in drawn], axis=0) for c in ("predicted", "floor:ligand"))
        values.append(own)
        differences.append(own - floor)
    for number, metric in enumerate(STATISTICS):
        for drawn, floor in ((values, None), (differences, "floor:ligand")):
            expected = np.percentile([row[number] for row in drawn], [2.5, 97.5])
            np.testing.assert_allclose(found[metric, "a", floor], expected, rtol=1e-7, err_msg=metric)
    assert np.isnan(found["r", "a", "floor:mean"]).all() and np.isfinite(found["rmse", "a", "floor:mean"]).all()


def test_intervals_of_ranking_need_whole_targets() -> None:
    found = interval_table(frames(), NAMES, "ligand")
    assert ("spearman_within", "a", None) not in found and np.isfinite(found["r", "a", None]).all()


def test_one_group_tells_nothing() -> None:
    frame = frames()[0]
    found = interval_table([frame[frame["group"] == "t8"]], NAMES, "group")
    assert np.isnan(list(found.values())).all()
