"""The family `affinity` from posed ligands to the report, and what an edit of its settings reruns."""

import csv
import shutil
from pathlib import Path

import pytest
from running import copy_repository, finish, planned

from psigraph.structures.sources import StructureError, openmm_systems_folder

pytestmark = pytest.mark.workflow

TINY = "tests/configs/tiny_affinity.yaml"
AFTER_SHARDS = {"train", "evaluate", "compare", "html_report"}


@pytest.fixture(scope="session")
def complexes(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the workflow of complexes has run; read it, never change it."""
    try:
        openmm_systems_folder()
    except StructureError as error:
        pytest.skip(str(error))
    folder = copy_repository(repository, tmp_path_factory.mktemp("complexes") / "psigraph")
    finish(folder, "all", config=TINY)
    return folder


@pytest.fixture
def edited(complexes: Path, tmp_path: Path) -> Path:
    """A copy of that run that a test may change."""
    return Path(shutil.copytree(complexes, tmp_path / "psigraph", symlinks=True))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def edit(folder: Path, old: str, new: str) -> dict[str, int]:
    """Change the configuration and return what would run, by rule."""
    config = folder / TINY
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return planned(finish(folder, "-n", "all", config=TINY))


def test_metrics_stand_beside_all_floors(complexes: Path) -> None:
    summary = rows(complexes / "results/report/summary.csv")
    found = {row["architecture"] for row in summary if row["experiment"] == "targets" and row["split"] == "test"}
    assert {"transformer_cnn", "hybrid_cnn_gnn", "floor:mean", "floor:forest", "floor:ligand", "floor:protein"} <= found
    kinds = {(row["experiment"], row["split_kind"]) for row in summary}
    assert {("targets", "group"), ("ligands", "random")} <= kinds


def test_no_target_stands_on_two_sides(complexes: Path) -> None:
    sides: dict[str, set[str]] = {}
    for row in rows(complexes / "results/models/targets/transformer_cnn/seed1/split.csv"):
        sides.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values()) and len(sides) == 8


def test_a_finished_run_has_nothing_left_to_do(complexes: Path) -> None:
    assert "Nothing to be done" in finish(complexes, "-n", "all", config=TINY)


@pytest.mark.parametrize(
    ("old", "new"), [("pocket_radius: 6.0", "pocket_radius: 5.0"), ("contact_cutoff: 4.5", "contact_cutoff: 4.0")]
)
def test_an_edited_radius_rebuilds_shards_and_prepares_no_protein(edited: Path, old: str, new: str) -> None:
    jobs = edit(edited, old, new)
    assert set(jobs) >= {"graph_shard", *AFTER_SHARDS} and "structures" not in jobs
    assert jobs["graph_shard"] == 2 and jobs["train"] == 5


def test_what_the_job_is_given_redoes_the_pages_alone(edited: Path) -> None:
    jobs = edit(edited, "batches: 1}", "batches: 1, threads: 2, memory_mb: 3000, runtime_min: 90}")
    assert not {"structures", "graph_shard", "train", "evaluate", "compare"} & set(jobs)


def test_an_edited_width_trains_again_and_rebuilds_no_shard(edited: Path) -> None:
    jobs = edit(edited, "width: 2.0, dim", "width: 1.5, dim")
    assert set(jobs) >= AFTER_SHARDS and not {"graph_shard", "structures"} & set(jobs)
    assert jobs["train"] == 3, "the runs of transformer_cnn"
