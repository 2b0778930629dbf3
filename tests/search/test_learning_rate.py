"""The learning-rate finder against its test written out, its suggestion, and what it leaves alone."""

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import run_settings
from test_optimisation import Network, RowLoader, TwoTargets

from psigraph.config import Training
from psigraph.search.learning_rate import find_lr, find_rate, scaled, smooth, steepest
from psigraph.training.schedule import make_optimizer
from psigraph.training.trainer import Setting

STEPS = 60


def sweep(training: Training, steps: int) -> tuple[list[float], list[float]]:
    """The test step by step in plain torch: rates that rise by a constant factor until Lightning's mean says enough."""
    model, task = Network(), TwoTargets()
    optimizer = make_optimizer(model, training)
    rates: list[float] = []
    losses: list[float] = []
    average = best = 0.0
    batches = [batch for _ in range(steps) for batch in RowLoader()]
    for step in range(steps):
        rates.append(1e-7 * (1.0 / 1e-7) ** ((step + 1) / steps) if step else 1e-7)
        for group in optimizer.param_groups:
            group["lr"] = rates[-1] * group.get("factor", 1.0)
        optimizer.zero_grad()
        loss = task.loss(model(batches[step]), batches[step], batches[step].num_graphs)
        loss.backward()
        if training.clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        losses.append(loss.item())
        average = 0.98 * average + 0.02 * losses[-1]
        smoothed = average / (1 - 0.98 ** (step + 2))
        if step and smoothed > 4 * best:
            break
        best = smoothed if step == 0 else min(best, smoothed)
    return rates, losses


class Grouped(Network):
    def parameter_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        return {"first": list(self.net[0].parameters()), "last": list(self.net[2].parameters())}


@pytest.mark.parametrize("training", [{}, {"clip_norm": 0.1, "weight_decay": 0.1}, {"betas": (0.5, 0.9)}])
def test_curve_is_that_of_the_test_written_out(training: dict[str, object]) -> None:
    settings = Training.model_validate({"batch_size": 8, "epochs": 3, "monitor": "mae", **training})
    rates, losses = find_rate(Network(), TwoTargets(), RowLoader(), settings, Setting(0, {}), STEPS)[:2]
    expected = sweep(settings, STEPS)
    assert rates.tolist() == pytest.approx(expected[0], rel=1e-6)
    assert losses.tolist() == pytest.approx(expected[1], rel=1e-4)


def test_groups_keep_their_factors() -> None:
    settings = Training(batch_size=8, epochs=3, monitor="mae", lr_factors={"first": 1e-3})
    losses = [
        find_rate(model, TwoTargets(), RowLoader(), training, Setting(0, {}), STEPS)[1]
        for model, training in (
            (Grouped(), settings),
            (Network(), settings.model_copy(update={"lr_factors": {}})),
        )
    ]
    assert losses[0][:20] == pytest.approx(losses[1][:20], rel=1e-3) and losses[0][-1] != pytest.approx(losses[1][-1])
    groups = [{"lr": 0.1, "factor": 0.5}, {"lr": 0.1}]
    with scaled(groups):
        assert [group["lr"] for group in groups] == [0.05, 0.1]
    assert [group["lr"] for group in groups] == [0.1, 0.1]


def test_model_and_folder_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = Network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = Training(batch_size=8, epochs=3, monitor="mae")
    find_rate(model, TwoTargets(), RowLoader(), settings, Setting(0, {}), 20)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert list(tmp_path.iterdir()) == []


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("centre", [1e-4, 1e-3, 1e-2])
def test_suggestion_is_where_the_loss_falls_most_steeply(centre: float) -> None:
    """By the logarithm of the rate, with noise at the small rates that would win by the rate itself."""
    rates = np.geomspace(1e-7, 1, 100)
    losses = 1 / (1 + (rates / centre)) + 0.05 * noise(100)
    losses[40] = np.nan
    losses[-5:] = [2, 10, 50, np.nan, np.inf]
    place = steepest(rates, losses)
    assert place is not None and centre / 4 < rates[place] < centre * 4
    slope_by_rate = np.gradient(smooth(losses)[10:-8], rates[10:-8])
    assert rates[10 + int(np.argmin(slope_by_rate))] < 1e-5, "what Lightning suggests"


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_fall(seed: int) -> None:
    rates = np.geomspace(1e-7, 1, 100)
    assert steepest(rates, 1 + 0.2 * noise(100, seed) + np.linspace(0, 0.2, 100)) is None


def test_no_suggestion_where_the_loss_does_not_fall() -> None:
    rates = np.geomspace(1e-7, 1, 100)
    assert steepest(rates, np.linspace(1, 2, 100)) is None
    assert steepest(rates, np.full(100, np.nan)) is None
    assert steepest(rates[:5], np.linspace(2, 1, 5)) is None


def test_smoothing_neither_lags_nor_loses_the_ends() -> None:
    line = np.linspace(3, 1, 30)
    assert smooth(line) == pytest.approx(line)
    step = np.where(np.arange(30) < 15, 1.0, 0.0)
    assert smooth(step)[14] == pytest.approx(6 / 11) and smooth(step)[15] == pytest.approx(5 / 11)
    step[3] = np.nan
    assert smooth(step)[4:9] == pytest.approx(np.ones(5)) and np.isnan(smooth(np.full(3, np.nan))).all()


def test_suggested_rate_trains(tmp_path: Path) -> None:
    settings = Training(batch_size=8, epochs=3, monitor="mae")
    rates, _, place = find_rate(Network(), TwoTargets(), RowLoader(), settings, Setting(0, {}))
    assert place is not None and 1e-3 < rates[place] < 0.5
    model = Network()
    optimizer = make_optimizer(model, settings.model_copy(update={"lr": float(rates[place])}))
    losses = []
    for _ in range(20):
        for batch in RowLoader():
            optimizer.zero_grad()
            loss = TwoTargets().loss(model(batch), batch, batch.num_graphs)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


class Sick(RowLoader):
    """Its last batch, of one row, is nothing that a model can compute."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        *good, last = super().__iter__()
        yield from good
        last.x = last.x[:, :1]
        yield last


def test_batch_that_raises_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    settings = Training(batch_size=8, epochs=3, monitor="mae")
    rates, losses, _ = find_rate(Network(), TwoTargets(), Sick(), settings, Setting(0, {}), 30)
    assert np.isnan(losses[2::3]).all() and np.isfinite(losses[::3]).all() and len(rates) == len(losses) >= 30
    assert "batch 2 skipped (RuntimeError" in caplog.text


def test_files_of_the_finder(shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"table": tmp_path / "lr.csv", "plot": tmp_path / "lr.png"}
    names = {"experiment": "delta", "architecture": "delta_coupling", "seed": 0}
    with caplog.at_level(logging.INFO, logger="psigraph"):
        rate = find_lr(shards, settings=run_settings(execution="torch"), **names, **files)  # type: ignore[arg-type]
    with open(tmp_path / "lr.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == sorted(float(row["lr"]) for row in rows) and len(rows) > 50
    marked = [float(row["lr"]) for row in rows if row["suggested"] == "1"]
    assert rate is not None and marked == [pytest.approx(rate, rel=1e-5)]
    assert "delta, delta_coupling: suggested training.lr" in caplog.text and "it is 0.005" in caplog.text
    assert (tmp_path / "lr.png").stat().st_size > 5000
