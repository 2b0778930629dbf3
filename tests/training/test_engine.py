"""A whole training job: its files, its splits, its precision, its errors."""

import csv
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import run_settings
from synthetic import random_graphs, write_shards

from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.models.delta_coupling import DeltaCoupling
from psigraph.stores import StoreError
from psigraph.training.checkpoint import load_model
from psigraph.training.device import DeviceError
from psigraph.training.engine import train_run

NAMES: dict[str, Any] = {"experiment": "delta", "architecture": "delta_coupling", "seed": 0}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def with_split(**split: Any) -> dict[str, Any]:
    return {**run_settings(epochs=1), "split": split}


def test_files_of_a_run(shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="psigraph"):
        path = train_run(shards, tmp_path, settings=run_settings(epochs=2), **NAMES)
    assert path == tmp_path / "final_model_delta_learning.pt"
    assert {p.name for p in tmp_path.iterdir()} == {
        *("final_model_delta_learning.pt", "history.csv", "split.csv", "training.json", "last.ckpt")
    }
    split = rows(tmp_path / "split.csv")
    assert list(split[0]) == ["index", "id", "group", "system", "split"]
    assert [row["id"] for row in split] == [f"dimer-{i}" for i in range(24)]
    sides: dict[str, set[str]] = {}
    for row in split:
        sides.setdefault(row["group"], set()).add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    record = json.loads((tmp_path / "training.json").read_text())
    model = load_model(path).model
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert (record["device"], record["precision"], record["epochs_run"]) == ("cpu", "float32", 2)
    assert record["execution"] in ("kernel", "torch")
    assert record["processes"] == 1 and record["graphs_per_s"] > 0
    assert record["peak_memory_mib"] > 50 and record["peak_gpu_memory_mib"] is None
    assert record["stopped_reason"] == "all epochs done" and record["bad_batches"] == 0 and record["notes"] == []
    assert "on cpu in float32: 16 train, 4 validation, 4 test samples" in caplog.text


