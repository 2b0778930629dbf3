"""A run killed with SIGKILL, wherever it is, is finished by the same command with the same numbers."""

from pathlib import Path

import pytest
from running import finish, run_and_kill

pytestmark = pytest.mark.workflow


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def summary(folder: Path) -> str:
    return (folder / "results/report/summary.csv").read_text()


def test_killed_inside_psi4(fresh: Path, undisturbed: Path) -> None:
    log = fresh / "results/logs/quantum/tiny/tiny/0.log"
    output = fresh / "results/quantum/tiny/tiny/0.h5"
    run_and_kill(fresh, "--batch 0", lambda: text(log).count(": computed in") >= 2 and not output.exists(), "all")
    computed = text(log).count(": computed in")
    assert computed >= 2 and not output.exists()

    finish(fresh, "all")
    again = text(log)
    assert again.count(": known") >= computed, "a finished structure was computed again"
    assert again.count(": computed in") >= 1
    assert again.count(": computed in") + again.count(": known") == 6
    assert summary(fresh) == summary(undisturbed)


def test_killed_inside_graph_building(fresh: Path, undisturbed: Path) -> None:
    log = fresh / "results/logs/graphs/tiny/1.log"
    output = fresh / "results/graphs/tiny/1.h5"
    run_and_kill(fresh, "--shard 1", lambda: "building" in text(log) and not output.exists(), "all")
    assert "building" in text(log) and "wrote" not in text(log)
    assert not output.exists()

    repeated = finish(fresh, "all")
    assert "rule graph_shard" in repeated and "rule quantum" not in repeated
    assert "wrote" in text(log)
    assert summary(fresh) == summary(undisturbed)


def test_killed_inside_training(fresh: Path, undisturbed: Path) -> None:
    log = fresh / "results/logs/train/delta/delta_coupling/seed0.log"
    model = fresh / "results/models/delta/delta_coupling/seed0/final_model_delta_learning.pt"
    run_and_kill(fresh, "train.py", lambda: "epoch 3" in text(log) and not model.exists(), "all")
    assert "epoch 3" in text(log) and not model.exists()

    repeated = finish(fresh, "all")
    assert "rule train" in repeated and "rule graph_shard" not in repeated
    assert "resum" in text(log) and "epoch 1/" not in text(log), "training started anew instead of resuming"
    assert summary(fresh) == summary(undisturbed)


def test_second_live_run_is_refused(fresh: Path) -> None:
    from running import snakemake

    refused = []

    def second() -> bool:
        refused.append(snakemake(fresh, "all"))
        return True

    run_and_kill(fresh, "structures.py", second, "all")
    assert refused[0].returncode != 0
    assert "another snakemake" in refused[0].stdout and "is writing to results/" in refused[0].stdout
