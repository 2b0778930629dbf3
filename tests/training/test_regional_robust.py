"""Runs of the family regional that are killed, short of memory, or given a batch that cannot be computed."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from regional_runs import regional_settings

from psigraph.models.pamnet import PAMNet
from psigraph.training.checkpoint import load_model
from psigraph.training.engine import train_run
from psigraph.training.module import TrainingModule

NAMES: dict[str, Any] = {"experiment": "e", "architecture": "pamnet", "seed": 0}


class Killed(BaseException):
    """Stands for a signal in the middle of an epoch."""


def timeless(folder: Path) -> list[list[str]]:
    return [line.split(",")[:-2] for line in (folder / "history.csv").read_text().splitlines()]


@pytest.mark.parametrize("dies_at", [1, 3, 8, 10, 13, 20])
def test_killed_in_either_phase_ends_with_the_same_bytes(
    molecule_shards: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: int,
) -> None:
    """4 epochs of 5 batches, of which the first two learn the contrast between regions, whose views are random."""
    names = {**NAMES, "architecture": "region_contrastive"}
    settings = regional_settings("region_contrastive", checkpoint_minutes=1e-9, ema_decay=0.9)
    whole = tmp_path_factory.getbasetemp() / "undisturbed"
    if not whole.exists():
        train_run(molecule_shards, whole, settings=settings, **names)
    original, calls = TrainingModule.training_step, 0

    def dying(self: TrainingModule, batch: Any, batch_idx: int) -> None:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            raise Killed
        original(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", dying)
    with pytest.raises(Killed):
        train_run(molecule_shards, tmp_path, settings=settings, **names)
    torch.manual_seed(dies_at)
    resumed = train_run(molecule_shards, tmp_path, settings=settings, **names)
    assert calls == 21, "one batch was begun twice"
    assert resumed.read_bytes() == (whole / resumed.name).read_bytes()
    assert timeless(tmp_path) == timeless(whole) and len(timeless(whole)) == 5


def test_too_large_batches_are_computed_in_parts(
    molecule_shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = regional_settings(epochs=2, precision="float64")
    expected = load_model(train_run(molecule_shards, tmp_path / "whole", settings=settings, **NAMES)).model.state_dict()
    original = PAMNet.encode

    def limited(self: PAMNet, batch: Any) -> Any:
        if batch.num_graphs > 2:
            raise torch.OutOfMemoryError("no room for it")
        return original(self, batch)

    monkeypatch.setattr(PAMNet, "encode", limited)
    path = train_run(molecule_shards, tmp_path / "limited", settings=settings, **NAMES)
    found = load_model(path).model.state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-10)
    assert "computed in 2 from there on" in json.loads((path.parent / "training.json").read_text())["notes"][0]


@pytest.mark.parametrize("value", [None, torch.nan])
def test_bad_batches_are_skipped_and_counted(
    molecule_shards: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    value: float | None,
) -> None:
    """An error or NaN for one molecule; the message names it."""
    original = PAMNet.forward

    def picky(self: PAMNet, batch: Any) -> Any:
        out = original(self, batch)
        if self.training and 3 in batch.index.tolist():
            if value is None:
                raise ValueError(f"cannot digest {batch.graph_id[batch.index.tolist().index(3)]}")
            out.labels = out.labels * value
        return out

    monkeypatch.setattr(PAMNet, "forward", picky)
    settings = regional_settings(epochs=2, max_bad_batches=0.3, split={"validation": 0.1, "test": 0.0})
    with caplog.at_level(logging.WARNING):
        path = train_run(molecule_shards, tmp_path, settings=settings, **NAMES)
    assert json.loads((tmp_path / "training.json").read_text())["bad_batches"] == 2
    assert ("cannot digest m6" if value is None else "the loss is nan") in caplog.text
    assert all(torch.isfinite(p).all() for p in load_model(path).model.parameters())