def test_same_seed_same_bytes_other_seed_other_weights(shards: list[Path], tmp_path: Path) -> None:
    runs = [
        train_run(shards, tmp_path / name, settings=run_settings(epochs=2), **{**NAMES, "seed": seed})
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert runs[0].read_bytes() == runs[1].read_bytes() != runs[2].read_bytes()
    assert rows(runs[0].parent / "split.csv") != rows(runs[2].parent / "split.csv")


@pytest.mark.parametrize("changes", [{}, {"rotate": True}, {"jitter": 0.05}], ids=["none", "rotate", "jitter"])
def test_only_training_samples_are_augmented_and_afresh_each_epoch(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    seen: dict[bool, dict[int, list[torch.Tensor]]] = {True: {}, False: {}}
    original = DeltaCoupling.forward

    def spy(self: DeltaCoupling, data: Any) -> torch.Tensor:
        for k, index in enumerate(data.index.tolist()):
            seen[self.training].setdefault(index, []).append(data.pos_atoms[data.z_atoms_batch == k].clone())
        return original(self, data)

    monkeypatch.setattr(DeltaCoupling, "forward", spy)
    settings = run_settings(epochs=2, execution="torch", **{"rotate": False, "jitter": 0.0, **changes})
    train_run(shards, tmp_path, settings=settings, **NAMES)
    stored = CachedDimerDataset(shards)
    assert (len(seen[True]), len(seen[False])) == (16, 4) and not set(seen[True]) & set(seen[False])
    for training, by_index in seen.items():
        for index, (first, second) in by_index.items():
            original_positions = stored[index].pos_atoms
            augmented = training and bool(changes)
            assert torch.equal(first, original_positions) != augmented
            assert torch.equal(first, second) != augmented
            same_shape = torch.allclose(torch.cdist(first, first), torch.cdist(*[original_positions] * 2), atol=1e-5)
            assert same_shape == (not augmented or "rotate" in changes)


def test_split_by_system_and_by_fold(shards: list[Path], tmp_path: Path) -> None:
    train_run(shards, tmp_path / "s", settings=with_split(by="system", validation=0.25, test=0.25), **NAMES)
    assert [row["split"] for row in rows(tmp_path / "s/split.csv")].count("test") == 6  # 24 systems, 12 groups
    tested: list[str] = []
    for seed in range(3):
        train_run(shards, tmp_path / str(seed), settings=with_split(folds=3), **{**NAMES, "seed": seed})
        tested += [row["id"] for row in rows(tmp_path / f"{seed}/split.csv") if row["split"] == "test"]
    assert sorted(tested) == sorted(f"dimer-{i}" for i in range(24))


def test_empty_validation_and_test_are_legal_and_said(
    shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = train_run(shards, tmp_path, settings=with_split(validation=0.0, test=0.0), **NAMES)
    notes = json.loads((tmp_path / "training.json").read_text())["notes"]
    assert "validation set empty" in notes[0] and "test set empty" in notes[1]
    assert "the validation set is empty" in caplog.text and "the test set is empty" in caplog.text
    meta = load_model(path).meta
    assert meta["monitor"] == "training loss" and meta["best_epoch"] is None


def test_final_weights_are_the_best_or_the_last(shards: list[Path], tmp_path: Path) -> None:
    with_validation = train_run(shards, tmp_path / "a", settings=run_settings(epochs=3), **NAMES)
    last = torch.load(tmp_path / "a/last.ckpt", weights_only=True)
    kept = load_model(with_validation).model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in last["recorder"]["best_weights"].items())
    without = train_run(shards, tmp_path / "b", settings=with_split(validation=0.0), **NAMES)
    last = torch.load(tmp_path / "b/last.ckpt", weights_only=True)["run"]["model"]
    assert all(torch.equal(v, last[name]) for name, v in load_model(without).model.state_dict().items())


def test_empty_training_split_is_an_error(tmp_path: Path) -> None:
    empty = write_shards(tmp_path, [], shards=1)
    with pytest.raises(ValueError, match="the training split is empty"):
        train_run(empty, tmp_path / "run", settings=run_settings(), **NAMES)
    assert not (tmp_path / "run").exists()


def test_shards_of_another_cutoff_are_refused(shards: list[Path], tmp_path: Path) -> None:
    settings = run_settings()
    settings["graphset"]["cutoff"] = 6.0
    with pytest.raises(StoreError, match=r"cutoff 12.0 Å, but this run asks for 6.0 Å; rebuild the shards with"):
        train_run(shards, tmp_path / "run", settings=settings, **NAMES)
    assert not (tmp_path / "run").exists()


def test_unknown_architecture_and_setting(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown architecture 'delta_copling' .did you mean 'delta_coupling'"):
        train_run(shards, tmp_path, settings=run_settings(), **{**NAMES, "architecture": "delta_copling"})
    with pytest.raises(ValueError, match="settings of the run: training.epochs: .*got 0"):
        train_run(shards, tmp_path, settings=run_settings(epochs=0), **NAMES)
    settings = run_settings()
    settings["hyperparameters"] = {"layers": 3}
    with pytest.raises(ValueError, match="layers"):
        train_run(shards, tmp_path, settings=settings, **NAMES)


def test_cluster_job_without_gpu_is_refused(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.delenv("PSIGRAPH_ALLOW_CPU", raising=False)
    with pytest.raises(DeviceError, match="Slurm job 12"):
        train_run(shards, tmp_path / "run", settings=run_settings(epochs=1), gpus=1, **NAMES)
    monkeypatch.setenv("PSIGRAPH_ALLOW_CPU", "1")
    assert train_run(shards, tmp_path / "run", settings=run_settings(epochs=1), gpus=1, **NAMES).exists()


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_other_precisions(shards: list[Path], tmp_path: Path, precision: str) -> None:
    path = train_run(shards, tmp_path, settings=run_settings(epochs=2, precision=precision), **NAMES)
    model = load_model(path).model
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in model.parameters()} == {expected}
    losses = [float(row["train_loss"]) for row in rows(tmp_path / "history.csv")]
    assert losses[1] < losses[0]
    assert json.loads((tmp_path / "training.json").read_text())["precision"] == precision


def test_compiling_that_fails_is_not_fatal(shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psigraph.training.execution.compile_backend", lambda platform: "no-such-backend")
    path = train_run(shards, tmp_path / "c", settings=run_settings(epochs=1, execution="compile"), **NAMES)
    eager = train_run(shards, tmp_path / "e", settings=run_settings(epochs=1, execution="torch"), **NAMES)
    first, second = (load_model(p).model.state_dict() for p in (path, eager))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert "compile failed" in json.loads((tmp_path / "c/training.json").read_text())["notes"][0]


def test_another_unit_is_carried_through(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing assumes kcal/mol: V in meV, V_0 = 0, no quantum features."""
    from synthetic import SETTINGS

    graphs = []
    for graph in random_graphs(12):
        u = graph.u.copy()
        u[2] = u[3] = 0.0
        graphs.append(
            replace(graph, u=u, y=40 * graph.y, y_true_vref=40 * graph.y, atomic_node_attr=0 * graph.pos_atoms)
        )
    shards = write_shards(tmp_path, graphs, settings=replace(SETTINGS, unit="meV", v0="zero"))
    settings = run_settings(epochs=2)
    settings["graphset"] |= {"unit": "meV", "v0": "zero"}
    with caplog.at_level(logging.INFO):
        path = train_run(shards, tmp_path / "run", settings=settings, **NAMES)
    assert load_model(path).meta["graphset"]["unit"] == "meV"
    assert "training loss" in caplog.text and " meV, learning rate" in caplog.text and "kcal" not in caplog.text


def test_script_reports_one_line_and_fails(repository: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [
            *(sys.executable, str(repository / "scripts/train.py"), "--experiment", "delta", "--seed", "0"),
            *("--architecture", "delta_coupling", "--settings", json.dumps(run_settings())),
            *("--shards", str(tmp_path / "none.h5"), "--output-dir", str(tmp_path / "run")),
        ],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(repository / "src"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 1 and not (tmp_path / "run").exists()
    assert "none.h5: no such file" in result.stderr and "Traceback" not in result.stderr
