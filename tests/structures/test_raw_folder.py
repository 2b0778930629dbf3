import csv
import math

import numpy as np
import openpyxl
import pytest

from psigraph.config import RawFolder
from psigraph.structures import raw_folder
from psigraph.structures.build import load_dataset
from psigraph.structures.raw_folder import read_raw_folder
from psigraph.structures.sources import StructureError
from psigraph.units import E_ANGSTROM_PER_DEBYE

SPD = np.arange(24, dtype=float).reshape(8, 3) / 10
QUADRUPOLE = np.array([[3.0, 0.1, 0.2], [0.1, 1.0, 0.3], [0.2, 0.3, -1.0]])
ROW = {
    "id": "w1", "pdb_a": "a.pdb", "pdb_b": "b.pdb", "npz": "w1.npz", "R_nm": "0.4", "theta_deg": "30", "V0_meV": "1.5",
    "PR": "1.25", "Vref_meV": "-2.5",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, molecules, pdb_text):
    """Water (3 atoms) and methane (5 atoms), one NPZ."""
    moved = [(s, x + 5, y - 3, z + 1) for s, x, y, z in molecules["methane"]]
    (tmp_path / "a.pdb").write_text(pdb_text(molecules["water"]))
    (tmp_path / "b.pdb").write_text(pdb_text(moved))
    np.savez(tmp_path / "w1.npz", mulliken_spd=SPD, dipole=[1.0, 2.0, 3.0], quadrupole=QUADRUPOLE)
    return tmp_path


