"""MMFF94 in OpenMM against RDKit's, term by term and as a whole."""

import numpy as np
import openmm
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Chem import rdForceFieldHelpers as force_field

from psigraph.structures import openmm_mmff

#: Amide, alkyne, allene, azide, isonitrile, diazo, small rings, ions, S, P, Si, halogens, N-oxide, peptide.
SMILES = [
    "CC(=O)Nc1ccccc1", "C#CC", "C=C=C", "CN=[N+]=[N-]", "[C-]#[N+]C", "C=[N+]=[N-]", "C1CC1C", "C1CCC1=O", "C12CC1C2",
    "C1=CC1", "CC(=O)[O-]", "C[NH3+]", "CS(=O)(=O)N", "CP(=O)(O)O", "C[Si](C)(C)C", "FC(F)(F)CBr", "CC(C)(C)I",
    "c1ccsc1Cl", "[O-][n+]1ccccc1", "C[N+](=O)[O-]", "CSSC", "N=C=S", "OO", "NCC(=O)NC(C)C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
]  # fmt: skip
#: RDKit's switch of each force.
TERMS = {
    "bonds": "Bond", "angles": "Angle", "linear angles": "Angle", "stretch-bends": "StretchBend", "out of plane": "Oop",
    "torsions": "Torsion", "van der Waals": "VdW", "electrostatics": "Ele",
}  # fmt: skip


def embedded(smiles: str, noise: float = 0.05) -> Chem.Mol:
    """A molecule away from its minimum, so that every term counts."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=3) == 0
    positions = mol.GetConformer().GetPositions()
    mol.GetConformer().SetPositions(positions + np.random.default_rng(0).normal(0, noise, positions.shape))
    return mol


def by_rdkit(mol: Chem.Mol, term: str | None = None) -> float:
    """Energy [kcal/mol], of one term alone where it is given."""
    properties = force_field.MMFFGetMoleculeProperties(mol)
    for name in set(TERMS.values()) if term else ():
        getattr(properties, f"SetMMFF{name}Term")(name == term)
    return force_field.MMFFGetMoleculeForceField(mol, properties, nonBondedThresh=1e6).CalcEnergy()


@pytest.mark.parametrize("smiles", SMILES)
def test_every_term_and_the_whole_are_those_of_rdkit(smiles):
    mol = embedded(smiles)
    system = openmm_mmff.system_of(mol)
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )  # fmt: skip
    context.setPositions(mol.GetConformer().GetPositions() / 10)
    found = dict.fromkeys(TERMS.values(), 0.0)
    for group, force in enumerate(system.getForces()):
        state = context.getState(getEnergy=True, groups={group})
        found[TERMS[force.getName()]] += state.getPotentialEnergy().value_in_unit(openmm.unit.kilocalorie_per_mole)
    assert found == pytest.approx({term: by_rdkit(mol, term) for term in found}, rel=1e-7, abs=1e-6)
    assert sum(found.values()) == pytest.approx(by_rdkit(mol), rel=1e-7)


@pytest.mark.parametrize("smiles", ["C=C=C", "CC(=O)Nc1ccccc1", "CS(=O)(=O)N"])
def test_relaxation_ends_where_that_of_rdkit_ends(smiles):
    ours, theirs = embedded(smiles), embedded(smiles)
    start = by_rdkit(ours)
    assert openmm_mmff.energy(ours) == pytest.approx(start, rel=1e-7)
    assert openmm_mmff.relax(ours, ours.GetConformer().GetId(), 10_000)
    assert force_field.MMFFOptimizeMolecule(theirs, maxIters=10_000) == 0
    assert by_rdkit(ours) < start - 1 and by_rdkit(ours) == pytest.approx(by_rdkit(theirs), abs=0.01)


def test_too_few_steps_are_no_relaxation():
    mol = embedded("CC(=O)Nc1ccccc1", noise=0.2)
    assert not openmm_mmff.relax(mol, mol.GetConformer().GetId(), 1)


def test_an_atom_that_mmff94_does_not_know_is_named():
    mol = Chem.AddHs(Chem.MolFromSmiles("CB(O)O"))
    with pytest.raises(ValueError, match="MMFF94 does not know an atom"):
        openmm_mmff.system_of(mol)
