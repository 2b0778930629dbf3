"""PDB files with alternate locations, insertion codes, water, selenomethionine and links."""

import pytest

from psigraph.structures.protein_file import read_protein_text
from psigraph.structures.reading import RowError


@pytest.fixture
def read(tmp_path):
    def from_lines(*lines: str):
        path = tmp_path / "p.pdb"
        path.write_text("\n".join(lines) + "\n")
        return read_protein_text(path)

    return from_lines


def atoms_of(text: str) -> list[str]:
    """Name, residue, place and x of each atom."""
    return [f"{line[12:27]} {float(line[30:38]):g}" for line in text.splitlines() if line[:4] in ("ATOM", "HETA")]


def test_the_location_with_the_largest_occupancy_is_taken_for_the_whole_residue(read, atom_line):
    def at(name, location, occupancy, x, place="A  12"):
        return atom_line(name, "SER", place, (x, 0, 0), name[1], location=location, occupancy=occupancy)

    found = read(
        at(" N  ", " ", 1.0, 0),
        at(" CB ", "A", 0.45, 1),
        at(" CB ", "B", 0.55, 2),
        at(" OG ", "A", 0.50, 3),
        at(" OG ", "B", 0.50, 4),
        at(" CB ", "B", 0.5, 5, "A  13"),
        at(" CB ", "A", 0.5, 6, "A  13"),
    )
    assert atoms_of(found.text) == [" N   SER A  12  0", " CB  SER A  12  2", " OG  SER A  12  4", " CB  SER A  13  6"]
    assert found.alternates == 3 and found.atoms == 4


def test_residues_with_insertion_codes_are_residues_of_their_own(read, atom_line):
    places = ("A  12", "A  12A", "A  12B")
    lines = [atom_line(" CA ", "GLY", place, (n, 0, 0), "C") for n, place in enumerate(places)]
    found = read(*lines)
    assert atoms_of(found.text) == [f" CA  GLY {place:6s} {n}" for n, place in enumerate(places)]
    assert found.insertions == 2


def test_water_goes_and_selenomethionine_becomes_methionine(read, atom_line):
    found = read(
        atom_line("SE  ", "MSE", "A   1", (1, 0, 0), "SE"),
        atom_line(" CE ", "MSE", "A   1", (2, 0, 0), "C"),
        atom_line("ZN  ", " ZN", "A 301", (3, 0, 0), "ZN"),
        atom_line(" O  ", "HOH", "A 401", (4, 0, 0), "O"),
        atom_line(" O  ", "WAT", "A 402", (5, 0, 0), "O"),
        atom_line(" H1 ", "WAT", "A 402", (6, 0, 0), "H"),
    )
    assert atoms_of(found.text) == [" SD  MET A   1  1", " CE  MET A   1  2", "ZN    ZN A 301  3"]
    assert found.text.splitlines()[0][76:78] == " S"
    assert (found.waters, found.selenomethionines) == (2, 1)


def test_names_that_state_a_protonation_are_remembered(read, atom_line):
    names = ("HID", "HSE", "HIP", "ASH", "LYN", "HIS", "ASP")
    found = read(*(atom_line(" CA ", name, f"B  {n:2d}", (n, 0, 0), "C") for n, name in enumerate(names)))
    assert found.states == {
        ("B", "0", ""): "HID",
        ("B", "1", ""): "HIE",
        ("B", "2", ""): "HIP",
        ("B", "3", ""): "ASH",
        ("B", "4", ""): "LYN",
    }
    assert [line[17:20] for line in found.text.splitlines()[1:5]] == ["HIS", "HIP", "ASH", "LYS"]


def test_the_second_oxygen_at_the_end_of_a_chain_gets_its_standard_name(read, atom_line):
    """Some programs call it O1, another name of O to OpenMM. In a cofactor O1 is O1."""
    names = (" N  ", " CA ", " C  ", " O  ", " O1 ")
    end = [atom_line(name, "ILE", "A 615", (n, 0, 0), name[1]) for n, name in enumerate(names)]
    cofactor = [atom_line(name, "LIG", "A 700", (9, n, 0), "O") for n, name in enumerate((" O  ", " O1 "))]
    found = atoms_of(read(*end, *cofactor).text)
    assert [line[:4] for line in found] == [" N  ", " CA ", " C  ", " O  ", " OXT", " O  ", " O1 "]


def test_only_the_first_model_counts(read, atom_line):
    one, two = (atom_line(" CA ", "GLY", "A   1", (x, 0, 0), "C") for x in (1, 2))
    assert atoms_of(read("MODEL 1", one, "ENDMDL", "MODEL 2", two, "ENDMDL").text) == [" CA  GLY A   1  1"]


def test_links_to_what_is_not_in_the_file_are_remembered(read, atom_line):
    sulfur = atom_line(" SG ", "CYS", "A  25", (0, 0, 0), "S")
    zinc = atom_line("ZN  ", " ZN", "A 301", (2, 0, 0), "ZN")

    def link(atom: str, residue: str, place: str) -> str:
        first = "LINK         SG  CYS A  25 "
        return f"{first:<42s}{atom:<4s} {residue:>3s} {place:<6s}"

    found = read(sulfur, zinc, link("ZN", "ZN", "A 301"), link(" C9 ", "LIG", "A 302"), link(" O  ", "HOH", "A 403"))
    assert found.open_links == ((("A", "25", ""), "SG"),)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("REMARK",), r"p\.pdb: holds no ATOM or HETATM record"),
        (("HETATM    1  O   HOH A   1       1.000   1.000   1.000  1.00  0.00           O",), "nothing but water"),
        (
            ("ATOM      1  CA ASER A   1       1.000   1.000   1.000  x.00  0.00           C",),
            r"p\.pdb: occupancy '  x\.00' of ' CA ASER A   1 ' is not a number",
        ),
    ],
)
def test_files_that_cannot_be_used(read, lines, reason):
    with pytest.raises(RowError, match=reason):
        read(*lines)


def test_files_that_are_not_there_or_no_text(tmp_path):
    with pytest.raises(RowError, match=r"p\.pdb: cannot be read \(No such file or directory\)"):
        read_protein_text(tmp_path / "p.pdb")
    (tmp_path / "p.pdb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RowError, match=r"p\.pdb: holds no ATOM or HETATM record"):
        read_protein_text(tmp_path / "p.pdb")