def write_csv(folder, *rows: dict[str, str]) -> None:
    with open(folder / "meta.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_row_becomes_a_structure(folder):
    write_csv(folder, ROW)
    result = read_raw_folder(folder, placement="stacked")
    (s,) = result.structures
    assert (result.unit, result.rejected) == ("meV", [])
    assert (s.id, s.z.tolist(), s.fragment.tolist()) == ("w1", [8, 1, 1, 6, 1, 1, 1, 1], [0] * 3 + [1] * 5)
    assert (s.v_ref, s.v_0, s.pr) == (-2.5, 1.5, 1.25)
    assert s.separation == pytest.approx(4.0) and s.theta == pytest.approx(math.radians(30))
    assert s.positions[:3].mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert s.positions[3:].mean(axis=0) == pytest.approx([0.0, 0.0, 4.0])
    assert s.has_given and (s.given_mulliken_spd == SPD).all()
    assert s.given_dipole == pytest.approx(np.array([1.0, 2.0, 3.0]) * E_ANGSTROM_PER_DEBYE)
    expected = (QUADRUPOLE - np.eye(3) * 1.0) * E_ANGSTROM_PER_DEBYE
    assert s.given_quadrupole == pytest.approx(expected) and np.trace(s.given_quadrupole) == pytest.approx(0.0)
    assert s.given_origin == pytest.approx(s.positions.mean(axis=0))
    assert s.given_dipole[0] == pytest.approx(0.20819434, abs=1e-8)  # the note's factor


def test_as_given_keeps_positions_and_needs_no_columns_beyond_labels(folder, molecules):
    write_csv(folder, {k: ROW[k] for k in ("id", "pdb_a", "pdb_b", "Vref_meV")})
    (s,) = read_raw_folder(folder, placement="as_given").structures
    assert s.positions[:3] == pytest.approx(np.array([a[1:] for a in molecules["water"]]))
    assert s.positions[3] == pytest.approx([5.0, -3.0, 1.0])
    assert np.isnan([s.separation, s.theta, s.pr, s.v_0]).all() and not s.has_given


def test_a_workbook_equals_a_csv(folder):
    write_csv(folder, ROW)
    (from_csv,) = read_raw_folder(folder).structures
    (folder / "meta.csv").unlink()
    book = openpyxl.Workbook()
    book.active.append(list(ROW))
    book.active.append([v if k in ("id", "pdb_a", "pdb_b", "npz") else float(v) for k, v in ROW.items()])
    book.save(folder / "meta.xlsx")
    (from_xlsx,) = read_raw_folder(folder).structures
    assert (from_csv.source, from_xlsx.source) == ("meta.csv", "meta.xlsx")
    from_xlsx.source = from_csv.source
    for name, value in vars(from_csv).items():
        np.testing.assert_array_equal(getattr(from_xlsx, name), value, err_msg=name)


@pytest.mark.parametrize("column", ["Vref_eV", "Vref [eV]", "Vref (eV)", "V_ref_eV"])
def test_the_unit_is_in_the_column_name_and_both_energies_come_in_it(folder, column):
    row = {k: v for k, v in ROW.items() if k != "Vref_meV"} | {column: "-2.5"}
    write_csv(folder, row)
    result = read_raw_folder(folder)
    assert result.unit == "eV" and result.structures[0].v_0 == pytest.approx(1.5e-3)


def test_the_unit_may_come_from_the_configuration(folder):
    write_csv(folder, {("Vref" if k == "Vref_meV" else k): v for k, v in ROW.items() if k != "V0_meV"})
    assert read_raw_folder(folder, unit="kcal/mol").unit == "kcal/mol"


@pytest.mark.parametrize(
    "column, unit, message",
    [
        ("Vref_Ry", None, r"meta\.csv: column 'Vref_Ry' is in the unknown unit 'Ry'; known units: eV, meV"),
        ("Vref", None, r"meta\.csv: no unit for column 'Vref'; write it into the name .* or set `unit`"),
        ("Vref_meV", "eV", r"column 'Vref_meV' says 'meV' and the configuration `unit: eV`; make them agree"),
        ("V", None, r"meta\.csv: lacks the column 'Vref'; it has \["),
    ],
)
def test_unusable_label_columns_are_errors(folder, column, unit, message):
    write_csv(folder, {"id": "w", "pdb_a": "a.pdb", "pdb_b": "b.pdb", "R_nm": "0.4", column: "1"})
    with pytest.raises(StructureError, match=message):
        read_raw_folder(folder, unit=unit)


def test_two_label_columns_are_an_error(folder):
    write_csv(folder, ROW | {"Vref_eV": "1"})
    with pytest.raises(StructureError, match="several columns give Vref"):
        read_raw_folder(folder)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"id": ""}, "id is empty"),
        ({"pdb_b": "gone.pdb"}, "pdb_b: no file 'gone.pdb' in the dataset's folder"),
        ({"npz": "gone.npz"}, "npz: no file 'gone.npz' in the dataset's folder"),
        ({"R_nm": ""}, "R_nm is empty"),
        ({"R_nm": "-0.4"}, "R_nm is -0.4; a separation is above 0"),
        ({"R_nm": "0.01"}, "atoms"),
        ({"theta_deg": "steep"}, "theta_deg is 'steep', not a number"),
        ({"PR": "inf"}, "PR is 'inf', not a finite number"),
        ({"Vref_meV": ""}, "Vref_meV is empty"),
        ({"Vref_meV": "NaN"}, "Vref_meV is 'NaN', not a finite number"),
        ({"id": "w1"}, "duplicate id 'w1', which row 1 has already"),
        ({"charge_a": "1"}, "fragment A: charge +1 and multiplicity 1 cannot be: 9 electrons"),
        ({"charge_a": "0.5"}, "charge_a is '0.5', not a whole number"),
        ({"multiplicity_b": "2"}, "fragment B: charge +0 and multiplicity 2 cannot be: 10 electrons"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_the_rest_goes_on(folder, change, reason):
    extra = {"charge_a": "", "charge_b": "", "multiplicity_a": "", "multiplicity_b": ""}
    write_csv(folder, ROW | extra, ROW | extra | {"id": "bad"} | change, ROW | extra | {"id": "w3", "R_nm": "0.5"})
    result = read_raw_folder(folder)
    assert [s.id for s in result.structures] == ["w1", "w3"]
    assert [r.row for r in result.rejected] == ["2"] and result.rejected[0].reason.startswith(reason)


def test_a_row_with_too_many_cells_is_rejected(folder):
    write_csv(folder, ROW, ROW | {"id": "w2", "R_nm": "0.5"})
    text = (folder / "meta.csv").read_text().splitlines()
    (folder / "meta.csv").write_text("\n".join([text[0], text[1] + ",9", text[2], ""]))
    result = read_raw_folder(folder)
    assert [s.id for s in result.structures] == ["w2"]
    assert result.rejected[0].reason == "the row has 10 cells, more than the header's 9"


@pytest.mark.parametrize(
    "arrays, reason",
    [
        ({"mulliken_spd": SPD[:5]}, r"npz w1.npz: mulliken_spd has shape (5, 3), expected (8, 2) or (8, 3)"),
        (
            {"mulliken_spd": np.where(SPD == 0, np.nan, SPD)},
            "npz w1.npz: mulliken_spd holds a value that is not finite",
        ),
        ({"dipole": np.ones(4)}, "npz w1.npz: dipole has shape (4,), expected (3,)"),
        (
            {"quadrupole": np.ones(5)},
            "npz w1.npz: quadrupole has shape (5,), expected (3, 3) or (6,): xx xy xz yy yz zz",
        ),
        ({"quadrupole": np.triu(np.ones((3, 3)))}, "npz w1.npz: quadrupole is not symmetric"),
        ({"quadrupole": None}, "npz w1.npz: lacks quadrupole"),
        ({"dipole": np.array([{}], dtype=object)}, "npz w1.npz: cannot be read as NPZ of plain numbers"),
    ],
)
def test_a_bad_npz_rejects_its_row(folder, arrays, reason):
    good = {"mulliken_spd": SPD, "dipole": np.ones(3), "quadrupole": QUADRUPOLE}
    np.savez(folder / "w1.npz", **{k: v for k, v in (good | arrays).items() if v is not None})
    write_csv(folder, ROW)
    (rejected,) = read_raw_folder(folder).rejected
    assert rejected.reason.startswith(reason)


def test_a_damaged_npz_rejects_its_row(folder):
    (folder / "w1.npz").write_bytes(b"PK\x03\x04 not really")
    write_csv(folder, ROW)
    assert "npz w1.npz: cannot be read" in read_raw_folder(folder).rejected[0].reason


def test_missing_d_populations_are_zero(folder):
    np.savez(folder / "w1.npz", mulliken_spd=SPD[:, :2], dipole=np.ones(3), quadrupole=QUADRUPOLE)
    write_csv(folder, ROW)
    (s,) = read_raw_folder(folder).structures
    assert (s.given_mulliken_spd[:, :2] == SPD[:, :2]).all() and (s.given_mulliken_spd[:, 2] == 0).all()


def test_six_quadrupole_components_are_the_upper_triangle_by_rows():
    six = np.array([3.0, 0.1, 0.2, 1.0, 0.3, -1.0])
    expected = raw_folder.traceless_quadrupole(QUADRUPOLE, "x")
    np.testing.assert_array_equal(raw_folder.traceless_quadrupole(six, "x"), expected)


def test_files_that_are_no_tables_are_errors(folder):
    with pytest.raises(StructureError, match=r"holds no meta\.xlsx and no meta\.csv"):
        read_raw_folder(folder)
    (folder / "meta.xlsx").write_text("id,pdb_a\n")
    with pytest.raises(
        StructureError, match=r"meta\.xlsx: cannot be read as xlsx .*not a zip file.*save it as an Excel"
    ):
        read_raw_folder(folder)
    (folder / "meta.csv").write_text("id\n")
    with pytest.raises(StructureError, match=r"holds both meta\.xlsx and meta\.csv; keep one"):
        read_raw_folder(folder)
    (folder / "meta.xlsx").unlink()
    with pytest.raises(StructureError, match=r"meta\.csv: lacks the column 'pdb_a', 'pdb_b', 'R_nm'; it has \['id'\]"):
        read_raw_folder(folder)
    (folder / "meta.csv").write_bytes(b"id,\xff\xfe\n")
    with pytest.raises(StructureError, match=r"meta\.csv: cannot be read as csv .*; save it as CSV in UTF-8"):
        read_raw_folder(folder)
    (folder / "meta.csv").write_text("")
    with pytest.raises(StructureError, match=r"meta\.csv: is empty"):
        read_raw_folder(folder)


def test_two_angles_are_an_error(folder):
    write_csv(folder, ROW | {"theta_rad": "0.5"})
    with pytest.raises(StructureError, match="has both theta_deg and theta_rad; keep one"):
        read_raw_folder(folder)


def test_groups_are_perceived_in_the_structures_stage(folder):
    write_csv(folder, ROW, ROW | {"id": "w2", "R_nm": "0.5"}, ROW | {"id": "w3"})
    dataset = RawFolder(source="raw_folder", path=folder, placement="stacked")
    result = load_dataset(dataset, "mine")
    assert [(s.id, s.group) for s in result.structures] == [("w1", "C | O"), ("w2", "C | O")]
    assert result.rejected[0].reason == "identical geometry to w1"


def test_new_dimers_need_no_label(folder):
    write_csv(folder, {k: v for k, v in ROW.items() if not k.startswith("Vref")})
    with pytest.raises(StructureError, match="lacks the column 'Vref'"):
        read_raw_folder(folder)
    result = read_raw_folder(folder, labels=False)
    assert math.isnan(result.structures[0].v_ref) and result.rejected == [] and result.unit == "meV"
