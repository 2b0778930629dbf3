"""What Snakemake plans: targets, declared resources, and what an edit of the configuration reruns."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from running import TINY, finish, planned, snakemake

pytestmark = pytest.mark.workflow


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / TINY
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("results/quantum/tiny/tiny/*.h5")):
        with h5py.File(path) as file:
            found[path.name] = str(file.attrs["digest"])
    return found


def test_every_rule_declares_threads_memory_runtime_and_gpu(repository: Path) -> None:
    seen = 0
    for path in [repository / "Snakefile", *sorted((repository / "rules").glob("*.smk"))]:
        for block in re.split(r"^(?= *rule[ :])", path.read_text(), flags=re.MULTILINE)[1:]:
            seen += 1
            name = block.split(":")[0]
            for needed in (r"^ +threads:", r"^ +gpu=", r"^ +mem_mb=", r"^ +runtime="):
                assert re.search(needed, block, re.MULTILINE), f"{path.name}: {name} lacks {needed}"
            assert "retries:" not in block, f"{path.name}: {name}: retries belong into the cluster profile"
    assert seen > 10


def test_finished_run_leaves_nothing_but_results(undisturbed: Path, repository: Path) -> None:
    new = {path.name for path in undisturbed.iterdir()} - {path.name for path in repository.iterdir()}
    assert new <= {"results", ".snakemake", ".no-slurm"}


def test_finished_run_has_nothing_left_to_do(undisturbed: Path) -> None:
    assert "Nothing to be done" in finish(undisturbed, "-n", "all")


def test_cutoff_edit_plans_graphs_and_what_follows_but_no_psi4(finished: Path) -> None:
    edit(finished, "cutoff: 6.0", "cutoff: 3.5")
    jobs = planned(finish(finished, "-n", "all"))
    assert set(jobs) == {"all", "graph_shard", "train", "evaluate", "compare", "html_report"}
    assert jobs["graph_shard"] == 2


def test_basis_edit_plans_psi4(finished: Path) -> None:
    edit(finished, "basis: def2-svp", "basis: sto-3g")
    assert planned(finish(finished, "-n", "all"))["quantum"] == 2


def test_run_after_cutoff_edit_keeps_quantum_and_rebuilds_edges(finished: Path) -> None:
    before = digests(finished)
    edit(finished, "cutoff: 6.0", "cutoff: 3.5")
    finish(finished, "graphs")
    assert digests(finished) == before and len(before) == 2
    edges = 0
    for path in finished.glob("results/graphs/tiny/*.h5"):
        with h5py.File(path) as file:
            offsets, starts = file["offsets"][...], file["pair_offsets"][...]
            for i in range(len(offsets) - 1):
                positions = file["pos_atoms"][offsets[i] : offsets[i + 1]] / file.attrs["length_scale"]
                distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
                expected = np.argwhere(np.triu(distances <= 3.5, k=1))
                pairs = file["pairs"][starts[i] : starts[i + 1]]
                np.testing.assert_array_equal(pairs, expected)
                edges += len(pairs)
    assert edges > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cutoff: 6.0", "cutoff: -1", "graphsets.tiny.cutoff: cutoff must be above 0 and at most 50 Å, got -1.0"),
        ("cutoff: 6.0", "cutof: 6.0", "unknown key 'graphsets.tiny.cutof' (value 6.0) (did you mean 'cutoff'?)"),
        ("[A24]", "[A42]", "unknown database 'A42' (did you mean 'A24'?)"),
    ],
)
def test_bad_configuration_stops_before_the_first_job(fresh: Path, old: str, new: str, message: str) -> None:
    edit(fresh, old, new)
    result = snakemake(fresh, "all")
    assert result.returncode != 0
    assert message in result.stdout and "tiny.yaml" in result.stdout
    assert not (fresh / "results").exists()


def test_missing_psi4_says_how_to_install_it(fresh: Path) -> None:
    result = snakemake(fresh, "features", PSIGRAPH_PSI4_PYTHON="/nonexistent/python")
    assert result.returncode != 0
    assert "/nonexistent/python" in result.stdout and "apt-get install psi4" in result.stdout
    assert not list(fresh.glob("results/quantum/**/*.h5"))
