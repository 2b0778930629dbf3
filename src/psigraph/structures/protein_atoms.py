"""Features of the atoms of a prepared protein: from the templates of its residues, else from elements and distances."""

from collections import Counter

import numpy as np
from openmm import app
from openmm.app.topology import Atom, Residue

from psigraph.structures.complexes import Protein
from psigraph.structures.elements import MAX_NUMBER, symbol_of
from psigraph.structures.geometry import bonds
from psigraph.structures.protein_file import Place
from psigraph.structures.protein_preparation import PreparedAtoms, place_of
from psigraph.structures.reading import RowError
from psigraph.structures.residue_templates import features_of, template_of

#: Charges of single atoms [e]: the common ions.
ION_CHARGES = {
    **dict.fromkeys(("Li", "Na", "K", "Rb", "Cs"), 1),
    **dict.fromkeys(("Mg", "Ca", "Sr", "Ba", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Cd", "Hg"), 2),
    **dict.fromkeys(("Al",), 3),
    **dict.fromkeys(("F", "Cl", "Br", "I"), -1),
}  # fmt: skip


def protein_of(
    prepared: PreparedAtoms, id: str, states: dict[Place, str], unknown: Counter
) -> tuple[Protein, list[tuple[Place, str]]]:
    """Return the protein without hydrogens, and residue and name of each of its atoms.

    `states` are the protonations that the file's names state; residues with atoms that no template has are counted in
    `unknown` by name, except ions. Raises RowError where nothing is left, or an element is unknown.
    """
    names: list[str] = []
    rows: list[int] = []
    atoms: list[Atom] = []
    features: list[np.ndarray] = []
    bridged = _bridged(prepared.topology)
    for residue in prepared.topology.residues():
        of_residue = [atom for atom in residue.atoms() if atom.element is not None]
        heavy = [atom for atom in of_residue if atom.element is not app.element.hydrogen]
        if heavy:
            stated = states.get(place_of(residue), "")
            known = _template(residue, of_residue, stated, residue.index in bridged)
            if any(atom.name not in known for atom in heavy):
                ion = _ion(of_residue)
                known = (ion or _perceived(of_residue, prepared.positions)) | known
                if not ion:
                    unknown[residue.name] += 1
            features += [known[atom.name] for atom in heavy]
            rows += [len(names)] * len(heavy)
            names.append(name_of(residue.name, place_of(residue)))
            atoms += heavy
    if not atoms:
        raise RowError("holds no atoms but hydrogens")
    z = np.array([atom.element.atomic_number for atom in atoms])
    if z.max() > MAX_NUMBER:
        raise RowError(f"unknown element with atomic number {z.max()}; known are 1 (H) to {MAX_NUMBER} (Rn)")
    protein = Protein(
        id=id,
        z=z.astype(np.uint8),
        positions=prepared.positions[[atom.index for atom in atoms]],
        residue=np.array(rows, dtype=np.int32),
        residue_names=np.array(names, dtype=object),
        features=np.array(features, dtype=np.float32),
    )
    return protein, [(place_of(atom.residue), atom.name) for atom in atoms]


def _template(residue: Residue, atoms: list[Atom], stated: str, bridged: bool) -> dict[str, np.ndarray]:
    """Features (5,) of the residue's atoms by name; none where it has no template."""
    first = residue is next(residue.chain.residues())
    return template_of(residue.name, frozenset(a.name for a in atoms), stated, first=first, bridged=bridged) or {}


def name_of(residue: str, place: Place) -> str:
    """Return chain, name, number and insertion code: `A:ASP25`, `A:ASP25B`; without a chain `ASP25`."""
    chain, number, insertion = place
    return f"{chain}:{residue}{number}{insertion}" if chain else f"{residue}{number}{insertion}"


def _bridged(topology: app.Topology) -> set[int]:
    """Residues whose sulfur is bound to that of another."""
    return {
        atom.residue.index
        for pair in topology.bonds()
        if all(atom.element is app.element.sulfur for atom in pair) and pair[0].residue is not pair[1].residue
        for atom in pair
    }


def _ion(atoms: list[Atom]) -> dict[str, np.ndarray]:
    """Features (5,) of a single ion, which has its charge and no flag, by name; nothing of other residues."""
    charge = ION_CHARGES.get(atoms[0].element.symbol) if len(atoms) == 1 else None
    if charge is None:
        return {}
    return {atoms[0].name: np.array([0, 0, 0, 0, charge], dtype=np.float32)}


def _perceived(atoms: list[Atom], positions: np.ndarray) -> dict[str, np.ndarray]:
    """Features (5,) of the atoms of a residue without a template, by name: from elements and distances.

    The charge is 0 and no ring aromatic. A residue without hydrogens has those of nitrogen unseen, so that its nitrogen
    counts as donor.
    """
    z = np.array([min(atom.element.atomic_number, MAX_NUMBER) for atom in atoms])
    neighbours: list[list[str]] = [[] for _ in atoms]
    for i, j in bonds(z, positions[[atom.index for atom in atoms]]):
        neighbours[i].append(symbol_of(z[j]))
        neighbours[j].append(symbol_of(z[i]))
    bare = not (z == 1).any()
    found = {}
    for n, atom in enumerate(atoms):
        symbol, heavy = symbol_of(z[n]), [e for e in neighbours[n] if e != "H"]
        hydrogens = len(neighbours[n]) - len(heavy)
        found[atom.name] = features_of(symbol, heavy, hydrogens or int(bare and symbol == "N" and len(heavy) < 3))
    return found
