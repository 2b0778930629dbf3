"""Killed runs: SIGKILL in the middle of training, early stopping across a kill, and last.ckpt that does not fit."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Stub, fit_stub, run_settings, samples

from psigraph.training.engine import train_run
from psigraph.training.resume import AtomicCheckpointIO

EPOCHS = 40


def command(repository: Path, shards: list[Path], folder: Path) -> list[str]:
    settings = run_settings(epochs=EPOCHS, patience=EPOCHS)
    return [
        *(sys.executable, str(repository / "scripts/train.py"), "--experiment", "delta", "--seed", "3"),
        *("--architecture", "delta_coupling", "--settings", json.dumps(settings), "--output-dir", str(folder)),
        *("--shards", *map(str, shards)),
    ]


def test_killed_in_the_middle_ends_with_the_same_bytes(repository: Path, shards: list[Path], tmp_path: Path) -> None:
    """Augmentation is on; the killed run resumes at an epoch above 0 and repeats none that was finished."""
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    log = tmp_path / "first.log"
    with open(log, "w") as file:
        process = subprocess.Popen(command(repository, shards, tmp_path / "killed"), stderr=file, env=environment)
        deadline = time.monotonic() + 60
        while "epoch 5/" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert "epoch 5/" in log.read_text() and f"epoch {EPOCHS}/" not in log.read_text()
    assert not (tmp_path / "killed/final_model_delta_learning.pt").exists()

    again = subprocess.run(
        command(repository, shards, tmp_path / "killed"), stderr=subprocess.PIPE, text=True, env=environment, check=True
    ).stderr
    settings = run_settings(epochs=EPOCHS, patience=EPOCHS)
    names = {"experiment": "delta", "architecture": "delta_coupling", "seed": 3}
    undisturbed = train_run(shards, tmp_path / "undisturbed", settings=settings, **names)

    resumed = int(again.split("last.ckpt after epoch ")[1].split(" ")[0])
    assert 4 <= resumed < EPOCHS
    assert f"epoch {resumed}/" not in again and f"epoch {resumed + 1}/" in again
    assert (tmp_path / "killed/final_model_delta_learning.pt").read_bytes() == undisturbed.read_bytes()
    assert history(tmp_path / "killed") == history(tmp_path / "undisturbed")
    assert len(history(tmp_path / "killed")) == EPOCHS + 1


def history(folder: Path) -> list[list[str]]:
    """The learning history without its last column, the seconds."""
    return [line.split(",")[:-1] for line in (folder / "history.csv").read_text().splitlines()]


class Killed(BaseException):
    """Stands for a signal in the middle of an epoch."""


class Fragile(Stub):
    """A stub that dies in its n-th call."""

    calls = 0

    def __init__(self, dies_at: int) -> None:
        super().__init__()
        self.dies_at = dies_at

    def forward(self, data: Any) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.dies_at:
            raise Killed
        return super().forward(data)


def contrary() -> tuple[list[Any], list[Any]]:
    """A training and a validation set that want opposite things: epoch 1 is the best."""
    train, validation = samples(4), samples(4)
    for s in validation:
        s.y_true_vref = s.u[:, 2] + 5
    return train, validation


@pytest.mark.parametrize("dies_at", [2, 9, 12, 16, 20, 30])
def test_best_weights_and_patience_survive(tmp_path: Path, dies_at: int) -> None:
    """Eight calls an epoch (four training, four validation), stopped after five epochs."""
    train, validation = contrary()
    options = {"epochs": 30, "patience": 4, "monitor": "mae", "lr": 0.01}
    undisturbed = Stub()
    expected, _ = fit_stub(tmp_path / "whole", undisturbed, train, validation, **options)
    assert len(expected.history) == 5 and expected.best_epoch == 1
    with pytest.raises(Killed):
        fit_stub(tmp_path / "killed", Fragile(dies_at), train, validation, **options)
    model = Stub()
    state, _ = fit_stub(tmp_path / "killed", model, train, validation, **options)
    assert (state.best_epoch, state.best_value, state.stopped) == (1, expected.best_value, expected.stopped)
    assert len(state.history) == 5
    assert torch.equal(model.a, undisturbed.a) and torch.equal(model.b, undisturbed.b)


@pytest.mark.parametrize("has_validation", [True, False])
def test_finished_run_is_not_trained_further(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, has_validation: bool
) -> None:
    """Killed after the last epoch and before the model was written: the same weights again, no epoch more."""
    train, validation = contrary()
    sets = (train, validation if has_validation else None)
    options = {"epochs": 3, "patience": 9, "monitor": "mae", "lr": 0.01}
    first, second = Stub(), Stub()
    fit_stub(tmp_path, first, *sets, **options)
    with caplog.at_level(logging.INFO):
        state, _ = fit_stub(tmp_path, second, *sets, **options)
    assert "training was over already: all epochs done" in caplog.text and len(state.history) == 3
    assert torch.equal(first.a, second.a) and torch.equal(first.b, second.b)


def test_checkpoint_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while writing: the checkpoint of the epoch before is still whole."""
    path, io = tmp_path / "last.ckpt", AtomicCheckpointIO()
    io.save_checkpoint({"epoch": 1}, path)

    def killed(*args: Any) -> None:
        raise Killed

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        io.save_checkpoint({"epoch": 2}, path)
    assert io.load_checkpoint(path) == {"epoch": 1}


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"x": Killed()}, tmp_path / "last.ckpt")
    with pytest.raises(Exception, match="weights_only|Weights only"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt", weights_only=False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": run_settings(epochs=2, lr=1e-4)}, "training.lr was 0.005, is 0.0001"),
        ({"settings": run_settings(epochs=3)}, "training.epochs was 2, is 3"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"settings": run_settings(epochs=2, log_every=2, memory_mb=900)}, None),
    ],
)
def test_resumes_only_where_the_key_fits(
    shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], reason: str | None
) -> None:
    first = {"experiment": "e", "architecture": "delta_coupling", "seed": 0, "settings": run_settings(epochs=2)}
    train_run(shards, tmp_path, **first)
    with caplog.at_level(logging.INFO):
        train_run(shards, tmp_path, **{**first, **changes})
    if reason is None:
        assert "resuming from" in caplog.text
    else:
        assert f"of another run, starting anew: {reason}" in caplog.text
        assert "resuming from" not in caplog.text and "epoch 1/" in caplog.text


def test_changed_code_and_other_shards_start_anew(
    shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthetic import random_graphs, write_shards

    run = {"experiment": "e", "architecture": "delta_coupling", "seed": 0, "settings": run_settings(epochs=1)}
    train_run(shards, tmp_path / "run", **run)
    others = write_shards(tmp_path, random_graphs(24, seed=9))
    train_run(others, tmp_path / "run", **run)
    assert "starting anew: shard 0.h5 was" in caplog.text
    monkeypatch.setattr("psigraph.training.settings.code_digest", lambda: "other")
    train_run(others, tmp_path / "run", **run)
    assert "starting anew: the code that trains was changed" in caplog.text


def test_damaged_last_checkpoint_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, _ = contrary()
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    state, _ = fit_stub(tmp_path, Stub(), train, epochs=2)
    assert "last.ckpt cannot be read" in caplog.text and "starting anew" in caplog.text and len(state.history) == 2
