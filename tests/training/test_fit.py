"""The training loop's numbers and branches, on a stub with two parameters."""

import csv
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Stub, fit_stub, samples, task

from psigraph.config import Training
from psigraph.training.epoch import TrainingError
from psigraph.training.schedule import scheduler, scheduler_steps


def history(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def rates_of(schedule: Any, optimizer: Any, steps: int) -> list[float]:
    """The learning rate of each step."""
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_scheduler_has_at_least_twenty_steps() -> None:
    assert scheduler_steps(1500, 24, 20) == 36000
    assert scheduler_steps(3, 2, 20) == 20
    assert scheduler_steps(10, 2, 20) == 20
    assert scheduler_steps(7, 3, 20) == 21


def test_one_cycle() -> None:
    """The peak is `lr`, reached after pct_start of the steps; the notes' defaults are 1e-3 and 0.3."""
    assert (Training().lr, Training().pct_start, Training().min_scheduler_steps) == (1e-3, 0.3, 20)
    assert Training().schedule == "one_cycle"
    optimizer = torch.optim.Adam(Stub().parameters(), lr=0.01)
    cycle = scheduler(optimizer, Training(epochs=10, lr=0.01, pct_start=0.4), 7)
    assert cycle.total_steps == 70
    rates = rates_of(cycle, optimizer, 70)
    assert max(rates) == pytest.approx(0.01) and rates.index(max(rates)) == round(0.4 * 70) - 1
    assert rates[0] == pytest.approx(0.01 / 25) and rates[-1] < 1e-6


def test_warm_restarts() -> None:
    """Cosines of 2, 4 and 8 epochs of 5 steps, each from `lr` down."""
    optimizer = torch.optim.Adam(Stub().parameters(), lr=0.01)
    settings = Training(lr=0.01, schedule="warm_restarts", restart_epochs=2, restart_factor=2)
    rates = rates_of(scheduler(optimizer, settings, 5), optimizer, 70)
    expected = [0.005 * (1 + math.cos(math.pi * k / n)) for n in (10, 20, 40) for k in range(n)]
    assert rates == pytest.approx(expected)


def test_learning_rate_steps_with_every_batch(tmp_path: Path) -> None:
    fit_stub(tmp_path, Stub(), samples(5), epochs=4, lr=0.01, pct_start=0.5)
    rates = [float(row["lr"]) for row in history(tmp_path)]
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(()))], lr=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=20, pct_start=0.5)
    expected = []
    for step in range(20):
        if step % 5 == 0:
            expected.append(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step()
    assert rates == pytest.approx(expected)


def test_gradients_are_set_to_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = torch.optim.Adam.zero_grad

    def spy(self: Any, set_to_none: bool = True) -> None:
        calls.append(set_to_none)
        original(self, set_to_none=set_to_none)

    monkeypatch.setattr(torch.optim.Adam, "zero_grad", spy)
    fit_stub(tmp_path, Stub(), samples(3), epochs=2)
    assert calls == [True] * 6


def test_history_and_means_are_over_graphs(tmp_path: Path) -> None:
    """Three samples in batches of two and one: each sample counts once."""
    data = samples(3)
    model = Stub()
    state, _ = fit_stub(tmp_path, model, data, data, batch_size=2, epochs=1, lr=1e-12, mape_epsilon=0.1)
    errors = [abs(float(s.y)) for s in data]
    references = [abs(float(s.y_true_vref)) for s in data]
    row = history(tmp_path)[0]
    columns = ["epoch", "train_loss", "val_mape", "val_mae", "lr", "seconds", "graphs_per_s"]
    assert list(row) == columns and row["epoch"] == "1" and float(row["graphs_per_s"]) > 0
    assert float(row["train_loss"]) == pytest.approx(sum(errors) / 3, rel=1e-5)
    assert float(row["val_mae"]) == pytest.approx(sum(errors) / 3, rel=1e-5)
    percent = 100 / 3 * sum(e / max(r, 0.1) for e, r in zip(errors, references, strict=True))
    assert float(row["val_mape"]) == pytest.approx(percent, rel=1e-5)
    assert state.stopped == "all epochs done"


def test_flat_u_is_reshaped(tmp_path: Path) -> None:
    flat = samples(4)
    for s in flat:
        s.u = s.u.flatten()
    one, other = Stub(), Stub()
    fit_stub(tmp_path / "flat", one, flat, batch_size=2)
    fit_stub(tmp_path / "shaped", other, samples(4), batch_size=2)
    assert one.a != 0 and torch.equal(one.a, other.a) and torch.equal(one.b, other.b)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_bad_batch_is_skipped_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float | None
) -> None:
    """An error, NaN and Inf; the weights are those of a run without the dimer."""
    data = samples(4)
    model, clean = Stub("dimer-3", value), Stub()
    state, notes = fit_stub(tmp_path / "bad", model, data, epochs=1, max_bad_batches=0.5)
    fit_stub(tmp_path / "good", clean, data[:3], epochs=1)
    assert torch.equal(model.a, clean.a) and torch.equal(model.b, clean.b) and model.a != 0
    assert state.bad_batches == 1 and notes[-1] == "1 batches were skipped, see the log"
    what = "ValueError: cannot digest dimer-3" if value is None else f"FloatingPointError: the loss is {value}"
    assert f"epoch 1: training batch 3 skipped ({what})" in caplog.text
    assert math.isfinite(state.history[0]["train_loss"])


