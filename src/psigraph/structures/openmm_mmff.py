"""MMFF94 in OpenMM: a System of custom forces with the parameters that RDKit assigns.

T. A. Halgren, J. Comput. Chem. 17, 490 (1996), doi:10.1002/(SICI)1096-987X(199604)17:5/6<490::AID-JCC1>3.0.CO;2-P: the
functional form; constants to the digits RDKit has, with which a test compares every term. No cutoffs: these are single
molecules. Parameters are in kcal/mol, Å and degrees; OpenMM's r and theta are in nm and rad, its energies in kJ/mol.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import openmm
from openmm import unit
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers as force_field

#: Force constants of MMFF94 are in mdyn/Å: kcal/(mol Å²) of one.
_MDYNE = 143.9325
_DEGREE = np.pi / 180
_COULOMB = 332.0716  # kcal Å/(mol e²)
#: MMFF94 atom types of linear centres (column linh of its table MMFFPROP): =C= and ≡C-, =N=, ≡N-.
_LINEAR = (4, 53, 61)
_KJ = 4.184  # kJ in one kcal
#: A relaxation ends at this root mean square force, and counts as converged below the second [kJ/(mol nm)]; 1 is
#: 0.024 kcal/(mol Å).
TOLERANCE, CONVERGED = 0.1, 1.0

_STRETCH = f"{_KJ}*{_MDYNE / 2}*k*d^2*(1-2*d+7/3*d^2); d=10*r-r0"
_BEND = f"{_KJ}*{_MDYNE * _DEGREE**2 / 2}*k*d^2*(1-{0.4 * _DEGREE}*d); d=theta/{_DEGREE}-theta0"
_LINEAR_BEND = f"{_KJ}*{_MDYNE}*k*(1+cos(theta))"
_STRETCH_BEND = (
    f"{_KJ}*{_MDYNE * _DEGREE}*(k1*(10*distance(p1,p2)-r1)+k2*(10*distance(p3,p2)-r2))"
    f"*(angle(p1,p2,p3)/{_DEGREE}-theta0)"
)
# Wilson's angle between the bond j-l and the plane i-j-k: p1 = i, p2 = j, p3 = k, p4 = l
_OUT_OF_PLANE = (
    f"{_KJ}*{_MDYNE / 2}*k*asin(max(-1,min(1,(nx*cx+ny*cy+nz*cz)/sqrt((nx^2+ny^2+nz^2)*(cx^2+cy^2+cz^2)))))^2;"
    "nx=ay*bz-az*by; ny=az*bx-ax*bz; nz=ax*by-ay*bx;"
    "ax=x1-x2; ay=y1-y2; az=z1-z2; bx=x3-x2; by=y3-y2; bz=z3-z2; cx=x4-x2; cy=y4-y2; cz=z4-z2"
)
_TORSION = f"{_KJ}/2*(v1*(1+cos(theta))+v2*(1-cos(2*theta))+v3*(1+cos(3*theta)))"
_VAN_DER_WAALS = f"{_KJ}*e*(1.07*s/(d+0.07*s))^7*(1.12*s^7/(d^7+0.12*s^7)-2); d=10*r"
_ELECTROSTATIC = f"{_KJ}*{_COULOMB}*q/(10*r+0.05)"


def system_of(mol: Chem.Mol) -> openmm.System:
    """Return MMFF94 for a molecule with all hydrogens as an OpenMM System; one force per term, named after it.

    Raises ValueError where RDKit has no parameters for an atom.
    """
    properties = force_field.MMFFGetMoleculeProperties(mol)
    if properties is None:
        raise ValueError("MMFF94 does not know an atom of this molecule")
    system = openmm.System()
    for atom in mol.GetAtoms():
        system.addParticle(atom.GetMass())
    for force in (
        _stretches(mol, properties),
        *_bends(mol, properties),
        _stretch_bends(mol, properties),
        _out_of_planes(mol, properties),
        _torsions(mol, properties),
        *_non_bonded(mol, properties),
    ):
        system.addForce(force)
    return system


def energy(mol: Chem.Mol, conformer: int = -1) -> float:
    """Return the MMFF94 energy of a conformer [kcal/mol] as OpenMM computes it."""
    context = _context(mol, conformer)
    return context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)


def relax(mol: Chem.Mol, conformer: int, steps: int) -> bool:
    """Relax one conformer in place; whether the forces fell below `CONVERGED` within so many steps (L-BFGS)."""
    context = _context(mol, conformer)
    openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, steps)
    state = context.getState(getPositions=True, getForces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)  # (N, 3)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)  # (N, 3)
    mol.GetConformer(conformer).SetPositions(np.array(positions, dtype=np.float64))
    return bool(np.sqrt((forces**2).mean()) < CONVERGED)


def _context(mol: Chem.Mol, conformer: int) -> openmm.Context:
    """The molecule on OpenMM's reference platform: double precision, and equal results everywhere."""
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system_of(mol), openmm.VerletIntegrator(0.001), platform)
    context.setPositions(mol.GetConformer(conformer).GetPositions() * 0.1)
    return context


def _named(force: Any, name: str, parameters: Sequence[str], per: str = "Bond") -> Any:
    """Give a custom force its name and the parameters that each of its terms has."""
    force.setName(name)
    for parameter in parameters:
        getattr(force, f"addPer{per}Parameter")(parameter)
    return force


