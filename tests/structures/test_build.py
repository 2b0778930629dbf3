import json
import subprocess
import sys

import h5py
import pytest

from psigraph.config import XyzFolder, load_config
from psigraph.structures.build import build_structures, load_dataset
from psigraph.structures.checks import check_structure
from psigraph.structures.reading import RowError, count_kinds, read_rejected
from psigraph.structures.sources import StructureError, raw_files
from psigraph.structures.store import read_structures


@pytest.fixture
def folder(tmp_path, dimer, xyz_text):
    """Ten water dimers, one of them twice, and two rows that cannot be read."""
    raw = tmp_path / "raw"
    raw.mkdir()
    labels = ["id,Vref_eV"]
    for n in range(10):
        (raw / f"w{n}.xyz").write_text(xyz_text(dimer(r=3.0 + n / 10)))
        labels.append(f"w{n},{-n}")
    (raw / "copy.xyz").write_text((raw / "w3.xyz").read_text())
    labels += ["copy,1", "gone,1", "w9,"]
    (raw / "labels.csv").write_text("\n".join(labels) + "\n")
    return raw


def dataset(folder, **settings) -> XyzFolder:
    return XyzFolder(source="xyz_folder", path=folder, **settings)


def test_store_rejected_rows_and_counts(folder, tmp_path, caplog):
    store, rejected = tmp_path / "out/s.h5", tmp_path / "out/s.rejected.csv"
    with caplog.at_level("INFO"):
        counts = build_structures(dataset(folder, max_per_group=4), "mine", store, rejected)
    assert counts == {
        "rows": 13, "structures": 4, "groups": 1, "unreadable": 2, "not selected": 6, "identical": 1
    }  # fmt: skip
    assert "mine: 13 rows, 4 structures, 1 groups, 2 unreadable, 6 not selected, 1 identical" in caplog.text
    read = read_structures(store)
    assert (read.ids.tolist(), set(read.group), read.unit) == (["w0", "w3", "w6", "w9"], {"O | O"}, "eV")
    rows = read_rejected(rejected)
    assert rejected.read_text().splitlines()[0] == "source,row,id,reason"
    assert count_kinds(rows) == {"unreadable": 2, "not selected": 6, "identical": 1}
    assert {r.id: r.reason for r in rows}["copy"] == "identical geometry to w3"
    assert {r.id: r.reason for r in rows}["w1"] == "not selected: beyond max_per_group 4"
    with h5py.File(store) as file:
        assert set(json.loads(file.attrs["inputs"])) == {f.name for f in raw_files("xyz_folder", path=folder)}


def test_two_runs_and_a_moved_folder_give_the_same_digest(folder, tmp_path):
    build_structures(dataset(folder), "one", tmp_path / "1.h5", tmp_path / "1.csv")
    moved = folder.rename(tmp_path / "raw2")
    build_structures(dataset(moved, batches=5, max_rejected=0.9), "other", tmp_path / "2.h5", tmp_path / "2.csv")
    assert read_structures(tmp_path / "1.h5").digest == read_structures(tmp_path / "2.h5").digest
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_too_many_unreadable_rows_stop_and_leave_nothing(folder, tmp_path):
    store, rejected = tmp_path / "out/s.h5", tmp_path / "out/s.rejected.csv"
    with pytest.raises(
        StructureError, match="mine: 2 of 13 rows cannot be used, more than max_rejected 0.1; most frequ"
    ):
        build_structures(dataset(folder, max_rejected=0.1), "mine", store, rejected)
    assert [f.name for f in tmp_path.iterdir()] == ["raw"]


def test_rows_left_out_by_a_setting_do_not_count_as_unreadable(folder):
    result = load_dataset(dataset(folder, max_per_group=1, max_rejected=0.2), "mine")
    assert len(result.structures) == 1


