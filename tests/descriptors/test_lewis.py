"""Lewis structures and chirality read back from geometries of known molecules."""

import numpy as np
import pytest
from rdkit import Chem

from psigraph.descriptors.lewis_features import lewis_features
from psigraph.descriptors.perception import perceive
from psigraph.quantum.system import systems_of

#: name -> SMILES: neutral, charged, aromatic, strained and radical molecules.
ROUND_TRIPS = [
    "O", "[H][H]", "C", "[NH4+]", "CC(=O)[O-]", "C[N+](=O)[O-]", "c1ccccc1", "c1ccc2[nH]ccc2c1", "CC(=O)NC", "C#CC#N",
    "NC(=[NH2+])N", "O=C=O", "CN=[N+]=[N-]", "[C-]#[N+]C", "C1CC1C=O", "C12C3C4C1C5C2C3C45", "C1CC2CC1CC2",
    "Nc1ncnc2[nH]cnc12", "CS", "FC(F)(F)Cl", "[OH-]", "[Na+]", "[CH3]", "CC[O]", "Cc1c[nH]c(=O)[nH]c1=O",
]  # fmt: skip


def features(s):
    system = systems_of(s)[1][0]
    values, problems = lewis_features(system)
    return values, problems, system.bonds


def orders(s, first: int, second: int, name: str) -> set[float]:
    """Orders of all bonds between two elements."""
    values, problems, bonds = features(s)
    assert not problems
    kinds = np.sort(s.z[bonds], axis=1)
    wanted = (kinds == sorted((first, second))).all(axis=1)
    return set(np.round(values[name][wanted], 6))


@pytest.mark.parametrize("smiles", ROUND_TRIPS)
def test_smiles_come_back(smiles, molecule):
    s = molecule(smiles)
    bonds = systems_of(s)[1][0].bonds
    lewis, places = perceive(s.z.astype(int), s.positions, bonds, s.charge[0], s.multiplicity[0])
    assert not lewis.failure
    assert [a.GetAtomicNum() for a in lewis.mol.GetAtoms()] == s.z[places].tolist()
    found = Chem.MolToSmiles(Chem.RemoveHs(lewis.mol), isomericSmiles=False)
    assert Chem.CanonSmiles(found, useChiral=0) == Chem.CanonSmiles(smiles, useChiral=0)


def test_cages_whose_far_atoms_come_near(molecule):
    """The bridgeheads of bicyclo[1.1.1]pentane stand 1.87 Å apart, near enough for a bond by radii."""
    s = molecule("C1C2CC1C2")
    heads = np.flatnonzero([sum(np.linalg.norm(s.positions[s.z == 1] - x, axis=1) < 1.2) == 1 for x in s.positions])
    heads = [i for i in heads if s.z[i] == 6]
    axis = s.positions[heads[1]] - s.positions[heads[0]]
    near = s.positions.copy()
    near[heads] += np.outer([0.5, -0.5], axis) * (1 - 1.87 / np.linalg.norm(axis))
    s.positions = near
    values, problems, bonds = features(s)
    row = [sorted(pair) for pair in bonds.tolist()].index(sorted(heads))
    assert not problems
    assert values["rdkit_order"][row] == values["resonance_order"][row] == 0.0
    assert set(np.delete(values["rdkit_order"], row)) == {1.0}
    assert set(values["ring_size"][s.z == 6]) == {4}


@pytest.mark.parametrize(
    ("smiles", "atoms", "expected"),
    [
        ("[NH4+]", 7, {1.0}),
        ("[NH4+]", 1, {0.0}),
        ("CC(=O)[O-]", 8, {-0.5}),
        ("C[N+](=O)[O-]", 8, {-0.5}),
        ("C[N+](=O)[O-]", 7, {1.0}),
        ("NC(=[NH2+])N", 7, {1 / 3}),
        ("NCC(=O)O", 8, {0.0}),
        ("[Cl-]", 17, {-1.0}),
    ],
)
def test_formal_charges(smiles, atoms, expected, molecule):
    s = molecule(smiles)
    values, problems, _ = features(s)
    assert not problems and set(values["formal_charge"][s.z == atoms]) == expected
    assert values["formal_charge"].sum() == pytest.approx(s.charge[0])


