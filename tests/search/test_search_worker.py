"""A job of a search on real training: what it records, what fails, what a kill costs, what makes another study."""

import csv
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import DYING, run_settings
from synthetic import random_graphs, write_shards

from psigraph.config.searches import Search
from psigraph.search.study import SearchError
from psigraph.search.worker import Job, study_digest, train_trial, work
from psigraph.stores import StoreError
from psigraph.training.checkpoint import load_model

SPACE = {"training.lr": {"low": 1e-3, "high": 1e-2, "log": True}, "hyperparameters.hidden": [4, 8]}


def search(**changes: Any) -> Search:
    entry = {"experiment": "delta", "architecture": "delta_coupling", "space": SPACE, "trials": 2, "epochs": 2}
    return Search.model_validate({**entry, **changes})


def job(shards: list[Path], training: dict[str, Any] | None = None, **changes: Any) -> Job:
    settings = run_settings(**{"execution": "torch", "epochs": 50, **(training or {})})
    return Job(search(**changes), settings, shards)


def trials(path: Path) -> list[dict[str, Any]]:
    """What a worker's file says of its trials, without their times."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(path.read_text())["trials"]]


def history(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_trials_are_runs_compared_by_validation(shards: list[Path], tmp_path: Path) -> None:
    made = job(shards)
    work(made, 0, tmp_path / "worker0.json")
    content = json.loads((tmp_path / "worker0.json").read_text())
    folder = tmp_path / content["study"]
    assert content["study"] == study_digest(made) and content["worker"] == 0
    for row in content["trials"]:
        trial = folder / "trials" / str(row["number"])
        meta = load_model(trial / "final_model_delta_learning.pt").meta
        assert meta["training"]["lr"] == row["values"]["training.lr"] and meta["training"]["epochs"] == 2
        assert meta["hyperparameters"]["hidden"] == row["values"]["hyperparameters.hidden"]
        found = [float(line["val_mape"]) for line in history(trial)]
        assert row["value"] == row["cost"] == min(found) and found[row["best_epoch"] - 1] == row["value"]
        assert row["monitor"] == "validation mape" and row["state"] == "complete" and row["epochs_run"] == 2
        assert not (trial / "last.ckpt").exists(), "nothing is left to be resumed"
    assert [row["number"] for row in content["trials"]] == [0, 1]


def test_validation_alone_decides(shards: list[Path], tmp_path: Path) -> None:
    """With other labels for the test samples a trial comes to the same; with others for the validation it does not."""
    made = job(shards)
    values = {"training.lr": 5e-3, "hyperparameters.hidden": 4}
    facts = {}
    facts["whole"] = train_trial(made, values, tmp_path / "whole")
    with open(tmp_path / "whole/split.csv", newline="") as file:
        sides = [line["split"] for line in csv.DictReader(file)]
    for side in ("test", "validation"):
        graphs = [
            replace(graph, y=graph.y + 9, y_true_vref=graph.y_true_vref + 9) if found == side else graph
            for graph, found in zip(random_graphs(16), sides, strict=True)
        ]
        (tmp_path / side).mkdir()
        changed = replace(made, shards=write_shards(tmp_path / side, graphs))
        facts[side] = train_trial(changed, values, tmp_path / side / "run")
    assert sides.count("test") > 1 and facts["test"]["value"] == facts["whole"]["value"] != facts["validation"]["value"]


def test_failed_trials_are_recorded_with_their_reason(
    shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = job(shards, sampler="grid", space={"training.lr": [5e-3, 1e30]})
    with caplog.at_level(logging.INFO, logger="psigraph"):
        work(made, 0, tmp_path / "worker0.json")
    rows = {row["values"]["training.lr"]: row for row in trials(tmp_path / "worker0.json")}
    assert rows[5e-3]["state"] == "complete" and rows[1e30]["state"] == "failed" and rows[1e30]["cost"] is None
    assert "TrainingError: epoch" in rows[1e30]["reason"] and "batches failed" in rows[1e30]["reason"]
    assert f"trial {rows[1e30]['number']} failed: TrainingError" in caplog.text
    assert f"the best so far is trial {rows[5e-3]['number']}" in caplog.text


def test_all_trials_failed(shards: list[Path], tmp_path: Path) -> None:
    made = job(shards, sampler="grid", space={"training.lr": [1e29, 1e30]})
    with pytest.raises(SearchError, match="2 trials have failed and none has not; the last one: TrainingError"):
        work(made, 0, tmp_path / "worker0.json")
    assert not (tmp_path / "worker0.json").exists()


def test_what_is_wrong_with_every_trial_stops_before_the_first(shards: list[Path], tmp_path: Path) -> None:
    made = job(shards)
    wrong = {**made.settings, "graphset": {**made.settings["graphset"], "cutoff": 6.0}}
    with pytest.raises(StoreError, match="cutoff 12.0"):
        work(replace(made, settings=wrong), 0, tmp_path / "worker0.json")
    with pytest.raises(StoreError, match="no such file"):
        work(replace(made, shards=[tmp_path / "none.h5"]), 0, tmp_path / "worker0.json")
    assert list(tmp_path.iterdir()) == []


def test_more_trials_are_the_same_study_and_another_space_is_not(shards: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "worker0.json"
    work(job(shards), 0, output)
    first = trials(output)
    models = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    work(job(shards, trials=3), 0, output)
    assert trials(output)[:2] == first and len(trials(output)) == 3
    assert {path: path.stat().st_mtime_ns for path in models} == models, "finished trials are not trained again"
    digests = {
        study_digest(made)
        for made in (
            job(shards),
            job(shards, trials=9, workers=3),
            job(shards, training={"threads": 2, "log_every": 5}),
            job(shards, seed=1),
            job(shards, epochs=3),
            job(shards, space={"training.lr": [1e-3]}),
            job(shards, training={"clip_norm": 1.0}),
            job(write_shards(tmp_path, random_graphs(16, seed=1))),
        )
    }
    assert len(digests) == 6, "the first three are the same"


def arguments(made: Job, script: Path, output: Path) -> list[str]:
    options = ["--search", made.search.model_dump_json(), "--settings", json.dumps(made.settings), "--worker", "0"]
    return [sys.executable, str(script), *options, "--shards", *map(str, made.shards), "--output", str(output)]


def test_killed_search_ends_with_the_same_numbers(repository: Path, shards: list[Path], tmp_path: Path) -> None:
    """It dies in the second trial's second epoch; the first trial is kept, the second one goes on where it was."""
    made = job(shards)
    work(made, 0, tmp_path / "undisturbed/worker0.json")
    output = tmp_path / "killed/worker0.json"
    worker = repository / "scripts/search_worker.py"
    with open(next(tmp_path.rglob("trials/0/split.csv")), newline="") as file:
        batches = -(-sum(line["split"] == "train" for line in csv.DictReader(file)) // 4)
    dying = tmp_path / "dying.py"
    dying.write_text(DYING.format(call=3 * batches + 2, signal="SIGKILL", script=str(worker)))
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    options: dict[str, Any] = {"env": environment, "capture_output": True, "text": True}
    killed = subprocess.run(arguments(made, dying, output), **options)
    assert killed.returncode != 0 and not output.exists(), killed.stderr
    resumed = subprocess.run(arguments(made, worker, output), **options)
    assert resumed.returncode == 0, resumed.stderr
    assert "trial 0 begins" not in resumed.stderr and "trial 1 goes on" in resumed.stderr
    assert "resuming from" in resumed.stderr and "epoch 1/2" not in resumed.stderr
    assert trials(output) == trials(tmp_path / "undisturbed/worker0.json")