def test_a_dataset_without_rows_or_without_survivors_is_an_error(folder):
    (folder / "labels.csv").write_text("id,Vref_eV\n")
    with pytest.raises(StructureError, match="mine: the dataset has no rows"):
        load_dataset(dataset(folder), "mine")
    (folder / "labels.csv").write_text("id,Vref_eV\ngone,1\n")
    with pytest.raises(
        StructureError, match=r"no structure is left; most frequent: file: no file .* \(1×, first labels"
    ):
        load_dataset(dataset(folder, max_rejected=1.0), "mine")


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"v_ref": float("nan")}, "the reference value is nan"),
        ({"r": 0.05}, r"atoms \d and \d are 0\.05 Å apart"),
        ({"multiplicity": (0, 1)}, "multiplicity 0 cannot be: a multiplicity is 1 or more"),
        ({"charge": (0, 10)}, "fragment B: charge \\+10 and multiplicity 1 cannot be: 10 protons leave 0 electrons"),
        ({"multiplicity": (13, 1)}, "10 electrons, an even number, cannot have 12 unpaired"),
        ({"id": " "}, "id is empty"),
    ],
)
def test_structures_that_cannot_be(dimer, fields, reason):
    with pytest.raises(RowError, match=reason):
        check_structure(dimer(**fields))


def test_structures_that_can_be(dimer):
    for fields in ({}, {"multiplicity": (3, 1)}, {"charge": (1, 0), "multiplicity": (2, 1)}, {"charge": (-2, 2)}):
        check_structure(dimer(**fields))
    check_structure(dimer(v_ref=float("nan")), labels=False)


def test_coordinates_and_elements_are_checked(dimer):
    bad = dimer()
    bad.positions[0, 0] = float("inf")
    with pytest.raises(RowError, match="a coordinate is not a finite number"):
        check_structure(bad)
    alone = dimer()
    alone.fragment[:] = 0
    with pytest.raises(RowError, match="fragment B has no atoms"):
        check_structure(alone)
    heavy = dimer()
    heavy.z[0] = 92
    with pytest.raises(RowError, match="unknown element with atomic number 92"):
        check_structure(heavy)


def run_script(repository, settings: dict, tmp_path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(repository / "scripts/structures.py"), "--dataset", "mine"]
    command += ["--settings", json.dumps(settings)]
    command += ["--output", str(tmp_path / "s.h5"), "--rejected", str(tmp_path / "s.rejected.csv")]
    environment = {"PYTHONPATH": str(repository / "src"), "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_script_writes_both_files(repository, folder, tmp_path):
    done = run_script(repository, {"source": "xyz_folder", "path": str(folder)}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "INFO mine: 13 rows, 10 structures" in done.stderr and done.stdout == ""
    assert (tmp_path / "s.h5").is_file() and (tmp_path / "s.rejected.csv").is_file()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "xyz_folder", "path": "PATH/gone"}, "error: PATH/gone/labels.csv: no such file"),
        ({"source": "xyz_folder"}, "error: --settings of dataset 'mine': path: Field required"),
        ({"source": "psi4_databases", "databases": ["S66x8"]}, "unknown database 'S66x8' (did you mean 'S66by8'?)"),
    ],
)
def test_the_script_ends_with_one_clear_message(repository, tmp_path, settings, message):
    settings = {k: v.replace("PATH", str(tmp_path)) if isinstance(v, str) else v for k, v in settings.items()}
    done = run_script(repository, settings, tmp_path)
    assert done.returncode == 1
    assert message.replace("PATH", str(tmp_path)) in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "s.h5").exists() and not (tmp_path / "s.rejected.csv").exists()


@pytest.fixture(scope="module")
def default(databases, repository):
    return load_dataset(load_config(repository / "config.yaml").datasets["small_dimers"], "small_dimers")


def test_the_default_dataset_is_large_enough(default):
    """At least 120 dimers in at least 45 groups, at most 4 of each; 145 in 49 with psi4-data 1.3.2."""
    groups = [s.group for s in default.structures]
    assert len(groups) >= 120 and len(set(groups)) >= 45 and max(map(groups.count, groups)) <= 4
    assert all(4 <= s.n_atoms <= 16 and s.charge == (0, 0) and s.multiplicity == (1, 1) for s in default.structures)
    assert count_kinds(default.rejected)["unreadable"] == 0
    assert len(default.structures) + len(default.rejected) == 24 + 110 + 528 + 3380 + 118


def test_the_default_dataset_keeps_interaction_curves(default):
    from psigraph.structures.selection import separation_of

    spans: dict[str, list[float]] = {}
    for s in default.structures:
        spans.setdefault(s.group, []).append(separation_of(s))
    wide = [g for g, r in spans.items() if len(r) == 4 and max(r) > 1.5 * min(r)]
    assert len(wide) >= 15
