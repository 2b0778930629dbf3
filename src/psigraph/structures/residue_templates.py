"""What is known of a protein's atom from the name of its residue and its own.

Charges and bonds: the residues of ff14SB (J. A. Maier et al., J. Chem. Theory Comput. 11, 3696, 2015,
doi:10.1021/acs.jctc.5b00255) as OpenMM carries them. Charges of hydrogens are folded into the atom that bears them, so
that a residue needs no hydrogens to have its charge. Flags follow from the same residues:

- donor: nitrogen or oxygen that bears a hydrogen
- acceptor: oxygen; nitrogen that bears none and has two neighbours (one side of histidine)
- aromatic: the rings of PHE, TYR, TRP and histidine
- hydrophobic: carbon bound to neither nitrogen nor oxygen
"""

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import openmm.app

from psigraph.structures.complexes import ATOM_FEATURES

_FORCE_FIELD = Path(openmm.app.__file__).parent / "data/amber14/protein.ff14SB.xml"
_RINGS = {
    "PHE": "CG CD1 CD2 CE1 CE2 CZ",
    "TYR": "CG CD1 CD2 CE1 CE2 CZ",
    "TRP": "CG CD1 NE1 CE2 CD2 CE3 CZ3 CH2 CZ2",
    **dict.fromkeys(("HID", "HIE", "HIP"), "CG ND1 CD2 CE1 NE2"),
}
#: Names of OpenMM's residues, and of their atoms, where ff14SB has others.
_RESIDUES = {"NH2": "NHE"}
_ATOMS = {"NME": {"CH3": "C"}}

#: Features (5,) of the heavy atoms of a residue by their names.
Template = dict[str, np.ndarray]


@lru_cache(maxsize=1)
def templates() -> dict[str, Template]:
    """Return the templates by ff14SB's names: ALA, HID, ASH, ...; NALA and CALA at the ends of a chain; ACE, NME."""
    root = ElementTree.parse(_FORCE_FIELD).getroot()
    elements = {t.attrib["name"]: t.attrib["element"] for t in root.iter("Type")}
    found = {r.attrib["name"]: _template(r, elements) for r in root.iter("Residue")}
    for name, atoms in _ATOMS.items():
        found[name] = {atoms.get(atom, atom): features for atom, features in found[name].items()}
    return found


def _template(residue: ElementTree.Element, elements: dict[str, str]) -> Template:
    element = {a.attrib["name"]: elements[a.attrib["type"]] for a in residue.iter("Atom")}
    charge = {a.attrib["name"]: float(a.attrib["charge"]) for a in residue.iter("Atom")}
    neighbours: dict[str, list[str]] = defaultdict(list)
    for bond in residue.iter("Bond"):
        i, j = bond.attrib["atomName1"], bond.attrib["atomName2"]
        neighbours[i].append(j)
        neighbours[j].append(i)
    outside = [b.attrib["atomName"] for b in residue.iter("ExternalBond")]
    name = residue.attrib["name"]
    ring = _RINGS.get(name, _RINGS.get(name[1:] if len(name) == 4 else "", "")).split()
    found: Template = {}
    for atom in (a for a in element if element[a] != "H"):
        near = [element[n] for n in neighbours[atom]] + ["C" if element[atom] == "N" else "N"] * outside.count(atom)
        hydrogens = [n for n in neighbours[atom] if element[n] == "H"]
        found[atom] = features_of(
            element[atom],
            [e for e in near if e != "H"],
            len(hydrogens),
            aromatic=atom in ring,
            charge=charge[atom] + sum(charge[h] for h in hydrogens),
        )
    return found


def features_of(
    element: str, neighbours: list[str], hydrogens: int, *, aromatic: bool = False, charge: float = 0.0
) -> np.ndarray:
    """Return the features (5,) of an atom with these heavy neighbours (symbols) and so many hydrogens."""
    polar = element in ("N", "O")
    features = np.zeros(ATOM_FEATURES, dtype=np.float32)
    features[0] = polar and hydrogens > 0
    features[1] = element == "O" or (element == "N" and not hydrogens and len(neighbours) <= 2)
    features[2] = aromatic
    features[3] = element in ("C", "F", "Cl", "Br", "I") and not {"N", "O"} & set(neighbours)
    features[4] = charge
    return features


def template_of(
    residue: str, atoms: frozenset[str], stated: str = "", *, first: bool = False, bridged: bool = False
) -> Template | None:
    """Return the template of a residue, or None where there is none.

    `residue` is the standard name, `atoms` the names of all its atoms, `stated` its form where the file's name says it
    (`protein_file.STATES`), `first` whether it begins a chain, `bridged` whether its sulfur is bound to another. The
    form follows from the hydrogens, else from `stated`, else it is the common one of neutral water (HIE of histidine).
    """
    residue = _RESIDUES.get(residue, residue)
    form = _form(residue, atoms, stated, bridged)
    ends = ""
    if "OXT" in atoms:
        ends = "C"
    elif len({"H", "H1", "H2", "H3"} & atoms) > 1 or (first and not _has_hydrogens(atoms)):
        ends = "N"
    known = templates()
    return next((known[name] for name in (ends + form, ends + residue, form) if name in known), None)


def _has_hydrogens(atoms: frozenset[str]) -> bool:
    return any(name.lstrip("0123456789").startswith("H") for name in atoms)


def _form(residue: str, atoms: frozenset[str], stated: str, bridged: bool) -> str:
    """The form of a residue by its hydrogens; those of carbon may be missing, those of others may not."""
    if not _has_hydrogens(atoms):
        return stated or ("CYX" if bridged else "HIE" if residue == "HIS" else residue)
    if residue == "HIS":
        both = "HD1" in atoms, "HE2" in atoms
        return {(True, True): "HIP", (True, False): "HID"}.get(both, "HIE")
    if residue == "CYS":
        return "CYX" if bridged else "CYS" if "HG" in atoms else "CYM"
    if residue == "LYS":
        return "LYS" if {"HZ1", "HZ2", "HZ3"} <= atoms else "LYN"
    protonated = {"ASP": ("ASH", {"HD1", "HD2"}), "GLU": ("GLH", {"HE1", "HE2"})}
    if residue in protonated and protonated[residue][1] & atoms:
        return protonated[residue][0]
    return residue
