"""The cluster profile on a real Slurm: training jobs ask for a GPU, no other job does."""

import subprocess
from pathlib import Path

import pytest
import slurm_cluster
from running import command, environment, logs

pytestmark = pytest.mark.workflow


def test_training_runs_on_slurm(psi4: None, fresh: Path, tmp_path: Path) -> None:
    reason = slurm_cluster.why_not()
    if reason:
        pytest.skip(reason)
    with slurm_cluster.Cluster(tmp_path / "slurm") as cluster:
        result = subprocess.run(
            [*command("--profile", "slurm", "train_delta"), "--slurm-init-seconds-before-status-checks", "1"],
            cwd=fresh,
            env={**environment(fresh, slurm=True), "PSIGRAPH_ALLOW_CPU": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        jobs = cluster.jobs()
    assert result.returncode == 0, result.stdout + logs(fresh)
    assert (fresh / "results/models/delta/delta_coupling/seed0/final_model_delta_learning.pt").is_file()

    by_rule = {rule: [job for job in jobs if f"rule_{rule}_" in job] for rule in ("quantum", "graph_shard", "train")}
    assert [len(found) for found in by_rule.values()] == [2, 2, 1]
    assert all("JobState=COMPLETED" in job for job in jobs)
    for job in jobs:
        wants_gpu = "gres:gpu:1" in job or "gres/gpu=1" in job
        assert wants_gpu == (job in by_rule["train"]), job
        assert f"Partition={'gpu' if wants_gpu else 'cpu'}" in job