def test_hybridisation_rings_and_aromaticity(molecule):
    s = molecule("C#CC1CC1c1ccccc1")
    values, _, _ = features(s)
    carbon = s.z == 6
    assert values["hybridisation"][carbon].tolist() == [2, 2, 4, 4, 4, 3, 3, 3, 3, 3, 3]
    assert values["ring_size"][carbon].tolist() == [0, 0, 3, 3, 3, 6, 6, 6, 6, 6, 6]
    assert values["aromatic"][carbon].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert set(values["hybridisation"][~carbon]) == {1} and not values["ring_size"][~carbon].any()
    naphthalene = molecule("c1ccc2ccccc2c1")
    assert set(features(naphthalene)[0]["ring_size"][naphthalene.z == 6]) == {6}


def test_orders_and_resonance(molecule):
    formamide, acetate = molecule("NC=O"), molecule("CC(=O)[O-]")
    assert orders(formamide, 6, 8, "rdkit_order") == {2.0} and orders(formamide, 6, 7, "rdkit_order") == {1.0}
    for other in (7, 8):
        (order,) = orders(formamide, 6, other, "resonance_order")
        assert 1 < order < 2
    assert orders(acetate, 6, 8, "rdkit_order") == orders(acetate, 6, 8, "resonance_order") == {1.5}
    benzene, naphthalene = molecule("c1ccccc1"), molecule("c1ccc2ccccc2c1")
    assert orders(benzene, 6, 6, "rdkit_order") == orders(benzene, 6, 6, "resonance_order") == {1.5}
    # L. Pauling's three Kekulé structures: 5/3 for 1-2, 4/3 for all others
    assert orders(naphthalene, 6, 6, "resonance_order") == {round(5 / 3, 6), round(4 / 3, 6)}
    assert orders(molecule("N#CC=C"), 6, 7, "rdkit_order") == {3.0}


@pytest.mark.parametrize(
    ("smiles", "counts"),
    [
        ("C[C@H](N)C(=O)O", (0, 1, 0)),  # L-alanine is S
        ("C[C@@H](N)C(=O)O", (1, 0, 0)),
        ("F[C@H](Cl)Br", (1, 0, 0)),
        ("C[S@](=O)CC", (0, 1, 0)),
        ("OC[C@H](O)[C@@H](O)C=O", (1, 1, 0)),
        ("C[C@H](O)[C@H](F)[C@@H](C)O", (1, 1, 1)),  # the middle is r or s
        ("COP(=O)([O-])OCC", (0, 0, 0)),  # its two bare oxygens are equal
        ("CCO", (0, 0, 0)),
    ],
)
def test_cip_labels_and_their_mirror(smiles, counts, molecule):
    s = molecule(smiles)
    values, _, _ = features(s)
    assert tuple(values["stereocentres"]) == counts
    reference = Chem.AddHs(Chem.MolFromSmiles(smiles))
    Chem.rdCIPLabeler.AssignCIPLabels(reference)
    code = {"R": 1, "S": -1}
    expected = [code.get(a.GetPropsAsDict().get("_CIPCode", ""), 0) for a in reference.GetAtoms()]
    assert values["cip_label"].tolist() == expected
    s.positions = s.positions * [1, 1, -1]
    mirrored, _, _ = features(s)
    assert mirrored["cip_label"].tolist() == [-label for label in expected]
    assert tuple(mirrored["stereocentres"]) == (counts[1], counts[0], counts[2])


def test_a_fragment_without_lewis_structure_is_named_and_the_other_keeps_its_features(molecule, dimer):
    oxygen = molecule("O=O")
    oxygen.multiplicity = (3, 1)
    values, problems, bonds = features(dimer(oxygen, molecule("O"), (0.0, 0.0, 4.0)))
    assert len(problems) == 1 and problems[0].startswith("A: RDKit finds no Lewis structure (")
    assert np.isnan(values["formal_charge"]).tolist() == [True, True, False, False, False]
    assert np.isnan(values["rdkit_order"]).tolist() == [True, False, False]
    assert np.isnan(values["stereocentres"]).all()
    assert values["hybridisation"].tolist() == [0, 0, 4, 1, 1]
