import numpy as np
import pytest

from psigraph.structures.pdb import element_of, read_pdb
from psigraph.structures.reading import RowError


def atom(
    name: str, residue: str = "MOL", element: str = "", x: float = 0.0, record: str = "HETATM", alt: str = " "
) -> str:
    """One line by the columns of the PDB guide; `name` with its four columns."""
    head = f"{record:<6s}    1 {name:4s}{alt}{residue:>3s} A   1    "
    return f"{head}{x:8.3f}{0:8.3f}{0:8.3f}  1.00  0.00          {element:>2s}"


def read(tmp_path, *lines: str):
    (tmp_path / "m.pdb").write_text("\n".join(lines) + "\n")
    return read_pdb(tmp_path / "m.pdb")


@pytest.mark.parametrize(
    "name, residue, element, symbol",
    [
        (" CA ", "ALA", "C", "C"),  # element column first
        ("CA  ", "ALA", "CA", "Ca"),
        (" CA ", "ALA", "", "C"),  # alpha carbon: one letter in column 14
        ("CA  ", " CA", "", "Ca"),  # calcium ion: residue of that name
        ("CA  ", "LIG", "", "Ca"),  # two letters in columns 13-14
        (" CA ", "LIG", "", "C"),
        ("CA  ", "ALA", "", "C"),  # misaligned alpha carbon of an amino acid
        (" HG ", "CYS", "", "H"),
        ("HG11", "VAL", "", "H"),
        ("HE21", "LIG", "", "H"),
        ("1HB ", "ALA", "", "H"),
        (" NE2", "GLN", "", "N"),
        ("NE2 ", "GLN", "", "N"),
        (" OXT", "GLY", "", "O"),
        (" SD ", "MET", "", "S"),
        ("SE  ", "MSE", "", "Se"),
        ("ZN  ", " ZN", "", "Zn"),
        ("FE  ", "HEM", "", "Fe"),
        (" NA ", "HEM", "", "N"),
        ("NA  ", " NA", "", "Na"),
        ("CL1 ", "LIG", "", "Cl"),
        ("BR  ", "LIG", "", "Br"),
        (" P  ", "  A", "", "P"),
        (" O5'", " DG", "", "O"),
        ("H5''", " DG", "", "H"),
        ("XE  ", " XE", "", "Xe"),
        (" D1 ", "DOD", "", "H"),
        (" N  ", "ALA", "N1+", "N"),
        (" C1 ", "LIG", "X9", "C"),  # an element column without a symbol is passed over
        (" Q1 ", "LIG", "", None),
        ("1234", "LIG", "", None),
        ("CS1 ", "LIG", "CS", "C"),  # heavier than Xe is not known: the name decides
    ],
)
def test_elements_by_column_then_by_name(name, residue, element, symbol):
    assert element_of(name, residue.strip(), element) == symbol


@pytest.mark.parametrize(
    "name, symbol", [("CA  ", "C"), ("NA  ", "N"), ("CL1 ", "Cl"), ("Ca  ", "Ca"), ("ZN  ", "Zn"), ("C1  ", "C")]
)
def test_in_a_file_without_alignment_two_letters_need_more_evidence(name, symbol):
    assert element_of(name, "LIG", "", aligned=False) == symbol


def test_a_file_shows_whether_it_is_aligned(tmp_path):
    left, _ = read(tmp_path, atom("C1  "), atom("CA  ", x=2), atom("O   ", x=3), atom("CL  ", x=5))
    right, _ = read(tmp_path, atom(" C1 "), atom("CA  ", x=2), atom(" O  ", x=3), atom("CL  ", x=5))
    assert left.tolist() == [6, 6, 8, 17]
    assert right.tolist() == [6, 20, 8, 17]


def test_positions_and_elements_by_column_without_blanks_between(tmp_path):
    line = "ATOM  12345 HG11AVAL A 100    -100.123-200.456-300.789  1.00 99.99           H  "
    z, x = read(tmp_path, "REMARK ATOM", line, "TER", "END")
    assert z.tolist() == [1]
    np.testing.assert_array_equal(x, [[-100.123, -200.456, -300.789]])


def test_the_first_model_and_the_first_alternate_location_count(tmp_path):
    a, b = atom(" C1 ", element="C", alt="A", x=1), atom(" C1 ", element="C", alt="B", x=2)
    _, x = read(tmp_path, "MODEL", a, b, "ENDMDL", "MODEL", atom(" O1 ", element="O"), "ENDMDL")
    assert x[:, 0].tolist() == [1.0]


@pytest.mark.parametrize(
    "lines, message",
    [
        (["HEADER nothing"], r"m\.pdb: holds no ATOM or HETATM record"),
        ([atom(" Q1 ")], r"m\.pdb, line 1: no element from columns 77-78 '' and atom name ' Q1 ' of residue 'MOL'"),
        ([atom(" C1 ")[:40]], r"m\.pdb, line 1: columns 31-54 .* are not three coordinates"),
        ([atom(" C1 ").replace("   0.000", "     nan", 1)], r"line 1: coordinates .* are not finite"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, lines, message):
    with pytest.raises(RowError, match=message):
        read(tmp_path, *lines)


def test_a_binary_file_is_no_pdb(tmp_path):
    (tmp_path / "m.pdb").write_bytes(b"\xff\xfe\x00ATOM")
    with pytest.raises(RowError, match=r"m\.pdb: cannot be read as text"):
        read_pdb(tmp_path / "m.pdb")
