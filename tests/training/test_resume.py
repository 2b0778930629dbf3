"""Killed runs: SIGKILL in the middle of training, early stopping across a kill, and last.ckpt that does not fit."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Stub, dying_script, fit_stub, run_settings, samples

from psigraph.training.checkpoint import write_torch
from psigraph.training.engine import train_run
from psigraph.training.resume import KEY, find_resumable

EPOCHS = 8
NAMES: dict[str, Any] = {"experiment": "delta", "architecture": "delta_coupling", "seed": 3}


def arguments(shards: list[Path], folder: Path, settings: dict[str, Any]) -> list[str]:
    return [
        *("--experiment", "delta", "--seed", "3", "--architecture", "delta_coupling"),
        *("--settings", json.dumps(settings), "--output-dir", str(folder), "--shards", *map(str, shards)),
    ]


@pytest.mark.parametrize(("number", "status", "done"), [(signal.SIGKILL, -signal.SIGKILL, 6), (signal.SIGTERM, 1, 7)])
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "clip_norm": 0.5, "schedule": "warm_restarts"}])
def test_killed_in_the_middle_of_an_epoch_ends_with_the_same_bytes(
    repository: Path,
    shards: list[Path],
    tmp_path: Path,
    number: signal.Signals,
    status: int,
    done: int,
    options: dict[str, Any],
) -> None:
    """At batch 7 of 16 in epoch 5, with augmentation. SIGKILL loses that batch; SIGTERM lets it end and saves it."""
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    minutes = 1e-9 if number == signal.SIGKILL else 60
    settings = run_settings(epochs=EPOCHS, patience=EPOCHS, batch_size=1, checkpoint_minutes=minutes, **options)
    script, rest = repository / "scripts/train.py", arguments(shards, tmp_path / "killed", settings)
    dying = dying_script(tmp_path / "dying.py", repository, 4 * 16 + 7, number)
    first = subprocess.run([sys.executable, dying, *rest], stderr=subprocess.PIPE, text=True, env=environment)
    assert first.returncode == status and "epoch 4/" in first.stderr and "epoch 5/" not in first.stderr
    left = torch.load(tmp_path / "killed/last.ckpt", weights_only=True)
    assert (left["epochs"], left["batches"]) == (4, done)
    assert not (tmp_path / "killed/final_model_delta_learning.pt").exists()

    again = subprocess.run([sys.executable, script, *rest], stderr=subprocess.PIPE, text=True, env=environment)
    assert again.returncode == 0 and f"after epoch 4 and batch {done} of the next" in again.stderr
    assert "epoch 4/" not in again.stderr and "epoch 5/" in again.stderr
    undisturbed = train_run(shards, tmp_path / "whole", settings=settings, **NAMES)
    assert (tmp_path / "killed/final_model_delta_learning.pt").read_bytes() == undisturbed.read_bytes()
    assert history(tmp_path / "killed") == history(tmp_path / "whole")
    assert len(history(tmp_path / "killed")) == EPOCHS + 1


def history(folder: Path) -> list[list[str]]:
    """The learning history without its last columns, which tell of time."""
    return [line.split(",")[:-2] for line in (folder / "history.csv").read_text().splitlines()]


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


class Noisy(Fragile):
    """A fragile stub with random numbers in training."""

    def __init__(self, dies_at: int = -1) -> None:
        super().__init__(dies_at)

    def forward(self, data: Any) -> torch.Tensor:
        out = super().forward(data)
        return out * (1 + torch.rand(())) if self.training else out


def contrary() -> tuple[list[Any], list[Any]]:
    """A training and a validation set that want opposite things: epoch 1 is the best."""
    train, validation = samples(4), samples(4)
    for s in validation:
        s.y_true_vref = s.u[:, 2] + 5
    return train, validation


@pytest.mark.parametrize("every_batch", [True, False])
@pytest.mark.parametrize("dies_at", [1, 2, 4, 5, 9, 12, 16, 17, 20, 30])
def test_best_weights_and_patience_survive(tmp_path: Path, dies_at: int, every_batch: bool) -> None:
    """Eight calls an epoch (four training, four validation), stopped after five epochs; killed in every phase."""
    train, validation = contrary()
    options = {"epochs": 30, "patience": 4, "monitor": "mae", "lr": 0.01, "ema_decay": 0.3}
    options["checkpoint_minutes"] = 1e-9 if every_batch else 60
    undisturbed = Stub()
    expected, _ = fit_stub(tmp_path / "whole", undisturbed, train, validation, **options)
    assert len(expected.history) == 5 and expected.best_epoch == 1
    with pytest.raises(Killed):
        fit_stub(tmp_path / "killed", Fragile(dies_at), train, validation, **options)
    model = Stub()
    state, _ = fit_stub(tmp_path / "killed", model, train, validation, **options)
    assert (state.best_epoch, state.best_value, state.stopped) == (1, expected.best_value, expected.stopped)
    timeless = [{k: v for k, v in row.items() if k not in ("seconds", "graphs_per_s")} for row in state.history]
    assert [row | timeless[k] for k, row in enumerate(expected.history)] == expected.history
    assert len(state.history) == 5 and state.graphs == 20
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
    """Killed while writing: the checkpoint before is still whole."""
    path = tmp_path / "last.ckpt"
    write_torch(path, {KEY: {"run": "1"}, "epochs": 1})

    def killed(*args: Any) -> None:
        raise Killed

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        write_torch(path, {KEY: {"run": "1"}, "epochs": 2})
    found = find_resumable(path, {"run": "1"})
    assert found is not None and found["epochs"] == 1


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({KEY: {}, "x": Killed()}, tmp_path / "last.ckpt")
    assert find_resumable(tmp_path / "last.ckpt", {}) is None
    assert "cannot be read (UnpicklingError); starting anew" in caplog.text


def test_random_numbers_of_a_model_survive(tmp_path: Path) -> None:
    """A model with dropout, killed in every phase of its second epoch."""
    train, _ = contrary()
    whole = Noisy()
    fit_stub(tmp_path / "whole", whole, train, epochs=3)
    for dies_at in (5, 6, 7, 8):
        folder = tmp_path / str(dies_at)
        options = {"epochs": 3, "checkpoint_minutes": 1e-9}
        with pytest.raises(Killed):
            fit_stub(folder, Noisy(dies_at), train, **options)
        torch.manual_seed(dies_at)
        model = Noisy()
        fit_stub(folder, model, train, **options)
        assert torch.equal(model.a, whole.a) and torch.equal(model.b, whole.b)
    fit_stub(tmp_path / "still", still := Stub(), train, epochs=3)
    assert not torch.equal(still.b, whole.b)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": run_settings(epochs=2, lr=1e-4)}, "training.lr was 0.005, is 0.0001"),
        ({"settings": run_settings(epochs=3)}, "training.epochs was 2, is 3"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"settings": run_settings(epochs=2, log_every=2, memory_mb=900, accumulate=2)}, None),
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
