"""What selects and stops where more is better, and what the log lines say."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_optimisation import Network, RowLoader, TwoTargets

from psigraph.config import Training
from psigraph.training.engine import fit
from psigraph.training.recorder import RunState
from psigraph.training.trainer import Setting

#: R² and loss of ten epochs, made up: best R² in the fifth, best loss in the second.
R2 = [-0.5, 0.1, 0.3, 0.2, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
LOSS = [2.0, 0.5, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]


class Told(TwoTargets):
    """Says of each epoch what it was told to say."""

    monitor = "r2"
    metrics = {"loss": "", "mae": "eV", "r2": ""}
    higher_is_better = frozenset({"r2"})

    def __init__(self, r2: list[float]) -> None:
        self.r2, self.epoch = r2, 0

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        return {"loss": LOSS[self.epoch], "mae": 1.0, "r2": self.r2[self.epoch]}

    def verdict(self, values: Mapping[str, float]) -> str:
        return "GOOD" if values["r2"] >= 0.3 else "POOR"


def train(folder: Path, r2: list[float] = R2, validation: bool = True, **training: Any) -> RunState:
    settings = Training(**{"epochs": 10, "batch_size": 8, "log_every": 5, **training})
    loaders = RowLoader(), RowLoader() if validation else None
    return fit(Network(), *loaders, settings, Told(r2), folder, Setting(0, {"run": "told"}))[0]


def test_highest_r2_is_kept_and_patience_counts_from_it(tmp_path: Path) -> None:
    state = train(tmp_path, patience=3)
    assert (state.best_epoch, state.best_value) == (5, 0.8)
    assert len(state.history) == 8 and state.stopped == "no improvement in 3 epochs"


def test_lowest_loss_is_kept(tmp_path: Path) -> None:
    state = train(tmp_path, monitor="loss", patience=3)
    assert (state.best_epoch, state.best_value) == (2, 0.5) and len(state.history) == 5


def test_negative_r2_can_be_the_best(tmp_path: Path) -> None:
    state = train(tmp_path, r2=[-3.0, -1.0, -2.0, -2.5], epochs=4)
    assert (state.best_epoch, state.best_value) == (2, -1.0)


def test_without_validation_the_training_loss_goes_down(tmp_path: Path) -> None:
    state = train(tmp_path, validation=False, lr=0.02)
    losses = [row["train_loss"] for row in state.history]
    assert state.best_value == min(losses) == losses[-1]


def test_selection_goes_on_after_a_break(tmp_path: Path) -> None:
    """The best of the epochs before the break counts against those after it, and so does their patience."""
    train(tmp_path, epochs=6, patience=3, schedule="warm_restarts")
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    last["recorder"]["stopped"] = None
    torch.save(last, tmp_path / "last.ckpt")
    state = train(tmp_path, epochs=10, patience=3, schedule="warm_restarts")
    assert (state.best_epoch, state.best_value, len(state.history)) == (5, 0.8, 8)


def test_monitor_must_be_a_metric_of_the_task(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training.monitor is rmse, but this task has loss, mae, r2; take auto"):
        train(tmp_path, monitor="rmse")


def test_log_lines_carry_every_metric_and_the_verdict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="psigraph"):
        train(tmp_path)
    lines = [record.message for record in caplog.records if record.message.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/10", "epoch 5/10", "epoch 10/10"]
    assert "validation loss 1.2, MAE 1 eV, R² 0.8, learning rate" in lines[1]
    assert [line.rsplit(", ", 1)[1] for line in lines] == ["POOR", "GOOD", "GOOD"]


def test_a_task_may_have_no_verdict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="psigraph"):
        settings = Training(epochs=1, batch_size=8, monitor="mae")
        fit(Network(), RowLoader(), RowLoader(), settings, TwoTargets(), tmp_path, Setting(0, {"run": "none"}))
    assert caplog.records[0].message.endswith(" graphs/s")
