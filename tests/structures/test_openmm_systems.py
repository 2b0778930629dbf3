"""The posed ligands of the package openmmforcefields: the default dataset of the family affinity."""

import math
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from psigraph.config import OpenmmForcefields
from psigraph.structures import openmm_systems
from psigraph.structures.build import build_structures, load_dataset
from psigraph.structures.complex_rows import pk_of_energy
from psigraph.structures.reading import RowError, read_rejected
from psigraph.structures.sources import StructureError, files_of, raw_files
from psigraph.structures.store import StructureFile


def dataset(**settings) -> OpenmmForcefields:
    return OpenmmForcefields(source="openmmforcefields", **settings)


@pytest.fixture(scope="module")
def store(systems, tmp_path_factory):
    """Its store, the rejected rows and the counts."""
    folder = tmp_path_factory.mktemp("jacs")
    counts = build_structures(dataset(), "mine", folder / "s.h5", folder / "s.rejected.csv")
    return folder / "s.h5", read_rejected(folder / "s.rejected.csv"), counts


def test_all_ligands_are_read_or_rejected_with_a_reason(store):
    """199 ligands of the package's release 0.15.1, 15 of them nearer to the protein than they can be."""
    path, rejected, counts = store
    assert counts == {
        "rows": 199, "structures": 184, "groups": 8, "unreadable": 15, "not selected": 0, "identical": 0
    }  # fmt: skip
    assert all("covalent ligand, or a pose that clashes" in r.reason or "clash: " in r.reason for r in rejected)
    with StructureFile(path) as file:
        rows, complexes = file.rows(0, file.n), file.complexes(0, file.n)
    assert [label.name for label in rows.label_specs] == ["pK"]
    assert Counter(rows.group.tolist()) + Counter(r.id.split("-")[0] for r in rejected) == {
        "BACE1": 36, "CDK2": 16, "JNK1": 21, "MCL1": 42, "P38": 34, "PTP1B": 23, "Thrombin": 11, "TYK2": 16
    }  # fmt: skip
    assert set(complexes.measure) == {"unknown"} and set(complexes.side) == {""}


def test_ligands_lie_in_the_pockets_of_their_proteins(store):
    path, _, _ = store
    with StructureFile(path) as file:
        for row in range(0, file.n, 20):
            ligand, complexes = file.rows(row, row + 1), file.complexes(row, row + 1)
            protein = complexes.protein_of(0)
            heavy = ligand.positions[ligand.z > 1]
            distances = cdist(heavy, protein.positions)
            assert 1.5 < distances.min() < 5.0
            assert len(set(protein.residue[(distances < 6).any(0)])) > 10
            assert protein.features[:, 4].sum() == pytest.approx(round(protein.features[:, 4].sum()), abs=1e-2)
            assert complexes.atom_features[:, 4].sum() == pytest.approx(ligand.charge[0, 0], abs=1e-4)
            assert len(complexes.atom_features) == ligand.n_atoms[0]


def test_labels_are_those_of_the_file_at_the_stated_temperature(store, systems):
    """Of CAT-13d the file says -9.093 kcal/mol."""
    path, _, _ = store
    with StructureFile(path) as file:
        rows = file.rows(0, file.n)
    pk = rows.labels[rows.ids.tolist().index("BACE1-CAT-13a"), 0]
    text = (systems / "bace/Bace_ligands_shifted.sdf").read_text()
    energy = float(text[text.index("CAT-13a") :].split("<r_user_dG.exp>")[1].split()[0])
    assert pk == pytest.approx(-energy / (1.987204259e-3 * 298.15 * math.log(10)), rel=1e-6)


def test_energies_to_pk():
    """R = 1.987204e-3 kcal/(mol K): at 298.15 K one unit of pK is 1.36424 kcal/mol."""
    assert pk_of_energy(-13.6424, 298.15) == pytest.approx(10, abs=1e-4)
    assert pk_of_energy(-10.0, 310.0) == pytest.approx(pk_of_energy(-10.0, 298.15) * 298.15 / 310.0)
    for energy in (0.5, -30.0):
        with pytest.raises(RowError, match="kcal/mol, outside -25 to 0: is it in kJ/mol, a difference between lig"):
            pk_of_energy(energy, 298.15)


@pytest.fixture
def one_target(systems, tmp_path):
    shutil.copytree(systems / "mcl1", tmp_path / "mcl1")
    return tmp_path


def test_the_same_bytes_again(one_target, tmp_path):
    for n in range(2):
        build_structures(dataset(path=one_target), "mine", tmp_path / f"{n}.h5", tmp_path / f"{n}.csv")
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "1.h5").read_bytes()


def test_records_with_a_bad_label_or_cut_short_are_rejected(one_target):
    path = one_target / "mcl1/MCL1_ligands.sdf"
    records = path.read_text().split("$$$$\n")
    for n, value in ((0, "x"), (1, "8.9"), (2, "-37.2")):
        start = records[n].index("<r_user_dG.exp>")
        records[n] = f"{records[n][:start]}<r_user_dG.exp>\n{value}\n\n"
    last = "$$$$\n".join(records[:4])
    path.write_text(last[: last.rindex("M  END") - 40])
    with pytest.raises(StructureError, match="no structure is left"):
        load_dataset(dataset(path=one_target, max_rejected=1.0), "mine")
    reasons = [r.reason for r in openmm_systems.read(dataset(path=one_target)).rejected]
    assert reasons[0] == "r_user_dG.exp is 'x', not a number"
    assert "r_user_dG.exp is 8.9 kcal/mol, outside -25 to 0" in reasons[1]
    assert "r_user_dG.exp is -37.2 kcal/mol, outside" in reasons[2]
    assert reasons[3] == "the record is truncated: it has no line 'M  END'; fetch the file again"


def test_an_sdf_without_labels_is_no_series_of_ligands(systems, one_target):
    shutil.copy(systems / "bace/TLA.sdf", one_target / "mcl1")
    assert len(files_of(dataset(path=one_target))) == 3
    (one_target / "mcl1/MCL1_ligands.sdf").unlink()
    with pytest.raises(StructureError, match="mcl1: holds no SDF with the field r_user_dG.exp"):
        load_dataset(dataset(path=one_target), "mine")


def test_a_folder_without_proteins_is_an_error(tmp_path):
    with pytest.raises(StructureError, match=r"holds no \*/\*_protein\.pdb; install openmmforcefields again"):
        raw_files("openmmforcefields", path=tmp_path)


def test_the_package_is_not_imported(systems):
    code = (
        "from psigraph.structures.sources import raw_files; import sys\n"
        "print(len(raw_files('openmmforcefields')), 'openmmforcefields' in sys.modules, 'numpy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["17", "False", "False"]


def test_preparation_changes_proteins_and_nothing_else(one_target):
    as_is, fixed = (load_dataset(dataset(path=one_target, prepare=how), "mine") for how in ("as_is", "fix"))
    for one, other in zip(as_is.structures, fixed.structures, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert as_is.structures[0].binding.protein is as_is.structures[-1].binding.protein
