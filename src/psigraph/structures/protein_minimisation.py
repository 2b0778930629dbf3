"""A restrained minimisation of a protein in OpenMM: what clashes or is strained gives way, the rest stays.

Amber's ff14SB in vacuum, with non-bonded forces cut off at 10 Å. Every heavy atom is held to its place by a harmonic
restraint. Atoms of residues that ff14SB does not know (cofactors, modified residues, metals, and residues at gaps) do
not move: to the others they are soft spheres without charge.
"""

import io

import numpy as np
import openmm
from openmm import app, unit

#: Force constant of the restraints [kJ/(mol nm²)]: 10 kcal/(mol Å²).
RESTRAINT = 4184.0
CUTOFF = 1.0  # nm
STEPS = 500
#: Longest bond between two residues [Å]; a disulfide measures 2.05.
LONGEST_BOND = 2.5
#: Radius and depth of the Lennard-Jones potential of unknown atoms [nm, kJ/mol]: those of a carbon.
_SIGMA, _DEPTH = 0.34, 0.36


def minimised(topology: app.Topology, positions: np.ndarray, platform: openmm.Platform) -> tuple[np.ndarray, str]:
    """Return the relaxed positions (N, 3) [Å] and an empty text, or the given ones and why there are no others."""
    try:
        system = _system(topology, positions)
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
        context.setPositions(positions * 0.1)
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=STEPS)
        state = context.getState(getPositions=True, getEnergy=True)
        relaxed = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    except (ValueError, KeyError, openmm.OpenMMException) as error:
        return positions, f"{type(error).__name__}: {error}"
    if not (np.isfinite(relaxed).all() and np.isfinite(energy)):
        return positions, "its energy is not finite"
    return np.array(relaxed, dtype=np.float64), ""


def _system(topology: app.Topology, positions: np.ndarray) -> openmm.System:
    """The protein with restraints; atoms that do not move have no mass."""
    topology = _without_gaps(topology, positions)
    elements = sorted({atom.element.symbol for atom in topology.atoms()})
    force_field = app.ForceField("amber14-all.xml", io.StringIO(_soft_spheres(elements)))
    unknown = {residue.index for residue in force_field.getUnmatchedResidues(topology)}
    for n, template in enumerate(force_field.generateTemplatesForUnmatchedResidues(topology)[0]):
        template.name = f"soft-{n}"
        for atom in template.atoms:
            atom.type, atom.parameters = f"soft-{atom.element.symbol}", {"charge": 0.0}
        force_field.registerResidueTemplate(template)
    system = force_field.createSystem(
        topology,
        nonbondedMethod=app.CutoffNonPeriodic,
        nonbondedCutoff=CUTOFF * unit.nanometer,
        rigidWater=False,
        removeCMMotion=False,
    )
    restraint = openmm.CustomExternalForce(f"{RESTRAINT / 2}*((x-x0)^2+(y-y0)^2+(z-z0)^2)")
    for name in ("x0", "y0", "z0"):
        restraint.addPerParticleParameter(name)
    for atom in topology.atoms():
        if atom.residue.index in unknown:
            system.setParticleMass(atom.index, 0.0)
        elif atom.element is not app.element.hydrogen:
            restraint.addParticle(atom.index, (positions[atom.index] * 0.1).tolist())
    system.addForce(restraint)
    return system


def _soft_spheres(elements: list[str]) -> str:
    """Atom types of unknown residues, in OpenMM's XML, with the scales of Amber's 1-4 pairs."""
    types = "".join(f'<Type name="soft-{e}" class="soft-{e}" element="{e}" mass="1"/>' for e in elements)
    atoms = "".join(f'<Atom type="soft-{e}" sigma="{_SIGMA}" epsilon="{_DEPTH}"/>' for e in elements)
    return (
        f"<ForceField><AtomTypes>{types}</AtomTypes>"
        '<NonbondedForce coulomb14scale="0.8333333333333334" lj14scale="0.5"><UseAttributeFromResidue name="charge"/>'
        f"{atoms}</NonbondedForce></ForceField>"
    )


def _without_gaps(topology: app.Topology, positions: np.ndarray) -> app.Topology:
    """The same atoms without bonds between residues that are too long, which OpenMM adds where residues are missing."""
    copy, atoms = app.Topology(), []
    for chain in topology.chains():
        new_chain = copy.addChain(chain.id)
        for residue in chain.residues():
            new = copy.addResidue(residue.name, new_chain, residue.id, residue.insertionCode)
            atoms += [copy.addAtom(atom.name, atom.element, new) for atom in residue.atoms()]
    for i, j in topology.bonds():
        length = np.linalg.norm(positions[i.index] - positions[j.index])
        if i.residue is j.residue or length < LONGEST_BOND:
            copy.addBond(atoms[i.index], atoms[j.index])
    return copy
