import itertools

import numpy as np
import pytest

from psigraph.config import DATABASES, Psi4Databases
from psigraph.structures import psi4_databases
from psigraph.structures.elements import SYMBOLS
from psigraph.structures.psi4_text import parse_molecule
from psigraph.structures.reading import ReadResult
from psigraph.structures.sources import StructureError, psi4_databases_folder
from psigraph.structures.zmatrix import place_atoms
from psigraph.units import BOHR_RADIUS

COUNTS = {
    "A24": 24, "BBI": 100, "HBC6": 118, "JSCH": 124, "NBC10": 184, "RGC10": 180, "S22by5": 110, "S66by8": 528,
    "SSI": 3380,
}  # fmt: skip


def read(folder, name: str) -> ReadResult:
    result = ReadResult(psi4_databases.UNIT)
    psi4_databases.read_database(folder, name, result)
    return result


@pytest.mark.parametrize("name", DATABASES)
def test_every_dimer_of_a_database_is_read(databases, name):
    result = read(databases, name)
    assert (len(result.structures), result.rejected) == (COUNTS[name], [])
    assert len({s.id for s in result.structures}) == COUNTS[name]
    assert all(s.id.startswith(f"{name}-") and s.source == name and np.isfinite(s.v_ref) for s in result.structures)


@pytest.mark.parametrize("name", ["NBC10", "RGC10", "HBC6", "S22by5", "JSCH"])
def test_geometries_have_the_nuclear_repulsion_that_psi4_recorded(databases, name):
    """The modules record Psi4's own nuclear repulsion energy [hartree]: an independent check of the z-matrices."""
    module = psi4_databases.load_module(databases / f"{name}.py")
    recorded = module["DATA"]["NUCLEAR REPULSION ENERGY"]
    compared = 0
    for s in read(databases, name).structures:
        key = f"{module['dbse']}-{s.id.removeprefix(name + '-')}-dimer"
        if key not in recorded:
            continue
        i, j = np.triu_indices(s.n_atoms, k=1)
        z, x = s.z.astype(float), s.positions / BOHR_RADIUS
        energy = (z[i] * z[j] / np.linalg.norm(x[i] - x[j], axis=1)).sum()
        assert energy == pytest.approx(recorded[key], rel=3e-6), s.id
        compared += 1
    assert compared == COUNTS[name]


def test_reference_energies_go_with_their_members(databases):
    """Regression, values [kcal/mol] from the text of A24.py and S66by8.py (water-ammonia and the water dimer)."""
    a24, s66 = ({s.id: s for s in read(databases, name).structures} for name in ("A24", "S66by8"))
    assert a24["A24-1"].v_ref == -6.524
    assert [s66[f"S66by8-1-{d}"].v_ref for d in ("0.9", "0.95", "1.0", "1.05")] == [-4.57, -4.88, -4.89, -4.72]
    assert sorted(a24["A24-1"].monomer(0)[0]) == [1, 1, 8] and sorted(a24["A24-1"].monomer(1)[0]) == [1, 1, 1, 7]


def test_separations_of_a_curve_are_one_system(databases):
    systems = {s.system for s in read(databases, "S66by8").structures}
    assert systems == {f"S66by8-{n}" for n in range(1, 67)}
    assert {s.system for s in read(databases, "SSI").structures} == {s.id for s in read(databases, "SSI").structures}
    assert len({s.system for s in read(databases, "HBC6").structures}) == 6


def test_every_database_of_the_configuration_has_its_reference():
    assert set(psi4_databases.REFERENCES) == set(DATABASES)
    assert all("doi:10." in text for text in psi4_databases.REFERENCES.values())


MODULE = """
import re
import qcdb
dbse = 'TINY'
HRXN = [1, 2, 3, 4]
BIND = {'TINY-1': %s, 'TINY-2': float('nan'), 'TINY-3': 0.0}
GEOS = {}
text = "He 0 0 0\\n--\\nHe 0 0 %%s\\n"
for n in (1, 2, 4):
    GEOS['TINY-%%s-dimer' %% n] = qcdb.Molecule(text %% (n + 2))
GEOS['TINY-3-dimer'] = qcdb.Molecule("He 0 0 0\\nHe 0 0 3")
GEOS['TINY-1-monoA-CP'] = GEOS['TINY-1-dimer'].extract_fragments(1, 2)
"""


def test_missing_references_and_wrong_fragments_are_rejected_with_reasons(tmp_path):
    (tmp_path / "TINY.py").write_text(MODULE % -0.02)
    result = read(tmp_path, "TINY")
    assert [s.id for s in result.structures] == ["TINY-1"]
    assert [(r.row, r.id, r.reason) for r in result.rejected] == [
        ("2", "TINY-2", "no reference energy: nan"),
        ("3", "TINY-3", "a dimer has two fragments, this text 1"),
        ("4", "TINY-4", "no reference energy: None"),
    ]


def test_a_database_of_placeholders_is_rejected_row_by_row(tmp_path):
    (tmp_path / "TINY.py").write_text((MODULE % 0.0).replace("float('nan')", "0.0"))
    assert {r.reason for r in read(tmp_path, "TINY").rejected[:2]} == {
        "no reference energy: all are 0 in this database"
    }


@pytest.mark.parametrize(
    "text, message",
    [
        ("import nothing_like_this", "cannot be run as a database of Psi4 .ModuleNotFoundError.*reinstall psi4-data"),
        ("x = 1", "defines no dbse, HRXN, BIND, GEOS"),
    ],
)
def test_a_damaged_module_is_named(tmp_path, text, message):
    (tmp_path / "BAD.py").write_text(text)
    with pytest.raises(StructureError, match=rf"BAD\.py: {message}"):
        read(tmp_path, "BAD")
    with pytest.raises(StructureError, match=r"ABSENT\.py: no such database"):
        read(tmp_path, "ABSENT")


