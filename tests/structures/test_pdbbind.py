"""The layout of PDBbind and CASF, made of real complexes of the package openmmforcefields."""

import numpy as np
import pytest
from rdkit import Chem

from psigraph.config import Pdbbind
from psigraph.structures import pdbbind
from psigraph.structures.build import build_structures, load_dataset
from psigraph.structures.ligands import sdf_records
from psigraph.structures.sources import StructureError, files_of
from psigraph.structures.store import StructureFile

INDEX = """# code, resolution, release year, -logKd/Ki, Kd/Ki, reference, ligand name
1abc  2.10  2012   4.31  Kd=49uM       // 1abc.pdf (LIG)
2xyz  1.85  2015   8.70  Ki=2nM        // 2xyz.pdf (LIG) incomplete
3ic5  NMR   2001   6.00  IC50=1uM      // 3ic5.pdf (LIG)
4iex  2.00  2001   6.00  Kd~1uM        // 4iex.pdf (LIG)
4geq  2.00  2001   6.00  Kd>1uM        // 4geq.pdf (LIG)
5bad  2.00  2001   3.00  Ki=1uM        // 5bad.pdf (LIG)
6odd  2.00  2001   6.00  Ka=1uM        // 6odd.pdf (LIG)
7cut  2.00  2001
8not  2.00  2001   6.00  Ki=1uM        // 8not.pdf (LIG)
"""
NAMES = """# code, release year, Uniprot ID, protein name
1abc  2012  P07820  INDUCED LEUKEMIA PROTEIN
2xyz  2015  ------  A PROTEIN WITHOUT CODE
"""


def dataset(path, **settings) -> Pdbbind:
    return Pdbbind(source="pdbbind", path=path, **({"index": "index/INDEX_refined_data.2020", "threads": 1} | settings))


@pytest.fixture
def folder(systems, tmp_path):
    """Three ligands of MCL1: one as SDF, one whose SDF RDKit cannot sanitise beside a good mol2, one as SDF."""
    records = list(sdf_records(systems / "mcl1/MCL1_ligands.sdf"))
    protein = (systems / "mcl1/MCL1_protein.pdb").read_text()
    for code, record in zip(("1abc", "2xyz", "3ic5", "4iex", "4geq", "5bad", "6odd", "7cut"), records, strict=False):
        (tmp_path / code).mkdir()
        (tmp_path / code / f"{code}_protein.pdb").write_text(protein)
        (tmp_path / code / f"{code}_ligand.sdf").write_text(record.block)
    mol = Chem.MolFromMolBlock(records[1].block, removeHs=False)
    (tmp_path / "2xyz/2xyz_ligand.mol2").write_text(mol2(mol))
    (tmp_path / "2xyz/2xyz_ligand.sdf").write_text(records[1].block.replace("M  END", ""))
    (tmp_path / "index").mkdir()
    (tmp_path / "index/INDEX_refined_data.2020").write_text(INDEX)
    (tmp_path / "index/INDEX_refined_name.2020").write_text(NAMES)
    return tmp_path


def mol2(mol: Chem.Mol) -> str:
    """A mol2 file of a molecule with all hydrogens: double bonds localised, except those of carboxylates."""
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    carboxylate = {i for match in mol.GetSubstructMatches(Chem.MolFromSmarts("[CX3](=O)[O-]")) for i in match[1:]}
    kinds = {Chem.HybridizationType.SP: "1", Chem.HybridizationType.SP2: "2"}
    lines = ["@<TRIPOS>MOLECULE", "x", f"{mol.GetNumAtoms()} {mol.GetNumBonds()} 0 0 0", "SMALL", "NO_CHARGES", ""]
    lines.append("@<TRIPOS>ATOM")
    for atom, (x, y, z) in zip(mol.GetAtoms(), mol.GetConformer().GetPositions(), strict=True):
        n, symbol = atom.GetIdx(), atom.GetSymbol()
        kind = symbol if symbol in ("H", "F", "Cl", "Br") else f"{symbol}.{kinds.get(atom.GetHybridization(), '3')}"
        lines.append(f"{n + 1} {symbol}{n + 1} {x} {y} {z} {'O.co2' if n in carboxylate else kind} 1 LIG 0")
    lines.append("@<TRIPOS>BOND")
    for n, bond in enumerate(mol.GetBonds(), start=1):
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        order = "ar" if {i, j} & carboxylate else int(bond.GetBondTypeAsDouble())
        lines.append(f"{n} {i + 1} {j + 1} {order}")
    return "\n".join([*lines, ""])


def test_complexes_of_an_index(folder, tmp_path):
    build_structures(dataset(folder, max_rejected=0.9), "mine", tmp_path / "s.h5", tmp_path / "s.csv")
    with StructureFile(tmp_path / "s.h5") as file:
        rows, found = file.rows(0, file.n), file.complexes(0, file.n)
    assert rows.ids.tolist() == ["1abc", "2xyz", "3ic5"]
    assert rows.group.tolist() == ["P07820", "A PROTEIN WITHOUT CODE", "3ic5"]
    np.testing.assert_array_equal(rows.labels[:, 0], [4.31, 8.70, 6.0])
    assert found.measure.tolist() == ["Kd", "Ki", "IC50"] and found.side.tolist() == ["", "", ""]
    assert found.protein_ids.tolist() == [f"{code}/{code}_protein.pdb" for code in ("1abc", "2xyz", "3ic5")]


