"""Searches for hyperparameters and the learning-rate finder as rules: parallel, killed and resumed, and edited."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import TINY, copy_repository, finish, logs, planned, run_and_kill, snakemake

pytestmark = pytest.mark.workflow

CONFIG = """
datasets:
  small: {source: qm9, max_heavy_atoms: 4, max_structures: 30, batches: 1}

levels:
  tiny: {method: hf, basis: sto-3g}

graphsets:
  molecules: {family: regional, datasets: [small], level: tiny, computed: [], cutoff: 4.5, shards: 2}

experiments:
  regional:
    graphset: molecules
    targets: [u0, gap]
    seeds: [0]
    split: {by: group, validation: 6, test: 6}
    architectures: {pamnet: {dim: 8, layers: 1}}
    training: {epochs: 4, batch_size: 4, log_every: 1}

searches:
  rates:
    experiment: regional
    architecture: pamnet
    trials: 3
    workers: 2
    epochs: 6
    space:
      training.lr: {low: 1e-4, high: 1e-2, log: true}
      hyperparameters.dim: [8, 16]
"""


def prepared(folder: Path) -> Path:
    """Make the search's configuration the one that is run."""
    (folder / TINY).write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def searched(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which both workers have run at the same time; read it, never change it."""
    folder = prepared(copy_repository(repository, tmp_path_factory.mktemp("searched") / "psigraph"))
    finish(folder, "search", "find_lr", "--resources", "gpu=2")
    return folder


@pytest.fixture
def edited(searched: Path, tmp_path: Path) -> Path:
    """A copy of that run that a test may change."""
    return Path(shutil.copytree(searched, tmp_path / "psigraph", symlinks=True))


def trials(folder: Path) -> list[dict[str, str]]:
    """The table of trials without times and without who ran them."""
    with open(folder / "results/search/rates/trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in ("seconds", "worker")} for row in rows]


def test_search_finds_and_draws(searched: Path) -> None:
    rows = trials(searched)
    assert [row["number"] for row in rows] == ["0", "1", "2"] and {row["state"] for row in rows} == {"complete"}
    assert {row["monitor"] for row in rows} == {"validation mae"} and {row["epochs_run"] for row in rows} == {"6"}
    for plot in ("search/rates/history", "search/rates/slices"):
        assert (searched / f"results/plots/{plot}.png").stat().st_size > 5000
    for end in ("csv", "png"):
        assert (searched / f"results/lr/regional/pamnet.{end}").exists()
    assert not list(searched.glob("results/models/*")), "a search trains nothing but its trials"


def test_finished_search_has_nothing_left_to_do(searched: Path) -> None:
    assert "Nothing to be done" in finish(searched, "-n", "search", "find_lr")


def test_best_trial_can_be_trained(edited: Path) -> None:
    best = min(trials(edited), key=lambda row: float(row["value"]))
    found: dict[str, Any] = yaml.safe_load((edited / "results/search/rates/best.yaml").read_text())
    (experiment,) = found["experiments"].values()
    assert experiment["training"]["lr"] == float(best["training.lr"]) and experiment["training"]["epochs"] == 4
    assert experiment["architectures"]["pamnet"]["dim"] == int(best["hyperparameters.dim"])
    config = yaml.safe_load((edited / TINY).read_text())
    config["experiments"] |= found["experiments"]
    (edited / TINY).write_text(yaml.safe_dump(config))
    jobs = planned(finish(edited, "-n", "train_regional", "search"))
    assert jobs["train"] == 2 and "search_worker" not in jobs, "the experiment itself and the best of its search"


def test_killed_search_goes_on(fresh: Path, searched: Path) -> None:
    """One job at a time: whichever comes first draws all trials; it dies in the second trial's second epoch."""
    prepared(fresh)

    def log() -> str:
        return "".join(path.read_text() for path in fresh.glob("results/logs/search/rates/worker*.log"))

    run_and_kill(fresh, "search_worker.py", lambda: "epoch 2/6" in log().partition("trial 1 begins")[2], "search")
    assert "trial 0: validation mae" in log() and "trial 1: validation mae" not in log()
    finish(fresh, "search")
    assert "trial 1 goes on" in log() and "resuming from" in log() and "trial 0 begins" not in log(), logs(fresh)
    assert trials(fresh) == trials(searched)


def test_edited_space_is_another_study(edited: Path) -> None:
    (edited / TINY).write_text(CONFIG.replace("[8, 16]", "[4]"))
    jobs = planned(finish(edited, "-n", "search", "find_lr"))
    assert jobs["search_worker"] == 2 and jobs["search_report"] == 1
    assert not {"structures", "graph_shard", "train", "lr_finder"} & set(jobs)
    finish(edited, "search")
    assert {row["hyperparameters.dim"] for row in trials(edited)} == {"4"}
    assert len(list(edited.glob("results/search/rates/*/study.journal"))) == 2, "the first study is still there"


def test_more_trials_keep_the_first(edited: Path) -> None:
    before = trials(edited)
    (edited / TINY).write_text(CONFIG.replace("trials: 3", "trials: 4"))
    finish(edited, "search")
    assert trials(edited)[:3] == before and len(trials(edited)) == 4


def test_wrong_search_stops_before_the_first_job(fresh: Path) -> None:
    prepared(fresh)
    (fresh / TINY).write_text(CONFIG.replace("training.lr", "training.rate"))
    refused = snakemake(fresh, "search")
    assert refused.returncode != 0 and "searches.rates.space: training.rate" in refused.stdout
    assert not (fresh / "results/structures").exists()