def test_the_folder_is_found_by_variable_and_a_wrong_one_is_named(tmp_path, monkeypatch):
    (tmp_path / "databases").mkdir()
    (tmp_path / "databases" / "S66by8.py").touch()
    monkeypatch.setenv("PSIGRAPH_PSI4_DATA", str(tmp_path))
    assert psi4_databases_folder() == tmp_path / "databases"
    monkeypatch.setenv("PSIGRAPH_PSI4_DATA", str(tmp_path / "databases"))
    assert psi4_databases_folder() == tmp_path / "databases"
    monkeypatch.setenv("PSIGRAPH_PSI4_DATA", str(tmp_path / "no"))
    with pytest.raises(StructureError, match="PSIGRAPH_PSI4_DATA=.*no: holds no databases/S66by8.py"):
        psi4_databases_folder()


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"min_atoms": 7}, "fewer atoms than min_atoms 7"),
        ({"max_atoms": 5}, "more atoms than max_atoms 5"),
        ({"exclude_elements": ["He", "O"]}, "contains O (exclude_elements)"),
        ({"exclude_elements": ["He"], "min_atoms": 6, "max_atoms": 6}, None),
    ],
)
def test_settings_that_leave_a_dimer_out(dimer, settings, reason):
    dataset = Psi4Databases(source="psi4_databases", databases=["A24"], **settings)
    assert psi4_databases.unselected(dataset, dimer()) == reason


def test_charged_and_open_shell_dimers_are_left_out_on_request(dimer):
    dataset = Psi4Databases(source="psi4_databases", databases=["A24"], neutral_closed_shell=True)
    reasons = [
        psi4_databases.unselected(dataset, s) for s in (dimer(), dimer(charge=(1, -1)), dimer(multiplicity=(1, 3)))
    ]
    assert reasons == [None, *["charged or open-shell (neutral_closed_shell)"] * 2]


def test_molecule_text_with_everything():
    parsed = parse_molecule(
        """
        # a comment
        1 2
        no_com
        symmetry c1
        X
        N  1 r
        H1 2 1.0 1 90.0
        @He 2 1.0 1 90.0 3 -a   # a ghost
        Gh(Ne) 0.0 0.0 z
        --
        -1 1
        O_w 0.0 0.0 -z
        units au

        r = 2.0
        a = 120.0
        z = 7.5
        """
    )
    assert [SYMBOLS[z] for z in parsed.z] == ["N", "H", "O"]
    assert (parsed.charge, parsed.multiplicity) == ((1, -1), (2, 1))
    assert parsed.fragment.tolist() == [0, 0, 1]
    assert parsed.positions / BOHR_RADIUS == pytest.approx(np.array([[0, 0, 2], [1, 0, 2], [0, 0, -7.5]]), abs=1e-12)


def test_placed_atoms_have_the_internal_coordinates_they_were_given():
    rng = np.random.default_rng(2)
    distances, angles, dihedrals = rng.uniform(1, 2, 8), rng.uniform(40, 140, 8), rng.uniform(-180, 180, 8)
    lines = [["C"], ["C", "1", f"{distances[1]}"], ["C", "2", f"{distances[2]}", "1", f"{angles[2]}"]]
    for n in range(3, 8):
        lines.append(["C", str(n), f"{distances[n]}", str(n - 1), f"{angles[n]}", str(n - 2), f"{dihedrals[n]}"])
    x = place_atoms(lines, {})
    for n in range(3, 8):
        d, c, b, a = x[n], x[n - 1], x[n - 2], x[n - 3]
        assert np.linalg.norm(d - c) == pytest.approx(distances[n])
        cosine = (d - c) @ (b - c) / np.linalg.norm(d - c) / np.linalg.norm(b - c)
        assert np.degrees(np.arccos(cosine)) == pytest.approx(angles[n])
        # IUPAC: positive where the far bond turns clockwise, seen along c-b (Blondel and Karplus 1996, eq. 1)
        f, g, h = d - c, c - b, a - b
        m, k = np.cross(f, g), np.cross(h, g)
        found = np.degrees(np.arctan2(np.cross(k, m) @ g / np.linalg.norm(g), m @ k))
        assert found == pytest.approx(dihedrals[n])


@pytest.mark.parametrize(
    "lines, message",
    [
        (["C", "C 2 1.0"], "atom 2, line 'C 2 1.0': it refers to atom 2, which is not above it"),
        (["C", "C 1 R"], "'R' is neither a number nor a variable"),
        (["C", "C 1 1.0", "C 2 1.0"], "expected symbol x y z, or a z-matrix line"),
        (["C", "C 1 1.0", "C 2 1.0 2 90.0"], "it refers to one atom twice"),
        (["C", "C 1 1.0", "C 2 1.0 1 180.0", "C 3 1.0 2 90.0 1 0.0"], "lie on one line"),
    ],
)
def test_impossible_z_matrices_are_named(lines, message):
    with pytest.raises(ValueError, match=message):
        place_atoms([line.split() for line in lines], {})


def test_an_unknown_unit_of_length_is_an_error():
    with pytest.raises(ValueError, match="unknown unit of length"):
        parse_molecule("He 0 0 0\nunits furlong")


def test_a_curve_has_growing_separations(databases):
    from psigraph.structures.selection import separation_of

    for _, curve in itertools.groupby(read(databases, "RGC10").structures, key=lambda s: s.system):
        r = [separation_of(s) for s in curve]
        assert len(r) == 18 and r == sorted(r)
