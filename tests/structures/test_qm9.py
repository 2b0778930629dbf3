"""QM9: its tables as the package qm9pack holds them, and single molecules through the structures stage."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from psigraph.config import Qm9
from psigraph.structures import qm9
from psigraph.structures.build import build_structures
from psigraph.structures.checks import check, check_structure
from psigraph.structures.duplicates import find_duplicates
from psigraph.structures.identity import group_of
from psigraph.structures.model import Structure
from psigraph.structures.qm9_labels import COLUMNS, LABELS
from psigraph.structures.reading import ReadResult, RowError, count_kinds
from psigraph.structures.selection import limit_per_group, limit_total
from psigraph.structures.sources import StructureError, qm9_folder, raw_files
from psigraph.structures.store import read_structures, write_structures
from psigraph.units import energy_factor

HEADER = "XYZ_file,Index,SMILES,N_atoms,Elements,XYZ_Ang," + ",".join(column.column for column in COLUMNS)
#: Dipole to heat capacity as the tables write them; energies [hartree].
VALUES = "0.,1.5,-0.25,0.125,0.375,30.,0.02,-76.5,-76.25,-76.,-77.,6."
WATER = "[[0.,0.,0.117],[0.,0.757,-0.47],[0.,-0.757,-0.47]]"


def line(number: int, symbols: list[str], positions: str) -> str:
    elements = "[" + ",".join(f"'{s}'" for s in symbols) + "]"
    return f'"dsgdb9nsd_{number:06d}.xyz",{number},"C1CC1C",{len(symbols)},"{elements}","{positions}",{VALUES}'


@pytest.fixture
def folder(tmp_path):
    """Two tables: ten chains of 1 to 10 helium atoms in the first; water, a cut line and odd numbers in the second."""
    chains = [
        line(n, ["He"] * n, "[" + ",".join(f"[0.,0.,{3.0 * k + n / 10}]" for k in range(n)) + "]") for n in range(1, 11)
    ]
    (tmp_path / "qm9_part1.csv").write_text("\n".join([HEADER, *chains]) + "\n")
    rest = [
        line(11, ["O", "H", "H"], WATER),
        line(12, ["O", "H", "H"], WATER[:-23]),
        line(13, ["O", "Q"], "[[0.,0.,0.],[0.,0.,1.]]"),
        line(14, ["O"], "[[0.,0.,x]]"),
        '"dsgdb9nsd_000015.xyz",15',
        line(16, ["O", "H", "H"], WATER).replace("0.375", "?"),
    ]
    (tmp_path / "qm9_part2.csv").write_text("\n".join([HEADER, *rest]) + "\n")
    (tmp_path / "qm9_polarizability.csv").write_text("XYZ_file,A_xx\n")
    return tmp_path


def settings(folder=None, **changes) -> SimpleNamespace:
    return SimpleNamespace(
        **({"path": folder, "min_heavy_atoms": 1, "max_heavy_atoms": None, "max_structures": None} | changes)
    )


def test_tables_are_read_and_rows_that_cannot_be_are_named(folder):
    result = check(qm9.read(settings(folder)), molecules=True)
    assert [s.id for s in result.structures] == [f"dsgdb9nsd_{n:06d}" for n in range(1, 12)]
    water = result.structures[-1]
    assert (water.z.tolist(), water.positions[1].tolist()) == ([8, 1, 1], [0.0, 0.757, -0.47])
    assert not water.fragment.any() and not water.is_dimer and np.isnan(water.v_ref)
    reasons = {r.id: (r.source, r.row, r.reason) for r in result.rejected}
    assert reasons["dsgdb9nsd_000012"] == (
        "qm9_part2.csv", "2", "3 elements and 6 coordinates do not go together"
    )  # fmt: skip
    assert "'Q'" in reasons["dsgdb9nsd_000013"][2] and "XYZ_Ang is '[[0.,0.,x]]'" in reasons["dsgdb9nsd_000014"][2]
    assert "dsgdb9nsd_000015" in reasons and count_kinds(result.rejected)["unreadable"] == 5
    assert reasons["dsgdb9nsd_000016"][2] == "HOMO_LUMO_gap_au is '?', not a number"
    assert result.label_specs == LABELS and water.system == "C1CC1"
    hartree = energy_factor("hartree", "eV")
    energies = [-76.5 + 75.064579 + 2 * 0.500273, -76.25 + 75.063163 + 2 * 0.498857]  # U0, U
    energies += [-76.0 + 75.062219 + 2 * 0.497912, -77.0 + 75.079532 + 2 * 0.510927]  # H, G
    expected = [0, 1.5, -0.25 * hartree, 0.125 * hartree, 0.375 * hartree, 30, 0.02 * hartree]
    assert water.labels == pytest.approx([*expected, *(e * hartree for e in energies), 6])
    assert np.isnan(result.structures[0].labels[7:11]).all() and result.structures[0].labels[0] == 0.0  # helium


def test_limits_and_an_even_deterministic_selection(folder):
    result = qm9.read(settings(folder, min_heavy_atoms=3, max_heavy_atoms=9, max_structures=3))
    assert [s.n_atoms for s in result.structures] == [3, 6, 9]  # both ends and the middle
    assert count_kinds(result.rejected) == {"unreadable": 0, "not selected": 13, "identical": 0}
    reasons = {r.id: r.reason for r in result.rejected}
    assert reasons["dsgdb9nsd_000001"] == "not selected: fewer heavy atoms than min_heavy_atoms 3"
    assert reasons["dsgdb9nsd_000010"] == "not selected: more heavy atoms than max_heavy_atoms 9"
    assert reasons["dsgdb9nsd_000004"] == "not selected: beyond max_structures 3"
    again = qm9.read(settings(folder, min_heavy_atoms=3, max_heavy_atoms=9, max_structures=3))
    assert [s.id for s in again.structures] == [s.id for s in result.structures]


def test_raw_files_are_the_tables_that_are_read(folder):
    assert [f.name for f in raw_files("qm9", path=folder)] == ["qm9_part1.csv", "qm9_part2.csv"]


def test_without_tables_the_message_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(StructureError, match=r"holds no qm9_part\*\.csv; install qm9pack again or correct `path`"):
        qm9_folder(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StructureError, match="qm9pack, which holds the data, is not installed; .*pip install qm9pack"):
        raw_files("qm9")
    (tmp_path / "qm9_part1.csv").write_text("XYZ_file,Elements\n")
    with pytest.raises(StructureError, match=r"qm9_part1\.csv: lacks the columns SMILES, XYZ_Ang, Dipole_debye"):
        qm9.read(settings(tmp_path))


def molecule(name: str = "m", **fields) -> Structure:
    positions = np.array([[0.0, 0.0, 0.117], [0.0, 0.757, -0.47], [0.0, -0.757, -0.47]])
    return Structure(**({"id": name, "z": [8, 1, 1], "positions": positions, "fragment": np.zeros(3)} | fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"fragment": [0, 0, 1]}, "a molecule has fragment A only, this one has 1 other atoms"),
        ({"charge": (0, 1)}, r"of B charge \+1 and multiplicity 1"),
        ({"multiplicity": (2, 1)}, r"molecule: charge \+0 and multiplicity 2 cannot be: 10 electrons"),
        ({"positions": np.zeros((3, 3))}, "atoms 1 and 2 are 0.00 Å apart"),
    ],
)
def test_molecules_that_cannot_be(fields, reason):
    with pytest.raises(RowError, match=reason):
        check_structure(molecule(v_ref=np.nan, **fields), molecules=True)


def test_a_dimer_still_needs_both_fragments_and_a_reference():
    with pytest.raises(RowError, match="fragment B has no atoms"):
        check_structure(molecule(v_ref=-1.0))
    with pytest.raises(RowError, match="reference value is nan"):
        check_structure(molecule(v_ref=np.nan))


def test_a_single_atom_is_a_molecule():
    atom = Structure("he", [2], np.zeros((1, 3)), [0], np.nan)
    check_structure(atom, molecules=True)
    assert group_of(atom) == "[He]" and find_duplicates([atom, atom]) == {1: 0}


def test_groups_duplicates_and_selection_of_molecules(tmp_path):
    water, turned = molecule("a", v_ref=np.nan), molecule("b", v_ref=np.nan)
    turned.positions = turned.positions[:, [2, 0, 1]] + 5.0
    sulfide = molecule("c", z=[16, 1, 1], v_ref=np.nan)
    assert (group_of(water), group_of(turned), group_of(sulfide)) == ("O", "O", "S")
    assert find_duplicates([water, sulfide, turned]) == {2: 0}
    for s in (water, turned, sulfide):
        s.group = group_of(s)
    assert limit_per_group([water, turned, sulfide], 1) == [0, 2]
    assert limit_total([water, turned, sulfide], 2) == [0, 2]
    write_structures(tmp_path / "s.h5", [water, sulfide], unit="hartree", settings={})
    back = read_structures(tmp_path / "s.h5")
    assert [s.is_dimer for s in back] == [False, False] and np.isnan(back.v_ref).all()
    assert back.charge.tolist() == [[0, 0], [0, 0]] and back.multiplicity.tolist() == [[1, 1], [1, 1]]


def test_rows_that_a_reader_leaves_out_by_settings_are_not_unreadable(folder, tmp_path):
    dataset = Qm9(source="qm9", path=folder, max_heavy_atoms=3, max_rejected=0.6)
    counts = build_structures(dataset, "mine", tmp_path / "s.h5", tmp_path / "r.csv")
    assert counts == {
        "rows": 16, "structures": 4, "groups": 4, "unreadable": 5, "not selected": 7, "identical": 0
    }  # fmt: skip
    store = read_structures(tmp_path / "s.h5")
    assert store.unit == "hartree" and {"[He]", "O"} < set(store.group)
    assert store.label_specs == LABELS and store.labels.shape == (4, 12) and set(store.system) == {"C1CC1"}
    limited = Qm9(source="qm9", path=folder, max_heavy_atoms=3, max_rejected=0.5)
    with pytest.raises(StructureError, match="mine: 5 of 9 rows cannot be used, more than max_rejected 0.5"):
        build_structures(limited, "mine", tmp_path / "s.h5", tmp_path / "r.csv")


@pytest.fixture(scope="session")
def installed():
    try:
        qm9_folder()
    except StructureError as error:
        pytest.skip(str(error))
    return qm9.read(settings(max_structures=60))


def test_the_package_is_read_and_not_imported(installed):
    code = """if True:
        import sys
        from psigraph.structures.sources import raw_files
        print(len(raw_files("qm9")), "qm9pack" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]
    assert len(installed.structures) == 60 and len(installed.rejected) == 130_831 - 60
    first = installed.structures[0]
    assert (first.id, first.z.tolist()) == ("dsgdb9nsd_000001", [6, 1, 1, 1, 1])
    assert np.linalg.norm(first.positions[1:] - first.positions[0], axis=1) == pytest.approx(1.092, abs=1e-3)