def _stretches(mol: Chem.Mol, properties: Any) -> openmm.Force:
    force = _named(openmm.CustomBondForce(_STRETCH), "bonds", ("k", "r0"))
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        _, k, r0 = properties.GetMMFFBondStretchParams(mol, i, j)
        force.addBond(i, j, (k, r0))
    return force


def _bends(mol: Chem.Mol, properties: Any) -> tuple[openmm.Force, openmm.Force]:
    """Angles, and those at linear centres, which have another form."""
    bent = _named(openmm.CustomAngleForce(_BEND), "angles", ("k", "theta0"), "Angle")
    linear = _named(openmm.CustomAngleForce(_LINEAR_BEND), "linear angles", ("k",), "Angle")
    for i, j, k in _angles(mol):
        _, constant, theta0 = properties.GetMMFFAngleBendParams(mol, i, j, k)
        if properties.GetMMFFAtomType(j) in _LINEAR:
            linear.addAngle(i, j, k, (constant,))
        else:
            bent.addAngle(i, j, k, (constant, theta0))
    return bent, linear


def _stretch_bends(mol: Chem.Mol, properties: Any) -> openmm.Force:
    force = _named(
        openmm.CustomCompoundBondForce(3, _STRETCH_BEND), "stretch-bends", ("k1", "k2", "r1", "r2", "theta0")
    )
    for i, j, k in _angles(mol):
        found = properties.GetMMFFStretchBendParams(mol, i, j, k)
        if found is None or properties.GetMMFFAtomType(j) in _LINEAR:
            continue
        r1, r2 = (properties.GetMMFFBondStretchParams(mol, end, j)[2] for end in (i, k))
        theta0 = properties.GetMMFFAngleBendParams(mol, i, j, k)[2]
        force.addBond((i, j, k), (found[1], found[2], r1, r2, theta0))
    return force


def _out_of_planes(mol: Chem.Mol, properties: Any) -> openmm.Force:
    """At a centre with three neighbours each of them is once the one out of the plane."""
    force = _named(openmm.CustomCompoundBondForce(4, _OUT_OF_PLANE), "out of plane", ("k",))
    for atom in mol.GetAtoms():
        neighbours = [n.GetIdx() for n in atom.GetNeighbors()]
        if len(neighbours) != 3:
            continue
        i, k, ell = neighbours
        constant = properties.GetMMFFOopBendParams(mol, i, atom.GetIdx(), k, ell)
        if constant:
            for a, b, c in ((i, k, ell), (k, ell, i), (ell, i, k)):
                force.addBond((a, atom.GetIdx(), b, c), (constant,))
    return force


def _torsions(mol: Chem.Mol, properties: Any) -> openmm.Force:
    force = _named(openmm.CustomTorsionForce(_TORSION), "torsions", ("v1", "v2", "v3"), "Torsion")
    for i, j, k, ell in _chains(mol):
        found = properties.GetMMFFTorsionParams(mol, i, j, k, ell)
        if found is not None and any(found[1:]):
            force.addTorsion(i, j, k, ell, found[1:])
    return force


def _non_bonded(mol: Chem.Mol, properties: Any) -> tuple[openmm.Force, openmm.Force]:
    """Buffered 14-7 and buffered Coulomb terms of all pairs three bonds apart or more; Coulomb's 1-4 pairs by 0.75."""
    dispersion = _named(openmm.CustomBondForce(_VAN_DER_WAALS), "van der Waals", ("s", "e"))
    coulomb = _named(openmm.CustomBondForce(_ELECTROSTATIC), "electrostatics", ("q",))
    bonds_apart = Chem.GetDistanceMatrix(mol)  # (N, N)
    charges = [properties.GetMMFFPartialCharge(i) for i in range(mol.GetNumAtoms())]
    for i, j in combinations(range(mol.GetNumAtoms()), 2):
        if bonds_apart[i, j] < 3:
            continue
        _, _, radius, depth = properties.GetMMFFVdWParams(i, j)
        dispersion.addBond(i, j, (radius, depth))
        coulomb.addBond(i, j, (charges[i] * charges[j] * (0.75 if bonds_apart[i, j] == 3 else 1.0),))
    return dispersion, coulomb


def _angles(mol: Chem.Mol) -> Iterator[tuple[int, int, int]]:
    """Atoms i-j-k of every pair of bonds at an atom."""
    for atom in mol.GetAtoms():
        for a, b in combinations((n.GetIdx() for n in atom.GetNeighbors()), 2):
            yield a, atom.GetIdx(), b


def _chains(mol: Chem.Mol) -> Iterator[tuple[int, int, int, int]]:
    """Atoms i-j-k-l of every torsion about a bond; not those of a ring of three."""
    for bond in mol.GetBonds():
        j, k = bond.GetBeginAtom(), bond.GetEndAtom()
        for i in j.GetNeighbors():
            for ell in k.GetNeighbors():
                if i.GetIdx() != k.GetIdx() and ell.GetIdx() != j.GetIdx() and i.GetIdx() != ell.GetIdx():
                    yield i.GetIdx(), j.GetIdx(), k.GetIdx(), ell.GetIdx()
