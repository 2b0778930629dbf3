import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from psigraph.config import Psi4Databases
from psigraph.structures import psi4_databases
from psigraph.structures.identity import group_of, molecule_identity, scaffold_of

#: Stereochemistry, zwitterions, ions, tautomers, aromatic and hypervalent molecules.
SMILES = [
    "O", "NC=O", "CC(=O)O", "c1ccccc1", "CNC(C)=O", "CC(=O)[O-]", "C[NH3+]", "[NH3+]CC(=O)[O-]", "C[C@H](N)C(=O)O",
    "CC[C@H](C)[C@H](N)C(N)=O", "C/C=C/C", "Cc1c[nH]cn1", "C[NH+]=C(N)N", "C[N+](=O)[O-]", "CP(=O)(O)O",
    "Oc1ccccn1", "O=c1cccc[nH]1", "c1ccc2cc3cc4ccccc4cc3cc2c1",
]  # fmt: skip


def embedded(smiles: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray, int]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=seed) == 0
    AllChem.MMFFOptimizeMolecule(mol)
    z = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    return z, mol.GetConformer().GetPositions(), Chem.GetFormalCharge(mol)


@pytest.mark.parametrize("smiles", SMILES)
def test_one_identity_for_every_conformer_order_noise_and_mirror_image(smiles, rotations):
    found = set()
    for seed in range(4):
        z, x, charge = embedded(smiles, seed)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(z))
        mirror = np.array([1.0, 1.0, -1.0 if seed % 2 else 1.0])
        moved = (x * mirror + rng.normal(0, 0.02, x.shape)) @ rotations(seed).T + rng.normal(0, 10, 3)
        found.add(molecule_identity(z[order], moved[order], charge))
    assert len(found) == 1
    mol = Chem.MolFromSmiles(found.pop())
    assert Chem.GetFormalCharge(mol) == embedded(smiles)[2]
    flat = Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
    assert Chem.rdMolDescriptors.CalcMolFormula(mol) == Chem.rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(flat))


def test_different_molecules_have_different_identities():
    assert len({molecule_identity(*embedded(s)) for s in SMILES}) == len(SMILES)


@pytest.mark.parametrize(
    "z, x, charge, identity",
    [
        ([11], [[0, 0, 0]], 1, "[Na+]"),
        ([2], [[0, 0, 0]], 0, "[He]"),
        ([6, 1, 1, 1], [[0, 0, 0], [1.08, 0, 0], [-0.54, 0.935, 0], [-0.54, -0.935, 0]], 0, "graph:"),
    ],
)
def test_ions_atoms_and_radicals(z, x, charge, identity):
    found = molecule_identity(np.array(z), np.array(x, dtype=float), charge)
    assert found == identity or (identity == "graph:" and found.startswith(identity) and found.endswith("charge=+0"))


@pytest.mark.parametrize(
    "smiles, scaffold",
    [
        ("CCO", ""),
        ("Cc1ccccc1CCC1CC1C", "c1ccc(CCC2CC2)cc1"),
        ("O=C1CCCC1C", "O=C1CCCC1"),
        ("C[C@H]1CCO[C@@H]1F", "C1CCOC1"),
        ("Cn1cccc1", "c1cc[nH]c1"),
        ("O=N(=O)c1ccccc1", "c1ccccc1"),
        ("graph:[H][C]([H])[H];charge=+0", ""),
        ("not a SMILES", ""),
    ],
)
def test_the_scaffold_is_the_rings_and_what_links_them(smiles, scaffold):
    assert scaffold_of(smiles) == scaffold


def test_the_charge_is_part_of_the_identity(molecules):
    z, x = np.array([8, 1]), np.array([[0.0, 0, 0], [0.97, 0, 0]])
    assert len({molecule_identity(z, x, charge) for charge in (-1, 0, 1)}) == 3
    assert molecule_identity(z, x, -1) == "[OH-]"


def test_a_group_is_an_unordered_pair(dimer, molecules):
    one = dimer(a=molecules["water"], b=molecules["methane"])
    other = dimer(a=molecules["methane"], b=molecules["water"])
    assert group_of(one) == group_of(other) == "C | O"
    assert group_of(dimer()) == "O | O"


@pytest.fixture(scope="module")
def everything(databases):
    """All nine databases with their groups."""
    result = psi4_databases.read(Psi4Databases(source="psi4_databases", databases=list(psi4_databases.REFERENCES)))
    for structure in result.structures:
        structure.group = group_of(structure)
    return result.structures


def test_one_molecule_has_one_identity_in_every_database(everything):
    where: dict[str, set[str]] = {}
    for s in everything:
        for identity in s.group.split(" | "):
            where.setdefault(identity, set()).add(s.source)
    assert {"A24", "S22by5", "S66by8"} <= where["O"]  # water
    assert {"S22by5", "HBC6"} <= where["NC=O"]  # formamide
    assert {"S22by5", "HBC6"} <= where["O=CO"]  # formic acid
    assert {"S22by5", "S66by8", "NBC10"} <= where["c1ccccc1"]  # benzene
    assert {"S66by8", "BBI"} <= where["CNC(C)=O"]  # the peptide bond
    assert {"S66by8", "SSI"} <= where["CC(N)=O"]  # acetamide
    assert "CC(=O)O" in where and "CC(=O)[O-]" in where  # acetic acid and acetate are two
    assert not [identity for identity in where if identity.startswith("graph:") or "." in identity]


def test_all_separations_of_a_system_are_in_one_group(everything):
    groups: dict[str, set[str]] = {}
    for s in everything:
        groups.setdefault(s.system, set()).add(s.group)
    assert not {system: g for system, g in groups.items() if len(g) > 1}


def test_dimers_of_one_group_have_the_same_atoms_and_charges(everything):
    compositions: dict[str, set] = {}
    for s in everything:
        pair = sorted((*sorted(s.monomer(m)[0].tolist()), s.charge[m]) for m in (0, 1))
        compositions.setdefault(s.group, set()).add(str(pair))
    assert len(compositions) > 300 and not [g for g, found in compositions.items() if len(found) > 1]