def test_lines_that_are_inexact_or_wrong_are_rejected(folder):
    result = load_dataset(dataset(folder, max_rejected=0.9), "mine")
    assert {r.id: r.reason for r in result.rejected} == {
        "4iex": "'Kd~1uM' is not exact",
        "4geq": "'Kd>1uM' is not exact",
        "5bad": "pK is 3.00, which is not -log10 of Ki=1uM in mol/l: one is in another unit",
        "6odd": "'Ka=1uM' is no constant such as Kd=49uM, Ki=2nM or IC50=0.1mM",
        "7cut": "the line has 3 words before //, expected code, resolution, year, maybe pK, and constant",
        "8not": "protein: no file '8not/8not_protein.pdb' in the dataset's folder",
    }
    assert {r.row for r in result.rejected} == {"5", "6", "7", "8", "9", "10"}


def test_an_index_without_pk_and_folders_by_year(folder, caplog):
    """The layout of 2025: what is measured follows the year, and there is no list of names."""
    for code, years in (("1abc", "1981-2000"), ("2xyz", "2001-2010")):
        (folder / "P-L" / years).mkdir(parents=True)
        (folder / code).rename(folder / "P-L" / years / code)
    lines = (
        "1abc  2.00  1999  Kd=49uM  // x",
        "2xyz  NMR  2010  Ki=2nM  // x",
        "3ic5  1.90  2010  Kd=0M  // x",
        "4iex  2.00  2001  6.00  Kd=0M  // x",
    )
    (folder / "P-L/new.lst").write_text("\n".join(["# code, resolution, year, binding data", *lines, ""]))
    result = load_dataset(dataset(folder / "P-L", index="new.lst"), "mine")
    assert [(s.id, s.group) for s in result.structures] == [("1abc", "1abc"), ("2xyz", "2xyz")]
    np.testing.assert_allclose([s.labels[0] for s in result.structures], [4.3098, 8.69897], rtol=1e-5)
    assert [r.reason for r in result.rejected] == ["Kd=0M: not a number", "pK 6.00 of Kd=0M: not a number"]
    assert "each complex counts as a target of its own" in caplog.text
    found = {str(f.relative_to(folder / "P-L")) for f in files_of(dataset(folder / "P-L", index="new.lst"))}
    assert "1981-2000/1abc/1abc_protein.pdb" in found and "2001-2010/2xyz/2xyz_ligand.mol2" in found


def test_the_mol2_gives_the_same_ligand_as_the_sdf(folder, systems):
    from_mol2 = load_dataset(dataset(folder, max_rejected=0.9), "mine").structures[1]
    record = list(sdf_records(systems / "mcl1/MCL1_ligands.sdf"))[1]
    (folder / "2xyz/2xyz_ligand.sdf").write_text(record.block)
    from_sdf = load_dataset(dataset(folder, max_rejected=0.9), "mine").structures[1]
    assert from_mol2.binding.smiles == from_sdf.binding.smiles and from_mol2.charge == from_sdf.charge
    np.testing.assert_allclose(from_mol2.binding.atom_features, from_sdf.binding.atom_features, atol=1e-6)


def test_the_core_set_is_the_test_side(folder):
    (folder / "CoreSet.dat").write_text("#code  resl  year  logKa  Ka  target\n2xyz  1.85  2015  8.70  Ki=2nM  1\n")
    result = load_dataset(dataset(folder, core="CoreSet.dat", max_rejected=0.9), "mine")
    assert [(s.id, s.binding.side) for s in result.structures] == [
        ("1abc", "train"), ("2xyz", "test"), ("3ic5", "train")
    ]  # fmt: skip
    names = {f.name for f in files_of(dataset(folder, core="CoreSet.dat"))}
    assert {"CoreSet.dat", "INDEX_refined_data.2020", "1abc_protein.pdb", "2xyz_ligand.mol2"} <= names


def test_casf_s_core_set_is_an_index(folder):
    (folder / "CoreSet.dat").write_text("#code  resl  year  logKa  Ka  target\n1abc  2.10  2012  4.31  Kd=49uM  1\n")
    assert [s.id for s in load_dataset(dataset(folder, index="CoreSet.dat"), "mine").structures] == ["1abc"]


def test_indices_that_cannot_be_used(folder):
    with pytest.raises(StructureError, match=r"gone: cannot be read \(No such file or directory\); correct `index` or"):
        pdbbind.read(dataset(folder, index="gone"))
    (folder / "empty").write_text("# nothing\n")
    with pytest.raises(StructureError, match="empty: lists no complexes"):
        pdbbind.read(dataset(folder, index="empty"))
    with pytest.raises(StructureError, match="gone: no such file; correct its name"):
        files_of(dataset(folder, index="gone"))
