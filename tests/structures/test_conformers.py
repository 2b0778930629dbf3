"""Conformers with energies: the index, the geometries, and what is no conformer of its molecule."""

import gzip

import numpy as np
import pytest

from psigraph.config import Conformers
from psigraph.structures import conformers
from psigraph.structures.build import load_dataset
from psigraph.structures.model import Label
from psigraph.structures.reading import count_kinds
from psigraph.structures.sources import StructureError, raw_files
from psigraph.units import energy_factor

HEADER = "mol,conf,smiles,E_dlpno_ccsdt,E_other\n"
KCAL = energy_factor("hartree", "kcal/mol")
WATER = np.array([[0, 0, 0.117], [0, 0.757, -0.47], [0, -0.757, -0.47]])
HYDROXIDE = np.array([[0, 0, 0], [0, 0, 0.96]])
BROKEN = WATER * [1, 3, 1]


def dataset(path, **settings) -> Conformers:
    return Conformers(source="conformers", path=path, **settings)


@pytest.fixture
def folder(tmp_path):
    """Three conformers of water and one broken one, two of hydroxide with one energy, a SMILES that is none."""
    rows = [
        ("w", "a", "O", "-76.0", WATER), ("w", "b", "O", "-75.9", WATER * 1.01), ("w", "c", "O", "", WATER * 1.02),
        ("w", "d", "O", "-70.0", BROKEN), ("oh", "a", "[OH-]", "-75.0", HYDROXIDE),
        ("oh", "b", "[OH-]", "", HYDROXIDE * 1.05), ("x", "a", "O(", "-1.0", HYDROXIDE),
    ]  # fmt: skip
    index = HEADER + "".join(f"{m},{c},{s},{e},1.0\n" for m, c, s, e, _ in rows)
    (tmp_path / "index.csv.gz").write_bytes(gzip.compress(index.encode()))
    sizes = [len(x) for *_, x in rows]
    arrays = {
        "Z": np.concatenate([[8, 1, 1][:n] for n in sizes]).astype(np.uint8),
        "R": np.concatenate([x for *_, x in rows]).astype(np.float32),
        "offset": np.cumsum([0, *sizes], dtype=np.int32),
    }
    np.savez(tmp_path / "geom.npz", **arrays)
    return tmp_path, arrays


def test_energies_are_relative_to_the_mean_of_the_conformers_that_are_read(folder):
    result = load_dataset(dataset(folder[0], max_rejected=0.5), "mine")
    assert result.label_specs == (
        Label("energy", "kcal/mol", True),
        Label("relative_energy", "kcal/mol", True, relative=True),
    )
    assert [s.id for s in result.structures] == ["w-a", "w-b", "w-c", "oh-a", "oh-b"]
    assert [s.charge[0] for s in result.structures] == [0, 0, 0, -1, -1]
    nan = np.nan
    expected = [[-76.0, -0.05], [-75.9, 0.05], [nan, nan], [-75.0, nan], [nan, nan]]
    np.testing.assert_allclose([s.labels / KCAL for s in result.structures], expected, atol=1e-9)
    reasons = {r.id: r.reason for r in result.rejected}
    assert reasons["w-d"] == "its bonds by distances are not those of its SMILES: -2 H-O"
    assert reasons["x-a"] == "smiles 'O(' cannot be read as a molecule; correct it"


def test_the_groups_are_the_molecules_and_charges_can_be_left_out(folder):
    result = load_dataset(dataset(folder[0]), "mine")
    assert [(s.group, s.system) for s in result.structures] == 3 * [("O", "O")] + 2 * [("[OH-]", "[OH-]")]
    result = load_dataset(dataset(folder[0], neutral=True, energy="E_other"), "mine")
    assert [s.id for s in result.structures] == ["w-a", "w-b", "w-c"]
    assert {r.reason for r in result.rejected if r.id.startswith("oh")} == {"not selected: a molecule with a charge"}
    assert [s.labels[1] for s in result.structures] == [0.0, 0.0, 0.0]
    assert [f.name for f in raw_files("conformers", path=folder[0])] == ["geom.npz", "index.csv.gz"]


def test_files_that_do_not_go_together_are_errors(folder):
    path, arrays = folder
    with pytest.raises(StructureError, match=r"index\.csv\.gz: lacks the columns E_ccsd; it has \['mol', 'conf'"):
        conformers.read(dataset(path, energy="E_ccsd"))
    with pytest.raises(StructureError, match="smiles or geom.npz cannot be read"):
        conformers.read(dataset(path, energy="smiles"))
    np.savez(path / "geom.npz", **{**arrays, "offset": arrays["offset"][:-1]})
    with pytest.raises(
        StructureError, match=r"geom\.npz: offsets of 6 conformers and 18 atoms do not go with the 7 rows"
    ):
        conformers.read(dataset(path))
    (path / "geom.npz").unlink()
    with pytest.raises(StructureError, match="E_dlpno_ccsdt or geom.npz cannot be read"):
        conformers.read(dataset(path))
    (path / "index.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(StructureError, match=r"index\.csv\.gz: cannot be read as compressed CSV"):
        conformers.read(dataset(path))


def test_the_research_data(shared_data):
    path = shared_data / "conformers_druglike"
    if not path.is_dir():
        pytest.skip("no conformers_druglike in the research data")
    result = load_dataset(dataset(path, max_structures=2000), "conformers")
    kinds = count_kinds(result.rejected)
    assert kinds == {"unreadable": 124, "not selected": 6995 - 124 - 2000, "identical": 0}
    moved = [r.reason for r in result.rejected if "not those of its SMILES" in r.reason]
    assert len(moved) == 124 and sum("H-N" in reason for reason in moved) == 43
    assert len({s.group for s in result.structures}) == 695 and {s.charge[0] for s in result.structures} == {
        -1,
        0,
        1,
        2,
    }
    labels = np.array([s.labels for s in result.structures])
    assert 0.5 < np.nanmean(np.abs(labels[:, 1])) < 1 and np.nanmax(np.abs(labels[:, 1])) < 20  # kcal/mol
    sizes = np.array([(s.z > 1).sum() for s in result.structures])
    assert sizes.min() == 9 and sizes.max() == 50 and (sizes > 25).sum() > 500
