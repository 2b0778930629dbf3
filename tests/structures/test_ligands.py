"""Ligands from SDF and mol2: features, hydrogens, and every file that is no ligand."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from psigraph.structures.ligands import ligand_of, molecule_of, read_ligand, sdf_records
from psigraph.structures.reading import RowError

DONOR, ACCEPTOR, AROMATIC, HYDROPHOBIC, CHARGE = range(5)


def embedded(smiles: str, hydrogens: bool = True) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=2) == 0
    return mol if hydrogens else Chem.RemoveHs(mol)


def raw(mol: Chem.Mol) -> Chem.Mol:
    """As it comes from a file, not sanitised."""
    return molecule_of(Chem.MolToMolBlock(mol))


MOL2 = """@<TRIPOS>MOLECULE
acetate
 7 6 0 0 0
SMALL
NO_CHARGES

@<TRIPOS>ATOM
      1 C1      0.0000    0.0000    0.0000 C.3     1  LIG  0.0
      2 C2      1.5000    0.0000    0.0000 C.2     1  LIG  0.0
      3 O1      2.1000    1.0800    0.1000 O.co2   1  LIG  0.0
      4 O2      2.1000   -1.0800   -0.1000 O.co2   1  LIG  0.0
      5 H1     -0.3600    1.0300    0.0000 H       1  LIG  0.0
      6 H2     -0.3600   -0.5100    0.8900 H       1  LIG  0.0
      7 H3     -0.3600   -0.5100   -0.8900 H       1  LIG  0.0
@<TRIPOS>BOND
     1    1    2 1
     2    2    3 ar
     3    2    4 ar
     4    1    5 1
     5    1    6 1
     6    1    7 1
