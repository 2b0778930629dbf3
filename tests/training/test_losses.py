"""The distance-weighted L1 loss on V_ref, against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from psigraph.training.losses import DistanceWeight, distance_weighted_l1_on_vref_loss


def test_weights_by_hand() -> None:
    weight = DistanceWeight.fit(np.array([1.0, 2.0, 6.0]), 1.0)
    assert (weight.mean_distance, weight.mean_weight) == (3.0, pytest.approx(1.0))
    assert weight(torch.tensor([1.0, 2.0, 6.0, 9.0])).tolist() == pytest.approx([1 / 3, 2 / 3, 2, 3])
    squared = DistanceWeight.fit(np.array([1.0, 2.0, 6.0]), 2.0)
    assert squared.mean_weight == pytest.approx((1 + 4 + 36) / 9 / 3)
    assert squared(torch.tensor([6.0])).item() == pytest.approx((36 / 9) / (41 / 27))


def test_power_zero_weights_all_alike() -> None:
    weight = DistanceWeight.fit(np.array([0.0, 2.0]), 0.0)
    assert weight(torch.tensor([0.0, 2.0, 100.0])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_mean_weight_of_the_training_set_is_one(power: float) -> None:
    distances = np.random.default_rng(0).uniform(2, 9, 100)
    assert float(DistanceWeight.fit(distances, power)(torch.tensor(distances)).mean()) == pytest.approx(1)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_separations_must_be_positive(bad: float) -> None:
    with pytest.raises(ValueError, match="needs separations R above 0, but one is .*distance_power to 0"):
        DistanceWeight.fit(np.array([1.0, bad]), 1.0)


def test_loss_by_hand() -> None:
    """In V_ref: the error of V_0 + ΔV, weighted, summed and divided by the size of the global batch."""
    delta, v_0, v_ref = torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5]), torch.tensor([1.0, 1.0])
    weights = torch.tensor([1.0, 3.0])
    assert distance_weighted_l1_on_vref_loss(delta, v_0, v_ref, weights, 2).item() == pytest.approx((0.5 + 4.5) / 2)


def test_two_halves_add_up_to_the_global_batch() -> None:
    rng = torch.Generator().manual_seed(0)
    delta, v_0, v_ref, weights = torch.rand(4, 6, generator=rng)
    whole = distance_weighted_l1_on_vref_loss(delta, v_0, v_ref, weights, 6)
    parts = [
        distance_weighted_l1_on_vref_loss(delta[s], v_0[s], v_ref[s], weights[s], 6) for s in (slice(0, 2), slice(2, 6))
    ]
    assert torch.allclose(whole, sum(parts))
