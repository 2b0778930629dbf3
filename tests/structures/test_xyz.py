import numpy as np
import pytest

from psigraph.config import XyzFolder
from psigraph.structures import xyz_folder
from psigraph.structures.checks import check
from psigraph.structures.reading import RowError
from psigraph.structures.sources import StructureError
from psigraph.structures.xyz import parse_selection, read_xyz_dimer
from psigraph.structures.xyz_folder import read_xyz_folder


@pytest.fixture
def water_methane(dimer, molecules):
    return dimer("wm", a=molecules["water"], b=molecules["methane"], r=3.5)


def write(path, text):
    path.write_text(text)
    return path


def test_fragments_by_connected_components(tmp_path, water_methane, xyz_text):
    order = np.array([3, 0, 4, 1, 5, 2, 6, 7])  # atoms of the two monomers interleaved
    water_methane.z, water_methane.positions = water_methane.z[order], water_methane.positions[order]
    s = read_xyz_dimer(write(tmp_path / "wm.xyz", xyz_text(water_methane)))
    assert s.fragment.tolist() == [0, 1, 0, 1, 0, 1, 0, 0]  # A is the component of the first atom
    assert (s.id, s.source, s.charge, s.multiplicity) == ("wm", "wm.xyz", (0, 0), (1, 1))
    assert np.isnan(s.v_ref) and s.positions == pytest.approx(water_methane.positions, abs=1e-9)


def test_fragments_by_selection(tmp_path, water_methane, xyz_text):
    s = read_xyz_dimer(write(tmp_path / "wm.xyz", xyz_text(water_methane)), "1, 3-4,8")
    assert s.fragment.tolist() == [0, 1, 0, 0, 1, 1, 1, 0]


def test_symbols_in_any_case_and_charges_in_the_comment(tmp_path):
    path = write(tmp_path / "x.xyz", "2\nenergy=-1.0 Charge=1,-1 multiplicity='1,1'\nna 0 0 0\nCL 0 0 4 extra\n\n")
    s = read_xyz_dimer(path)
    assert (s.z.tolist(), s.charge, s.multiplicity) == ([11, 17], (1, -1), (1, 1))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "line 1 '' is not the number of atoms"),
        ("three\n\nH 0 0 0\n", "line 1 'three' is not the number of atoms"),
        ("3\n\nH 0 0 0\nH 0 0 5\n", "line 1 announces 3 atoms and 2 lines of atoms follow"),
        ("1\n\nH 0 0 0\n1\n\nH 0 0 0\n", "several frames in one file are not read"),
        ("2\n\nH 0 0 0\nQq 0 0 5\n", "unknown element 'Qq'"),
        ("2\n\nH 0 0 0\nH 0 nan 5\n", "atom 2 'H 0 nan 5' is not a symbol and three finite coordinates"),
        ("2\n\nH 0 0 0\nH 0 5\n", "atom 2 'H 0 5' is not a symbol and three finite coordinates"),
        ("2\ncharge=0\nH 0 0 0\nH 0 0 5\n", "charge in the comment line is '0'; expected two whole numbers"),
        ("2\n\nH 0 0 0\nH 0 0 0.74\n", "its atoms form 1 connected component by covalent radii, a dimer has 2; name"),
        ("3\n\nHe 0 0 0\nHe 0 0 5\nHe 0 0 10\n", "its atoms form 3 connected components"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, text, message):
    path = write(tmp_path / "bad.xyz", text)
    with pytest.raises(RowError, match=f"^bad.xyz: .*{message}"):
        read_xyz_dimer(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1-9", "'1-9' lies outside the atoms 1 to 8"),
        ("0", "'0' lies outside"),
        ("3-2", "'3-2' lies outside"),
        ("1,a", "'a' is no atom number and no range"),
        ("1-8", "takes all 8 atoms and leaves none for fragment B"),
    ],
)
def test_impossible_selections_are_named(tmp_path, water_methane, xyz_text, text, message):
    path = write(tmp_path / "wm.xyz", xyz_text(water_methane))
    with pytest.raises(RowError, match=message):
        read_xyz_dimer(path, text)