def test_too_many_bad_batches_stop_the_run_with_the_first_error(tmp_path: Path) -> None:
    assert Training().max_bad_batches == 0.01
    message = (
        r"epoch 1: 1 of 4 training batches failed, more than the share of 0.01 .*max_bad_batches allows; "
        r"the first error was ValueError: cannot digest dimer-1"
    )
    with pytest.raises(TrainingError, match=message):
        fit_stub(tmp_path, Stub("dimer-1"), samples(4), max_bad_batches=0.01)
    assert not (tmp_path / "last.ckpt").exists()


def test_limit_is_per_epoch_and_inclusive(tmp_path: Path) -> None:
    """One of four batches in each of three epochs: exactly the allowed quarter, never more."""
    state, _ = fit_stub(tmp_path, Stub("dimer-1"), samples(4), epochs=3, max_bad_batches=0.25)
    assert state.bad_batches == 3


def test_bad_validation_batches_count_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, validation = samples(3), samples(8)[4:]
    state, _ = fit_stub(tmp_path, Stub("dimer-6"), train, validation, epochs=1, max_bad_batches=0.5)
    assert state.bad_batches == 1 and "validation batch 2 skipped" in caplog.text
    with pytest.raises(TrainingError, match="1 of 4 validation batches failed"):
        fit_stub(tmp_path / "strict", Stub("dimer-6", math.nan), train, validation, epochs=1)


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    """The validation set wants the opposite of the training set, so the first epoch is the best."""
    train, validation = samples(4), samples(4)
    for s in validation:
        s.y_true_vref = s.u[:, 2] + 5
    model = Stub()
    state, _ = fit_stub(tmp_path, model, train, validation, epochs=30, patience=3, monitor="mae", lr=0.01)
    assert state.best_epoch == 1 and len(state.history) == 4
    assert state.stopped == "no improvement in 3 epochs"
    first = Stub()
    fit_stub(tmp_path / "one", first, train, validation, epochs=30, patience=1, monitor="mae", lr=0.01)
    assert torch.equal(model.a, first.a), "the weights are those of the first epoch"
    assert Training().patience == 250 and Training().monitor == "auto" and task(Training()).monitor == "mape"


@pytest.mark.parametrize("monitor", ["mae", "mape"])
def test_monitor_is_the_chosen_metric(tmp_path: Path, monitor: str) -> None:
    state, _ = fit_stub(tmp_path, Stub(), samples(4), samples(6)[4:], monitor=monitor, epochs=3)
    column = [row[f"val_{monitor}"] for row in state.history]
    assert state.best_value == min(column) and state.best_epoch == 1 + column.index(min(column))


def test_empty_validation_watches_the_training_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run whose loss cannot improve (learning rate about 0) stops by patience; the last weights are kept."""
    model = Stub()
    with caplog.at_level(logging.INFO):
        state, notes = fit_stub(tmp_path, model, samples(4), None, epochs=30, patience=2, lr=1e-30)
    assert "validation set is empty" in caplog.text and "watched the training loss" in notes[0]
    assert len(state.history) == 3 and state.stopped == "no improvement in 2 epochs"
    assert state.best_weights is None
    assert history(tmp_path)[0]["val_mae"] == "" and history(tmp_path)[0]["val_mape"] == ""


def test_log_lines_at_first_last_and_every_nth_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Training().log_every == 10
    with caplog.at_level(logging.INFO, logger="psigraph"):
        fit_stub(tmp_path, Stub(), samples(2), epochs=7, log_every=3)
    lines = [record.message for record in caplog.records if record.message.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/7", "epoch 3/7", "epoch 6/7", "epoch 7/7"]


def test_leaves_two_files_and_no_noise(
    tmp_path: Path, capfd: Any, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with caplog.at_level(logging.INFO):
        fit_stub(tmp_path, Stub(), samples(2), samples(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "last.ckpt"]
    assert "".join(capfd.readouterr()) == ""
    assert {record.name.split(".")[0] for record in caplog.records} == {"psigraph"}
    assert not [str(warning.message) for warning in recwarn]


def test_matmul_precision_is_high_in_training_and_restored(tmp_path: Path) -> None:
    seen = []

    class Spy(Stub):
        def forward(self, data: Any) -> torch.Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return super().forward(data)

    before = torch.get_float32_matmul_precision()
    fit_stub(tmp_path, Spy(), samples(2), epochs=1)
    assert set(seen) == {"high"} and torch.get_float32_matmul_precision() == before