"""


@pytest.mark.parametrize(
    ("smiles", "donors", "acceptors", "hydrophobic"),
    [
        ("CCO", {2}, {2}, {0}),
        ("CC(=O)NC", {3}, {2}, {0}),
        ("CC(=O)[O-]", set(), {2, 3}, {0}),
        ("CN(C)C", set(), {1}, set()),
        ("C[NH3+]", {1}, set(), set()),
        ("Nc1ccccc1", {0}, set(), {2, 3, 4, 5, 6}),
        ("c1ccncc1", set(), {3}, {0, 1, 5}),
        ("c1cc[nH]c1", {3}, set(), {0, 1}),
        ("CC#N", set(), {2}, {0}),
        ("NS(=O)(=O)CBr", {0}, {2, 3}, {4, 5}),
        ("C[N+](=O)[O-]", set(), {2, 3}, set()),
        ("CC(F)Cl", set(), set(), {0, 1, 2, 3}),
        ("CSC", set(), set(), {0, 2}),
        ("NC(=N)C", {0, 2}, {2}, {3}),
    ],
)
def test_flags_of_functional_groups(smiles, donors, acceptors, hydrophobic):
    found = ligand_of(raw(embedded(smiles)))
    flags = [set(np.flatnonzero(found.atom_features[:, k]).tolist()) for k in (DONOR, ACCEPTOR, HYDROPHOBIC)]
    assert flags == [donors, acceptors, hydrophobic]


def test_charges_add_up_to_the_charge_of_the_ligand_and_hydrogens_have_their_own():
    for smiles, charge in (("CC(=O)[O-]", -1), ("C[NH3+]", 1), ("c1ccccc1O", 0), ("[O-]C(=O)C[NH3+]", 0)):
        found = ligand_of(raw(embedded(smiles)))
        assert found.charge == charge
        assert found.atom_features[:, CHARGE].sum() == pytest.approx(charge, abs=1e-4)
        hydrogens = found.atom_features[found.z == 1]
        assert (hydrogens[:, :CHARGE] == 0).all() and (hydrogens[:, CHARGE] > 0).all()


def test_bonds_and_aromatic_atoms():
    found = ligand_of(raw(embedded("C=CC#CCc1ccccc1")))
    table = {tuple(pair): features.tolist() for pair, features in zip(found.bonds, found.bond_features, strict=True)}
    assert table[0, 1] == [2, 1, 0] and table[1, 2] == [1, 1, 0] and table[2, 3] == [3, 1, 0]
    assert table[3, 4] == [1, 0, 0] and table[5, 6] == [1.5, 1, 1] and table[5, 10] == [1.5, 1, 1]
    assert np.flatnonzero(found.atom_features[:, AROMATIC]).tolist() == [5, 6, 7, 8, 9, 10]
    assert found.bonds.tolist() == sorted(found.bonds.tolist()) and (found.bonds[:, 0] < found.bonds[:, 1]).all()
    assert len(found.bonds) == len(found.z)  # one ring


def test_missing_hydrogens_are_added_with_coordinates():
    whole, bare = (ligand_of(raw(embedded("C[C@H](N)c1ccccc1", hydrogens=h))) for h in (True, False))
    assert (whole.added_hydrogens, bare.added_hydrogens) == (0, 11)
    assert whole.smiles == bare.smiles and sorted(whole.z) == sorted(bare.z)
    near = np.linalg.norm(bare.positions[bare.bonds[:, 0]] - bare.positions[bare.bonds[:, 1]], axis=1)
    assert near.min() > 0.8 and near.max() < 1.7


def test_the_smiles_says_which_mirror_image_it_is():
    one, other = embedded("C[C@H](N)c1ccccc1"), embedded("C[C@@H](N)c1ccccc1")
    assert ligand_of(raw(one)).smiles == Chem.CanonSmiles("C[C@H](N)c1ccccc1") != ligand_of(raw(other)).smiles


def test_records_have_titles_and_fields(tmp_path, sdf):
    (tmp_path / "l.sdf").write_text(sdf(embedded("CO"), "one", pK="7.5", note="a\nb") + sdf(embedded("CN"), "two"))
    first, second = sdf_records(tmp_path / "l.sdf")
    assert (first.title, first.fields, second.title, second.fields) == ("one", {"pK": "7.5", "note": "a\nb"}, "two", {})
    assert ligand_of(molecule_of(second.block)).smiles == "CN"


def test_where_the_sdf_cannot_be_read_the_mol2_is(tmp_path, sdf):
    (tmp_path / "l.sdf").write_text(sdf(embedded("CC(=O)[O-]")).replace("M  CHG", "M  XXX")[:200])
    (tmp_path / "l.mol2").write_text(MOL2)
    found = read_ligand(tmp_path / "l.sdf", tmp_path / "l.mol2")
    assert (found.smiles, found.charge, found.added_hydrogens) == ("CC(=O)[O-]", -1, 0)
    with pytest.raises(RowError, match=r"l\.sdf: the record is truncated: it has no line 'M  END'"):
        read_ligand(tmp_path / "l.sdf")
    (tmp_path / "l.mol2").write_text("nothing")
    with pytest.raises(RowError, match=r"l\.sdf: the record is truncated.*; l\.mol2: cannot be read as a mol2 file"):
        read_ligand(tmp_path / "l.sdf", tmp_path / "l.mol2")


def test_a_truncated_sdf_of_many_loses_the_last_alone(tmp_path, sdf):
    text = sdf(embedded("CO")) + sdf(embedded("CCCO"))
    (tmp_path / "l.sdf").write_text(text[: text.rindex("M  END") - 30])
    first, second = sdf_records(tmp_path / "l.sdf")
    assert ligand_of(molecule_of(first.block)).smiles == "CO"
    with pytest.raises(RowError, match="truncated"):
        molecule_of(second.block)


def drawing() -> Chem.Mol:
    mol = Chem.MolFromSmiles("CCCCO")
    AllChem.Compute2DCoords(mol)
    return mol


def five_valent() -> Chem.Mol:
    mol = Chem.RWMol(embedded("CC(C)(C)C", hydrogens=False))
    mol.AddBond(0, 2, Chem.BondType.TRIPLE)
    mol.AddBond(0, 3, Chem.BondType.SINGLE)
    return mol


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (drawing, "is a drawing in two dimensions; give the pose"),
        (five_valent, "RDKit cannot sanitise it: Explicit valence for atom # 0 C, 5, is greater than permitted"),
        (lambda: embedded("CC(=O)[O-].[Na+]"), "has 2 parts that are not bonded to each other, of 1, 7 atoms"),
        (lambda: embedded("C[Se]C"), "has no Gasteiger charges; unusual elements: Se"),
        (lambda: embedded("[H][H]"), "no atoms other than hydrogen"),
    ],
)
def test_molecules_that_are_no_ligand(make, reason):
    with pytest.raises(RowError, match=reason):
        ligand_of(molecule_of(Chem.MolToMolBlock(make(), kekulize=False)))


def test_files_that_hold_no_single_ligand(tmp_path, sdf):
    (tmp_path / "two.sdf").write_text(sdf(embedded("CO")) + sdf(embedded("CN")))
    with pytest.raises(RowError, match=r"two\.sdf: holds 2 records, expected one ligand"):
        read_ligand(tmp_path / "two.sdf")
    with pytest.raises(RowError, match=r"no file 'gone\.sdf' in the dataset's folder"):
        read_ligand(tmp_path / "gone.sdf", tmp_path / "gone.mol2")
    (tmp_path / "l.pdb").write_text("")
    with pytest.raises(RowError, match=r"l\.pdb: unknown ending '\.pdb'; known: \.sdf, \.mol, \.mol2"):
        read_ligand(tmp_path / "l.pdb")
    (tmp_path / "bad.sdf").write_text("x\n\n\nnot a molfile\nM  END\n$$$$\n")
    with pytest.raises(RowError, match=r"bad\.sdf: the record cannot be read as a molfile"):
        read_ligand(tmp_path / "bad.sdf")
