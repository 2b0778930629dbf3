"""The average of the weights, against the formula, and what it is used for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Stub, fit_stub, samples

from psigraph.training.ema import WeightAverage

YES = torch.tensor(True)


def by_hand(weights: list[float], decay: float) -> float:
    """The average of weights[0], the untrained one, and those after each step."""
    value = weights[0]
    for n, weight in enumerate(weights[1:]):
        d = min(decay, (1 + n) / (10 + n))
        value = d * value + (1 - d) * weight
    return value


def test_average_by_hand() -> None:
    weight = torch.zeros(3, dtype=torch.float64)
    average = WeightAverage([weight], 0.5)
    seen = [0.0]
    for step in range(20):
        weight.fill_(step**2)
        seen.append(float(step**2))
        average.update(YES)
        assert average.values[0].tolist() == pytest.approx([by_hand(seen, 0.5)] * 3)


def test_steps_that_were_not_taken_leave_it_alone() -> None:
    weight = torch.zeros(2)
    one, other = WeightAverage([weight], 0.9), WeightAverage([weight], 0.9)
    for step in range(5):
        weight.fill_(step + 1.0)
        one.update(YES)
        other.update(YES)
        other.update(torch.tensor(False))
    assert torch.equal(one.values[0], other.values[0]) and float(one.steps) == float(other.steps) == 5


def test_applied_for_a_while() -> None:
    weight = torch.zeros(2)
    average = WeightAverage([weight], 0.9)
    weight.fill_(1.0)
    average.update(YES)
    kept = average.values[0].clone()
    with average.applied():
        assert torch.equal(weight, kept) and 0.0 < float(kept[0]) < 1.0
    assert weight.tolist() == [1, 1] and torch.equal(average.values[0], kept)


class Traced(Stub):
    """Remembers its weight at every call, by mode."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[bool, list[float]] = {True: [], False: []}

    def forward(self, data: Any) -> torch.Tensor:
        self.seen[self.training].append(float(self.b.detach()))
        return super().forward(data)


def test_validation_and_the_final_weights_are_the_average(tmp_path: Path) -> None:
    data = samples(4)
    model, plain = Traced(), Traced()
    options: dict[str, Any] = {"epochs": 1, "lr": 0.05}
    fit_stub(tmp_path / "plain", plain, data, samples(1), **options)
    fit_stub(tmp_path / "averaged", model, data, samples(1), ema_decay=0.4, **options)
    assert model.seen[True] == plain.seen[True], "training itself does not see the average"
    expected = by_hand([*plain.seen[True], float(plain.b.detach())], 0.4)
    assert model.seen[False] == pytest.approx([expected], rel=1e-5)
    assert float(model.b.detach()) == pytest.approx(expected, rel=1e-5) and plain.b == plain.seen[False][0]


def test_without_validation_too(tmp_path: Path) -> None:
    model = Traced()
    fit_stub(tmp_path, model, samples(4), epochs=1, lr=0.05, ema_decay=0.4)
    last = float(torch.load(tmp_path / "last.ckpt", weights_only=True)["run"]["model"]["b"])
    assert float(model.b.detach()) == pytest.approx(by_hand([*model.seen[True], last], 0.4), rel=1e-5) != last
