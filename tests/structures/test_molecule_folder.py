"""A table of molecules with XYZ files, SDF and SMILES, and every way a row can be wrong."""

import numpy as np
import openpyxl
import pytest
from pydantic import ValidationError
from rdkit import Chem
from rdkit.Chem import AllChem

from psigraph.config import MoleculeFolder
from psigraph.structures import molecule_folder
from psigraph.structures.build import build_structures, load_dataset
from psigraph.structures.embedding import conformers
from psigraph.structures.model import Label
from psigraph.structures.reading import RowError
from psigraph.structures.sources import StructureError, raw_files
from psigraph.structures.store import read_structures

WATER = "3\n\nO 0 0 0.117\nH 0 0.757 -0.47\nH 0 -0.757 -0.47\n"
PROPERTIES = {"gap": {"unit": "eV"}, "u0": {"unit": "eV", "extensive": True}}


def dataset(path, **settings) -> MoleculeFolder:
    return MoleculeFolder(source="molecule_folder", path=path, **({"properties": PROPERTIES} | settings))


def molblock(smiles: str, name: str) -> str:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", name)
    return Chem.MolToMolBlock(mol) + "$$$$\n"


@pytest.fixture
def folder(tmp_path):
    """Water and hydroxide as XYZ, an SDF of two, a molfile of one."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "water.xyz").write_text(WATER)
    (raw / "hydroxide.xyz").write_text("2\ncharge=-1\nO 0 0 0\nH 0 0 0.96\n")
    (raw / "two.sdf").write_text(molblock("C1CC1C", "ring") + molblock("C[NH3+]", "ion"))
    (raw / "one.mol").write_text(molblock("CF", "whatever").removesuffix("$$$$\n"))

    def write(*lines: str, header: str = "id,file,smiles,gap,u0,charge,multiplicity,group") -> None:
        (raw / "molecules.csv").write_text("\n".join([header, *lines]) + "\n")

    return raw, write


def test_files_and_smiles_become_structures_with_labels(folder):
    raw, write = folder
    write(
        "w,water.xyz,,1.5,-9",
        "oh,hydroxide.xyz,,2,",
        "ring,two.sdf,,,",
        "2,two.sdf,,4,1",
        "cf,one.mol,,5,1",
        "e,,CCO,6,1",
    )
    result = molecule_folder.read(dataset(raw, relax="none"))
    assert not result.rejected and [s.id for s in result.structures] == ["w", "oh", "ring", "2", "cf", "e"]
    assert result.label_specs == (Label("gap", "eV", False), Label("u0", "eV", True))
    np.testing.assert_array_equal(
        [s.labels for s in result.structures], [[1.5, -9], [2, np.nan], [np.nan, np.nan], [4, 1], [5, 1], [6, 1]]
    )
    assert [s.charge for s in result.structures] == [(0, 0), (-1, 0), (0, 0), (1, 0), (0, 0), (0, 0)]
    assert [sorted(s.z.tolist())[-1] for s in result.structures] == [8, 8, 6, 7, 9, 8]
    assert [s.n_atoms for s in result.structures] == [3, 2, 12, 8, 5, 9]
    assert result.structures[0].positions[1].tolist() == [0.0, 0.757, -0.47]


def test_the_stage_names_groups_and_scaffolds(folder, tmp_path):
    raw, write = folder
    write("w,water.xyz,,1,1", "ring,two.sdf,,1,1", "tolyl,,Cc1ccccc1,1,1", "mine,,CC,1,1,,,a", "too,,CCC,1,1,,,a")
    build_structures(dataset(raw), "mine", tmp_path / "s.h5", tmp_path / "r.csv")
    store = read_structures(tmp_path / "s.h5")
    assert store.group.tolist() == ["O", "CC1CC1", "Cc1ccccc1", "a", "a"]
    assert store.system.tolist() == ["O", "C1CC1", "c1ccccc1", "a", "a"]
    assert [label.name for label in store.label_specs] == ["gap", "u0"] and store.labels.shape == (5, 2)


def test_conformers_of_a_smiles_are_of_one_group_and_the_same_each_time(folder):
    raw, write = folder
    write("b,,CCCCO,1,2")
    sets = [load_dataset(dataset(raw, conformers=3, relax="none", seed=seed), "mine") for seed in (0, 0, 1)]
    first, again, other = ([s.positions for s in result.structures] for result in sets)
    assert [s.id for s in sets[0].structures] == ["b-0", "b-1", "b-2"]
    assert {s.group for s in sets[0].structures} == {"CCCCO"}
    assert all(s.labels.tolist() == [1, 2] for s in sets[0].structures)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - first[1]).max() > 0.1 and np.abs(first[0] - other[0]).max() > 0.1


@pytest.mark.parametrize("relax", ["mmff", "openmm"])
def test_relaxation_ends_in_a_minimum_of_mmff94(relax):
    drawn, relaxed = conformers("CC(=O)NC", 1, relax="none")[0], conformers("CC(=O)NC", 1, relax=relax)[0]
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(=O)NC"))
    AllChem.EmbedMolecule(mol)
    gradients, energies = [], []
    for structure in (drawn, relaxed):
        mol.GetConformer().SetPositions(structure.positions)
        field = AllChem.MMFFGetMoleculeForceField(mol, AllChem.MMFFGetMoleculeProperties(mol))
        gradients.append(np.abs(field.CalcGrad()).max())
        energies.append(field.CalcEnergy())
    assert gradients[0] > 1 and gradients[1] < 0.1 and energies[1] < energies[0]  # kcal/(mol Å), kcal/mol


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x,,C1CC,1,1", "smiles 'C1CC' cannot be read as a molecule; correct it"),
        ("x,,[Na+].[Cl-],1,1", r"smiles '\[Na\+\]\.\[Cl-\]' has several parts"),
        ("x,,C[*],1,1", r"smiles 'C\[\*\]': unknown element '\*'"),
        ("x,,CB(O)O,1,1", "smiles 'CB.O.O': MMFF94 does not know its atoms; set relax: none"),
        ("x,,C12C3C4C1C5C2C3C45.C,1,1", "has several parts"),
        ("x,gone.xyz,,1,1", "file: no file 'gone.xyz' in the dataset's folder"),
        ("x,molecules.csv,,1,1", r"file 'molecules.csv': unknown ending '.csv'; known: .xyz, .sdf, .mol"),
        ("x,water.xyz,O,1,1", "both file and smiles are given"),
        ("x,,,1,1", "file and smiles are empty"),
        ("x,water.xyz,,high,1", "gap is 'high', not a number"),
        ("x,water.xyz,,1,inf", "u0 is 'inf', not a finite number"),
        ("x,water.xyz,,1,1,half", "charge is 'half', not a number"),
        ("x,water.xyz,,1,1,0,1.5", "multiplicity is '1.5', not a whole number"),
        ("x,water.xyz,,1,1,1", r"molecule: charge \+1 and multiplicity 1 cannot be: 9 electrons"),
        ("x,hydroxide.xyz,,1,1,0", r"charge is \+0, the structure's own is -1; make them agree"),
        ("x,,C[O-],1,1,1", r"charge is \+1, the structure's own is -1"),
        ("x,two.sdf,,1,1", "two.sdf: none of its 2 records is named 'x'; write the record's name, or its number"),
        ("3,two.sdf,,1,1", "two.sdf: none of its 2 records is named '3'"),
        ("x,bad.xyz,,1,1", "bad.xyz: unknown element 'Qq'"),
        ("x,far.xyz,,1,1", "far.xyz: charge in the comment line is 'many', not a whole number"),
        ("x,flat.sdf,,1,1", "flat.sdf: the record is a drawing in two dimensions; give its SMILES"),
        ("x,bare.sdf,,1,1", "bare.sdf: 4 hydrogens are not written out as atoms"),
        ("x,dummy.sdf,,1,1", r"dummy.sdf: unknown element '\*'"),
        ("x,text.sdf,,1,1", "text.sdf: record 1 cannot be read as a molfile"),
        ("same,twins.sdf,,1,1", "twins.sdf: 2 records are named 'same'; names in one file must differ"),
        (",water.xyz,,1,1", "id is empty"),
        ("w,water.xyz,,1,1", "duplicate id 'w', which row 1 has already"),
        ("x,water.xyz,,1,1,0,1,g,more", "the row has 9 cells, more than the header's 8"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_reason(folder, line, reason):
    raw, write = folder
    (raw / "bad.xyz").write_text("1\n\nQq 0 0 0\n")
    (raw / "far.xyz").write_text("1\ncharge=many\nHe 0 0 0\n")
    flat = Chem.AddHs(Chem.MolFromSmiles("CO"))
    AllChem.Compute2DCoords(flat)
    (raw / "flat.sdf").write_text(Chem.MolToMolBlock(flat) + "$$$$\n")
    bare = Chem.MolFromSmiles("CO")
    AllChem.EmbedMolecule(bare, randomSeed=1)
    (raw / "bare.sdf").write_text(Chem.MolToMolBlock(bare) + "$$$$\n")
    (raw / "dummy.sdf").write_text(molblock("CC", "d").replace(" C  ", " *  "))
    (raw / "text.sdf").write_text("one\n\n\nno counts\nM  END\n$$$$\n")
    (raw / "twins.sdf").write_text(2 * molblock("C", "same"))
    write("w,water.xyz,,1.5,-9", line)
    result = load_dataset(dataset(raw), "mine")
    assert [s.id for s in result.structures] == ["w"]
    (rejected,) = result.rejected
    assert (rejected.source, rejected.row, rejected.kind) == ("molecules.csv", "2", "unreadable")
    with pytest.raises(RowError, match=reason):
        raise RowError(rejected.reason)


def test_a_geometry_that_cannot_be_drawn_is_named():
    with pytest.raises(RowError, match=r"RDKit finds no conformer; give a file instead"):
        conformers("C1#CC1", relax="none")


def test_an_excel_table_and_columns_that_are_not_used(folder, caplog):
    raw, _ = folder
    workbook = openpyxl.Workbook()
    for line in (["id", "file", "gap", "note"], ["w", "water.xyz", 1.25, "hello"]):
        workbook.active.append(line)
    workbook.save(raw / "t.xlsx")
    settings = dataset(raw, table="t.xlsx", properties={"gap": {"unit": "eV"}})
    result = molecule_folder.read(settings)
    assert result.structures[0].labels.tolist() == [1.25]
    assert "t.xlsx: columns that are not used: note" in caplog.text
    files = raw_files("molecule_folder", path=raw, table="t.xlsx")
    assert [f.name for f in files] == ["hydroxide.xyz", "one.mol", "t.xlsx", "two.sdf", "water.xyz"]


def test_a_table_that_cannot_be_used_at_all(folder):
    raw, write = folder
    with pytest.raises(StructureError, match=r"molecules\.csv: no such file"):
        molecule_folder.read(dataset(raw))
    with pytest.raises(StructureError, match=r"molecules\.csv: no such file; name the table of molecules in `table`"):
        raw_files("molecule_folder", path=raw, table="molecules.csv")
    write(header="id,file,gap")
    with pytest.raises(StructureError, match=r"molecules\.csv: lacks the column 'u0'"):
        molecule_folder.read(dataset(raw))
    write(header="id,gap,u0")
    with pytest.raises(StructureError, match=r"molecules\.csv: lacks a column 'file' or 'smiles'"):
        molecule_folder.read(dataset(raw))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"properties": {}}, "properties"),
        ({"properties": {"charge": {"unit": "e"}}}, "the column 'charge' is no label"),
        ({"table": "../molecules.csv"}, "'../molecules.csv' is no .csv or .xlsx file in the folder"),
        ({"table": "molecules.txt"}, "'molecules.txt' is no .csv or .xlsx file in the folder"),
    ],
)
def test_settings_that_cannot_be(folder, settings, reason):
    with pytest.raises(ValidationError, match=reason):
        dataset(folder[0], **settings)
