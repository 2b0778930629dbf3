"""Missing atoms and hydrogens of a protein by PDBFixer and OpenMM, optionally a restrained minimisation.

Residues that are missing altogether stay missing. Nothing is looked up on the network, and the same file gives the same
atoms each time: OpenMM's CPU platform with one thread and deterministic forces, its random hydrogens from a fixed seed.
"""

import io
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openmm
from openmm import app, unit

from psigraph.structures.protein_file import Place, ProteinText
from psigraph.structures.protein_minimisation import minimised
from psigraph.structures.reading import RowError

#: Two residues that follow each other in a chain and whose C and N are farther apart are not bonded [Å].
PEPTIDE_BOND = 2.0
_SEED = 1


@dataclass(frozen=True)
class PreparedAtoms:
    """Atoms of a protein in OpenMM's topology, and what was added or is missing."""

    topology: app.Topology
    positions: np.ndarray  # (N, 3) Å
    added: int = 0  # heavy atoms
    missing: int = 0  # residues of SEQRES records that have no atoms
    repeated: int = 0  # atoms left out, whose name another of the residue has
    gaps: int = 0  # places in chains where residues that follow each other are not bonded
    failure: str = ""  # why it was not minimised


def prepare(protein: ProteinText, how: str, ph: float) -> PreparedAtoms:
    """Return the atoms `as_is`, with missing ones added (`fix`), or those relaxed (`minimise`).

    `ph` decides over protons that neither the file's hydrogens nor its residue names tell. Raises RowError where the
    file cannot be read as a protein.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of repeated atoms, which are counted
            file = app.PDBFile(io.StringIO(protein.text))
            read = _read(file.topology, _angstroms(file.positions), protein)
            fixed = read if how == "as_is" else _fixed(read, protein, ph)
    except Exception as error:  # PDBFixer and OpenMM raise many kinds on files that are no protein
        raise RowError(f"cannot be read as a protein by OpenMM ({type(error).__name__}: {error})") from None
    if how != "minimise":
        return fixed
    positions, failure = minimised(fixed.topology, fixed.positions, platform())
    return replace(fixed, positions=positions, failure=failure)


def _read(topology: app.Topology, positions: np.ndarray, protein: ProteinText) -> PreparedAtoms:
    """The atoms as they are in the file."""
    repeated = protein.atoms - topology.getNumAtoms()
    return PreparedAtoms(topology, positions, repeated=repeated, gaps=_count_gaps(topology, positions))


def _fixed(read: PreparedAtoms, protein: ProteinText, ph: float) -> PreparedAtoms:
    """The atoms of the file and the missing ones."""
    from pdbfixer import PDBFixer

    fixer: Any = PDBFixer(pdbfile=io.StringIO(protein.text), platform=platform())
    fixer.findMissingResidues()
    missing = sum(map(len, fixer.missingResidues.values()))
    fixer.missingResidues = {}
    fixer.findMissingAtoms()
    added = sum(map(len, (*fixer.missingAtoms.values(), *fixer.missingTerminals.values())))
    with _seeded():
        fixer.addMissingAtoms(seed=_SEED)
        modeller = app.Modeller(fixer.topology, fixer.positions)
        variants = [_variant(residue, protein.states) for residue in modeller.topology.residues()]
        modeller.addHydrogens(pH=ph, variants=variants, platform=platform())
    positions = _angstroms(modeller.positions)
    return replace(read, topology=modeller.topology, positions=positions, added=added, missing=missing)


def place_of(residue: app.topology.Residue) -> Place:
    """Return chain, number and insertion code of a residue as `protein_file` has them."""
    return residue.chain.id.strip(), residue.id.strip(), residue.insertionCode.strip()


def platform() -> openmm.Platform:
    """Return OpenMM's CPU platform, with one thread and deterministic forces, or the reference one."""
    names = [openmm.Platform.getPlatform(n).getName() for n in range(openmm.Platform.getNumPlatforms())]
    if "CPU" not in names:
        return openmm.Platform.getPlatformByName("Reference")
    found = openmm.Platform.getPlatformByName("CPU")
    found.setPropertyDefaultValue("Threads", "1")
    found.setPropertyDefaultValue("DeterministicForces", "true")
    return found


def _variant(residue: app.topology.Residue, states: dict[Place, str]) -> str | None:
    """What the file's name says of a residue whose hydrogens are not there."""
    bare = not any(atom.element is app.element.hydrogen for atom in residue.atoms())
    stated = states.get(place_of(residue)) if bare else None
    return None if stated == "CYM" else stated  # which Modeller does not know


@contextmanager
def _seeded() -> Iterator[None]:
    """Let Python's random numbers, which Modeller places hydrogens with, start from a fixed seed."""
    state = random.getstate()
    random.seed(_SEED)
    try:
        yield
    finally:
        random.setstate(state)


def _angstroms(positions: Any) -> np.ndarray:
    return np.array(positions.value_in_unit(unit.angstrom), dtype=np.float64).reshape(-1, 3)


def _count_gaps(topology: app.Topology, positions: np.ndarray) -> int:
    gaps = 0
    for chain in topology.chains():
        previous = None
        for residue in chain.residues():
            atoms = {atom.name: atom.index for atom in residue.atoms()}
            if previous is not None and "N" in atoms and "CA" in atoms:
                gaps += bool(np.linalg.norm(positions[atoms["N"]] - positions[previous]) > PEPTIDE_BOND)
            previous = atoms.get("C") if "CA" in atoms or "CH3" in atoms else None
    return gaps
