"""The family `regional` from molecules to the leaderboard, and what an edit of its cutoffs reruns."""

import csv
import shutil
from pathlib import Path

import h5py
import pytest
from running import copy_repository, finish, planned

pytestmark = pytest.mark.workflow

TINY = "tests/configs/tiny_regional.yaml"


@pytest.fixture(scope="session")
def molecules(psi4: None, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the workflow of molecules has run; read it, never change it."""
    folder = copy_repository(repository, tmp_path_factory.mktemp("molecules") / "psigraph")
    finish(folder, "all", config=TINY)
    return folder


@pytest.fixture
def edited(molecules: Path, tmp_path: Path) -> Path:
    """A copy of that run that a test may change."""
    return Path(shutil.copytree(molecules, tmp_path / "psigraph", symlinks=True))


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("results/quantum/*/tiny/*.h5")):
        with h5py.File(path) as file:
            found[f"{path.parts[-3]}/{path.name}"] = str(file.attrs["digest"])
    return found


def leaderboard(folder: Path) -> list[dict[str, str]]:
    with open(folder / "results/report/leaderboard.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_leaderboard_has_every_run_beside_its_floors(molecules: Path) -> None:
    rows = leaderboard(molecules)
    keys = ("experiment", "architecture", "variant", "pretraining", "target")
    runs = [
        ("regional", "pamnet", "", ""),
        ("regional", "tiered_heads", "", ""),
        ("regional", "tiered_heads", "no_quantum", ""),
        ("started", "pamnet", "", "told_apart"),
        ("from_orbitals", "wavefunction_messages", "", "orbitals"),
    ]
    found = {tuple(row[key] for key in keys) for row in rows if row["metric"] == "mae"}
    assert {(*run, target) for run in runs for target in ("u0", "gap")} <= found
    for row in rows:
        for column in ("value", "floor:mean", "floor:composition", "parameters", "graphs_per_s", "peak_memory_mib"):
            assert float(row[column]) > 0, (row["architecture"], column)


def test_pretrainings_are_rated_beside_their_floors(molecules: Path) -> None:
    for run, target, metric, floor in (
        ("told_apart/pamnet", "contrast", "accuracy", "floor:chance"),
        ("orbitals/wavefunction_messages", "npa_charge", "mae", "floor:mean"),
        ("orbitals/wavefunction_messages", "mayer_index", "mae", "floor:mean"),
    ):
        with open(molecules / f"results/evaluation/{run}/seed0/metrics.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if (row["split"], row["metric"]) == ("test", metric)]
        found = {row["architecture"]: float(row["value"]) for row in rows if row["target"] == target}
        assert set(found) == {run.split("/")[1], floor} and min(found.values()) > 0, run


def test_finished_run_has_nothing_left_to_do(molecules: Path) -> None:
    assert "Nothing to be done" in finish(molecules, "-n", "all", config=TINY)


@pytest.mark.parametrize(("old", "new"), [("cutoff: 4.0", "cutoff: 3.0"), ("region_cutoff: 8.0", "region_cutoff: 6.0")])
def test_cutoff_edit_plans_graphs_and_what_follows_but_no_psi4(edited: Path, old: str, new: str) -> None:
    config = edited / TINY
    text = config.read_text()
    assert f"    {old}\n" in text
    config.write_text(text.replace(f"    {old}\n", f"    {new}\n"))
    jobs = planned(finish(edited, "-n", "all", config=TINY))
    assert {"graph_shard", "train", "evaluate", "compare", "html_report", "leaderboard"} <= set(jobs)
    assert not {"quantum", "descriptors", "structures", "psi4"} & set(jobs)
    assert jobs["graph_shard"] == 2 and jobs["train"] == 7, "of one graphset, and the run that starts from one of it"


def test_run_after_cutoff_edit_keeps_quantum(edited: Path) -> None:
    before = digests(edited)
    config = edited / TINY
    config.write_text(config.read_text().replace("    region_cutoff: 8.0\n", "    region_cutoff: 3.0\n"))
    finish(edited, "graphs", config=TINY)
    assert digests(edited) == before and len(before) == 2
    for path in edited.glob("results/graphs/molecules/*.h5"):
        with h5py.File(path) as file:
            assert file.attrs["region_cutoff"] == 3.0