def test_a_selection_is_counted_from_one():
    assert parse_selection("1-2,5", 5).tolist() == [True, True, False, False, True]


@pytest.fixture
def folder(tmp_path, water_methane, dimer, xyz_text):
    write(tmp_path / "wm.xyz", xyz_text(water_methane))
    write(tmp_path / "ww.xyz", xyz_text(dimer("ww"), "charge=0,0 multiplicity=1,1"))
    write(tmp_path / "odd.xyz", xyz_text(dimer("odd"), "charge=1,0 multiplicity=1,1"))
    return tmp_path


def read(folder, labels: str, **settings):
    (folder / "labels.csv").write_text(labels)
    return check(xyz_folder.read(XyzFolder(source="xyz_folder", path=folder, **settings)))


def test_labels_name_files_or_ids(folder):
    result = read(folder, "file,Vref_kJ/mol,V0_kcal/mol\nwm.xyz,-4.184,-1\nww.xyz,1,\n")
    assert result.unit == "kJ/mol"
    assert [(s.id, s.v_ref) for s in result.structures] == [("wm", -4.184), ("ww", 1.0)]
    assert result.structures[0].v_0 == pytest.approx(-4.184) and np.isnan(result.structures[1].v_0)
    assert [s.id for s in read(folder, "id,V_ref [eV]\nwm,1\n").structures] == ["wm"]
    renamed = read(folder, "id,file,Vref\nmine,wm.xyz,1\n", unit="eV").structures[0]
    assert (renamed.id, renamed.system) == ("mine", "mine")


def test_a_rows_own_selection_wins_over_the_configured_one(folder):
    result = read(folder, "id,Vref_eV,fragment_a\nwm,1,4-8\nww,1,\n", fragment_a="1-3")
    assert [int((s.fragment == 0).sum()) for s in result.structures] == [5, 3]


def test_bad_rows_are_rejected_with_reasons(folder):
    labels = "id,Vref_eV,fragment_a\nwm,1,\ngone,1,\nww,,\nodd,1,\nwm,1,\nww,1,1-99\n,1,\n"
    result = read(folder, labels)
    assert [s.id for s in result.structures] == ["wm"]
    reasons = {r.row: r.reason for r in result.rejected}
    assert reasons["2"] == "file: no file 'gone.xyz' in the dataset's folder"
    assert reasons["3"] == "Vref_eV is empty"
    assert reasons["4"].startswith("fragment A: charge +1 and multiplicity 1 cannot be: 9 electrons, an odd number")
    assert reasons["5"].startswith("duplicate id 'wm', which row 1 has already")
    assert "lies outside the atoms 1 to 6" in reasons["6"]
    assert reasons["7"] == "file is empty"


@pytest.mark.parametrize(
    "labels, message",
    [
        ("name,Vref_eV\n", r"labels\.csv: lacks a column 'file' or 'id'; it has \['name', 'Vref_eV'\]"),
        ("id,energy\n", r"labels\.csv: lacks the column 'Vref'; it has"),
        ("id,Vref_cm\n", r"labels\.csv: column 'Vref_cm' is in the unknown unit 'cm'"),
        ("id,id,Vref_eV\n", r"labels\.csv: the header .* has an empty or repeated column name"),
    ],
)
def test_tables_that_cannot_be_used_are_errors(folder, labels, message):
    with pytest.raises(StructureError, match=message):
        read(folder, labels)


def test_a_folder_without_labels_is_errors_too(folder):
    with pytest.raises(StructureError, match=r"labels\.csv: no such file"):
        xyz_folder.read(XyzFolder(source="xyz_folder", path=folder))


def test_a_folder_can_be_read_without_labels(folder, tmp_path):
    result = read_xyz_folder(folder)
    assert [s.id for s in result.structures] == ["wm", "ww"] and np.isnan(result.structures[0].v_ref)
    assert [r.id for r in result.rejected] == ["odd"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(StructureError, match="empty: holds no .xyz file"):
        read_xyz_folder(tmp_path / "empty")
