"""Ensembles: weights from validation alone, and whether the spread of members tells the error."""

import logging

import numpy as np
import pandas as pd
import pytest
from made_up_complexes import predictions

from psigraph.evaluation.affinity.ensembles import (
    ALL,
    Ensemble,
    calibration,
    ensembles_of,
    reliability,
    spread_scale,
)

RUNS = [predictions("a", 0, error=0.2), predictions("a", 1, error=0.8), predictions("b", 0, error=0.4)]


def by_name(runs: list[pd.DataFrame]) -> dict[str, Ensemble]:
    return {item.name: item for item in ensembles_of(runs)}


def test_members_are_seeds_of_an_architecture_and_all_runs() -> None:
    found = by_name(RUNS)
    assert set(found) == {"ensemble:a", ALL}
    assert found["ensemble:a"].members == (("a", 0), ("a", 1))
    assert found[ALL].members == (("a", 0), ("a", 1), ("b", 0))


def test_weights_are_inverse_validation_errors() -> None:
    item = by_name(RUNS)[ALL]
    errors = []
    for run in RUNS:
        own = run[run["split"] == "validation"]
        errors.append(np.mean((own["predicted"] - own["reference"]) ** 2))
    expected = (1 / np.array(errors)) / np.sum(1 / np.array(errors))
    np.testing.assert_allclose(item.weights, expected)
    test = item.of("test").set_index("index")
    members = np.array([run.set_index("index").loc[test.index, "predicted"] for run in RUNS])
    mean = expected @ members
    np.testing.assert_allclose(test["predicted"], mean)
    np.testing.assert_allclose(test["sd"], np.sqrt(expected @ (members - mean) ** 2))


def test_no_test_label_reaches_weights_or_predictions() -> None:
    changed = []
    for run in RUNS:
        test = run["split"] == "test"
        changed.append(run.assign(reference=np.where(test, -run["reference"], run["reference"])))
    for name, item in by_name(RUNS).items():
        other = by_name(changed)[name]
        np.testing.assert_array_equal(item.weights, other.weights)
        np.testing.assert_array_equal(item.predictions["predicted"], other.predictions["predicted"])
        assert spread_scale(item.of("validation")) == spread_scale(other.of("validation"))
        assert (item.of("test")["reference"].to_numpy() == -other.of("test")["reference"].to_numpy()).all()


def test_only_what_all_members_test_counts(caplog: pytest.LogCaptureFixture) -> None:
    first, second = predictions("a", 0), predictions("a", 1)
    second.loc[np.flatnonzero(second["split"] == "test")[:7], "split"] = "train"
    item = by_name([first, second])["ensemble:a"]
    assert len(item.of("test")) == (first["split"] == "test").sum() - 7
    assert item.of("test")["id"].tolist() == second.loc[second["split"] == "test", "id"].tolist()
    with caplog.at_level(logging.WARNING):
        assert ensembles_of([first, second.assign(split="train")]) == []
    assert "ensemble:a: its 2 members test no complex in common; see split.draw" in caplog.text


def test_without_validation_the_weights_are_equal() -> None:
    runs = [run.assign(split=run["split"].replace("validation", "train")) for run in RUNS[:2]]
    item = by_name(runs)["ensemble:a"]
    np.testing.assert_array_equal(item.weights, [0.5, 0.5])
    found = calibration(item)
    assert np.isnan(found["uncertainty_scale"]) and np.isnan(found["uncertainty_z"])
    assert np.isfinite(found["uncertainty_spearman"])


def calibrated(n: int = 4000, scale: float = 3.0) -> Ensemble:
    """Return an ensemble whose errors are Gaussian with `scale` times its spread."""
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.1, 1.0, n)
    frame = pd.DataFrame({"index": range(n), "id": "c", "group": "t", "reference": 0.0, "sd": sd})
    frame["predicted"] = scale * sd * rng.normal(size=n)
    frame["split"] = np.where(np.arange(n) % 2, "validation", "test")
    return Ensemble("made up", (("a", 0), ("a", 1)), np.array([0.5, 0.5]), frame)


def test_calibration_of_gaussian_errors() -> None:
    found = calibration(calibrated())
    assert found["uncertainty_scale"] == pytest.approx(3.0, rel=0.05)
    assert found["uncertainty_z"] == pytest.approx(1.0, abs=0.05)
    assert found["uncertainty_95"] == pytest.approx(0.95, abs=0.02)
    assert 0.3 < found["uncertainty_spearman"] < 0.8
    bins = reliability(calibrated())
    assert len(bins) == 8 and bins["n"].sum() == 2000 and bins["sd"].is_monotonic_increasing
    np.testing.assert_allclose(bins["rmse"] / bins["sd"], 3.0, rtol=0.2)


def test_few_complexes_make_one_bin() -> None:
    item = by_name(RUNS)[ALL]
    few = Ensemble(item.name, item.members, item.weights, item.of("test").head(5))
    assert reliability(few)["n"].tolist() == [5]