def test_all_molecules_of_the_package_that_are_looked_at_can_be(installed):
    checked = check(installed, molecules=True)
    assert isinstance(checked, ReadResult) and len(checked.structures) == 60
    assert max(s.n_atoms for s in checked.structures) <= 29
    assert not find_duplicates(checked.structures)


def named_labels(structure) -> dict[str, float]:
    return dict(zip((label.name for label in LABELS), structure.labels, strict=True))


def test_benzene_has_its_published_atomisation_energy(installed):
    """1305.7 ± 0.7 kcal/mol at 0 K from experiment: S. Parthiban, J. M. L. Martin, J. Chem. Phys. 115, 2051 (2001),
    arXiv:physics/0105060, abstract. B3LYP is within 0.1 % of it."""
    row = next(row for row in qm9._rows(qm9_folder()) if row.smiles == "C1=CC=CC=C1")
    benzene = qm9._structure(row)
    assert sorted(benzene.z) == [1] * 6 + [6] * 6 and benzene.system == "c1ccccc1"
    assert named_labels(benzene)["u0"] * energy_factor("eV", "kcal/mol") == pytest.approx(-1305.7, abs=1.5)
    assert named_labels(benzene)["mu"] == pytest.approx(0.0, abs=1e-3)


def test_labels_hang_together_as_physics_says(installed):
    """Of ideal gases H = U + RT, of molecule and atoms alike; the gap lies between the frontier orbitals."""
    rt = 8.314462618e-3 * 298.15 * energy_factor("kJ/mol", "eV")
    for structure in installed.structures:
        label = named_labels(structure)
        assert label["h"] - label["u"] == pytest.approx(rt * (1 - structure.n_atoms), abs=1e-3)
        assert label["gap"] == pytest.approx(label["lumo"] - label["homo"], abs=6e-3)  # hartree to four digits
        assert label["h"] < label["u"] < label["u0"] < 0 < label["zpve"] and label["g"] > label["h"]
    assert named_labels(installed.structures[0])["u0"] == pytest.approx(-17.172, abs=1e-3)  # methane
