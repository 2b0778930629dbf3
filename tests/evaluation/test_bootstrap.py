"""The vectorised bootstrap against a loop that draws groups one by one."""

import numpy as np
import pytest

from psigraph.evaluation.bootstrap import difference_interval, draw_multiplicities, group_sums


def sample(n_groups: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = np.array([f"group{g}" for g in range(n_groups) for _ in range(1 + g % 4)])
    model = rng.exponential(size=len(groups))
    return groups, model, model + rng.normal(loc=0.5, scale=0.7, size=len(groups))


def slow_interval(groups, model, floor, transform, draws: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    found = []
    for _ in range(draws):
        rows = np.concatenate([np.flatnonzero(groups == rng.choice(names)) for _ in names])
        found.append(transform(model[rows].mean()) - transform(floor[rows].mean()))
    return float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))


@pytest.mark.parametrize("transform", [lambda mean: mean, np.sqrt])
def test_interval_agrees_with_the_slow_loop(transform) -> None:
    groups, model, floor = sample()
    fast = difference_interval(groups, model, floor, transform=transform, draws=4000)
    slow = slow_interval(groups, model, floor, transform, draws=4000, seed=1)
    width = slow[1] - slow[0]
    np.testing.assert_allclose(fast, slow, atol=0.06 * width)


def test_each_draw_equals_the_mean_over_the_drawn_groups() -> None:
    groups, model, _ = sample()
    sizes, sums = group_sums(groups, model)
    names = sorted(set(groups))
    (chunk,) = draw_multiplicities(len(names), 5, seed=3)
    for multiplicity in chunk:
        rows = [
            i
            for name, times in zip(names, multiplicity, strict=True)
            for _ in range(times)
            for i in np.flatnonzero(groups == name)
        ]
        assert multiplicity @ sums / (multiplicity @ sizes) == pytest.approx(model[rows].mean())


def test_same_seed_same_interval_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample()
    whole = difference_interval(*data)
    assert difference_interval(*data) == whole
    monkeypatch.setattr("psigraph.evaluation.bootstrap._CHUNK", 100)
    assert difference_interval(*data) == whole
    assert difference_interval(*data, seed=1) != whole


def test_one_group_gives_no_interval() -> None:
    assert np.isnan(difference_interval(np.array(["a", "a"]), np.zeros(2), np.ones(2))).all()


def test_equal_predictors_have_a_difference_of_zero() -> None:
    groups, model, _ = sample()
    assert difference_interval(groups, model, model) == (0.0, 0.0)
