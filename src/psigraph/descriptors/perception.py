"""A Lewis structure of one molecule, by RDKit, from its atoms, bonds, charge and multiplicity; positions do not enter.

Bonds without orders come from distances (`structures.geometry.bonds`). RDKit's `DetermineBondOrders`, after Y. Kim,
W. Y. Kim, Bull. Korean Chem. Soc. 36, 1769 (2015), gives bond orders and formal charges. It is asked in the order of
RDKit's canonical SMILES of the bare graph, so that its choice among equal Lewis structures does not depend on the order
of the atoms in the file, and what it gives is averaged over atoms and bonds that the bare graph does not tell apart:
both oxygens of a carboxylate carry half a charge.

In strained cages atoms across a ring come so near that they count as bonded (C-C in bicyclo[1.1.1]pentane: 1.87 Å). So
where a Lewis structure does not work out, or needs charges, the longest bonds are tried without.

Legend of shapes: N atoms, P bonds of the molecule, in canonical order here.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from psigraph.structures.elements import COVALENT_RADII
from psigraph.structures.geometry import components
from psigraph.structures.identity import bare_graph, read_bare_graph

#: Steps of the bond-order search before the molecule counts as one without Lewis structure.
MAX_ITERATIONS = 20_000
#: Bonds longer than this times the sum of the covalent radii are doubtful; so many lengths at most are left out.
DOUBTFUL, MAX_DOUBTFUL = 1.15, 6
#: Resonance structures that are averaged over, at most.
MAX_RESONANCE = 1000
HYBRIDISATIONS = ("S", "SP", "SP2", "SP3", "SP3D", "SP3D2")
_RESONANCE = Chem.ResonanceFlags.KEKULE_ALL | Chem.ResonanceFlags.ALLOW_CHARGE_SEPARATION


@dataclass(frozen=True, eq=False)
class Lewis:
    """What the graph and the charge say about a molecule. Where there is no Lewis structure `failure` says why, numbers
    are NaN (orders, charges) or 0, and `mol` has single bonds only."""

    mol: Chem.Mol  # explicit hydrogens, no conformer; not to be changed
    classes: np.ndarray  # (N,) equal for atoms that the bare graph does not tell apart
    bonds: np.ndarray  # (P, 2) i < j
    order: np.ndarray  # (P,)
    resonance_order: np.ndarray  # (P,)
    hybridisation: np.ndarray  # (N,) 0 unknown, then as in HYBRIDISATIONS
    aromatic: np.ndarray  # (N,) 0 or 1
    ring_size: np.ndarray  # (N,) 0: in no ring
    formal_charge: np.ndarray  # (N,) e
    failure: str = ""

    @property
    def n_charged(self) -> int:
        """Number of atoms with a formal charge."""
        return sum(atom.GetFormalCharge() != 0 for atom in self.mol.GetAtoms())


def perceive(
    z: np.ndarray, positions: np.ndarray, bonds: np.ndarray, charge: int, multiplicity: int
) -> tuple[Lewis, np.ndarray]:
    """Return the Lewis structure of a molecule, and where in `z` each of its atoms stands (N,).

    `z` (N,), `positions` (N, 3) [Å], `bonds` (P, 2), `charge` [e]. Of the structures with the 0, 1, 2, ... longest
    doubtful bonds left out that one is taken that has the fewest charged atoms, of equal ones the first; the molecule
    must not fall apart. The structure is cached and shared: it depends on graph, charge and multiplicity only.
    """
    best = _of_graph(z, bonds, charge, multiplicity)
    rest = bonds
    for doubtful in _doubtful(z, positions, bonds):
        if not best[0].failure and best[0].n_charged <= abs(charge):
            break
        fewer = rest[~np.isin(rest @ [len(z), 1], doubtful @ [len(z), 1])]
        if components(len(z), fewer).max(initial=0) > components(len(z), bonds).max(initial=0):
            continue
        rest = fewer
        other = _of_graph(z, rest, charge, multiplicity)
        if (bool(other[0].failure), other[0].n_charged) < (bool(best[0].failure), best[0].n_charged):
            best = other
    return best


def _doubtful(z: np.ndarray, positions: np.ndarray, bonds: np.ndarray) -> list[np.ndarray]:
    """The bonds longer than DOUBTFUL, the longest first; equally long ones, as symmetry makes them, together (Q, 2)."""
    length = np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1)
    ratio = (length / COVALENT_RADII[z[bonds]].sum(axis=1)).round(4)
    longest = np.unique(ratio[ratio > DOUBTFUL])[::-1][:MAX_DOUBTFUL]
    return [bonds[ratio == value] for value in longest]


def _of_graph(z: np.ndarray, bonds: np.ndarray, charge: int, multiplicity: int) -> tuple[Lewis, np.ndarray]:
    text, mol = bare_graph(z, bonds)
    places = np.array(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"], dtype=np.int64)
    return lewis(text, int(charge), int(multiplicity)), places


@lru_cache(maxsize=20_000)
def lewis(graph: str, charge: int, multiplicity: int) -> Lewis:
    """Return the Lewis structure of a canonical graph: a SMILES with all hydrogens and single bonds only."""
    bare = read_bare_graph(graph)
    Chem.FastFindRings(bare)
    classes = np.array(Chem.CanonicalRankAtoms(bare, breakTies=False, includeChirality=False), dtype=np.int64)
    with rdBase.BlockLogs():
        try:
            mol = _with_orders(bare, charge, multiplicity)
        except (ValueError, RuntimeError) as error:
            return _without(bare, classes, _reason(error))
        resonance = _resonance_orders(mol)
    bonds = _pairs(mol)
    equal = _bond_classes(bonds, classes)
    atoms = list(mol.GetAtoms())
    return Lewis(
        mol=mol,
        classes=classes,
        bonds=bonds,
        order=_mean(np.array([b.GetBondTypeAsDouble() for b in mol.GetBonds()]), equal),
        resonance_order=_mean(resonance, equal),
        hybridisation=_highest(np.array([_hybridisation(a) for a in atoms]), classes),
        aromatic=_highest(np.array([int(a.GetIsAromatic()) for a in atoms]), classes),
        ring_size=_ring_sizes(mol),
        formal_charge=_mean(np.array([float(a.GetFormalCharge()) for a in atoms]), classes),
    )


def _with_orders(bare: Chem.Mol, charge: int, multiplicity: int) -> Chem.Mol:
    """A sanitised copy with bond orders and charges. Raises ValueError where none adds up."""
    mol = Chem.Mol(bare)
    n = mol.GetNumAtoms()
    if n == 1:
        mol.GetAtomWithIdx(0).SetFormalCharge(charge)
        mol.GetAtomWithIdx(0).SetNumRadicalElectrons(multiplicity - 1)
        Chem.SanitizeMol(mol)
        return mol
    try:
        return _determined(mol, charge, multiplicity)
    except (ValueError, RuntimeError):  # the search depends on the order of atoms and misses some in one of them
        backwards = list(range(n))[::-1]
        return Chem.RenumberAtoms(_determined(Chem.RenumberAtoms(mol, backwards), charge, multiplicity), backwards)


def _determined(mol: Chem.Mol, charge: int, multiplicity: int) -> Chem.Mol:
    mol = Chem.Mol(mol)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    # with charged fragments every atom gets its octet, without them what is left over becomes unpaired electrons
    rdDetermineBonds.DetermineBondOrders(
        mol, charge=charge, allowChargedFragments=multiplicity == 1, embedChiral=False, maxIterations=MAX_ITERATIONS
    )
    mol.RemoveAllConformers()
    Chem.SanitizeMol(mol)
    found = Chem.GetFormalCharge(mol), sum(a.GetNumRadicalElectrons() for a in mol.GetAtoms())
    if found != (charge, multiplicity - 1):
        raise ValueError(
            f"the Lewis structure found has charge {found[0]:+d} and {found[1]} unpaired electrons, "
            f"not {charge:+d} and {multiplicity - 1}"
        )
    return mol


def _without(bare: Chem.Mol, classes: np.ndarray, failure: str) -> Lewis:
    """What is left where RDKit finds no Lewis structure: rings."""
    n, bonds = bare.GetNumAtoms(), _pairs(bare)
    unknown = np.full(len(bonds), np.nan)
    zeros = np.zeros(n, dtype=np.int64)
    return Lewis(bare, classes, bonds, unknown, unknown, zeros, zeros, _ring_sizes(bare), np.full(n, np.nan), failure)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"RDKit finds no Lewis structure ({text[:200]})"


def _pairs(mol: Chem.Mol) -> np.ndarray:
    ends = [sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()]
    return np.array(ends, dtype=np.int64).reshape(-1, 2)


def _bond_classes(bonds: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Label (P,) of each bond by the classes of its ends."""
    ends = np.sort(classes[bonds], axis=1)
    return np.unique(ends, axis=0, return_inverse=True)[1].reshape(-1) if len(bonds) else np.zeros(0, dtype=np.int64)


def _mean(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each value replaced by the mean over those of its label."""
    if not len(values):
        return np.zeros(0)
    return (np.bincount(labels, values) / np.maximum(np.bincount(labels), 1))[labels]


def _highest(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    highest = np.zeros(labels.max(initial=0) + 1, dtype=np.int64)
    np.maximum.at(highest, labels, values)
    return highest[labels]


def _hybridisation(atom: Chem.Atom) -> int:
    name = str(atom.GetHybridization())
    return HYBRIDISATIONS.index(name) + 1 if name in HYBRIDISATIONS else 0


def _ring_sizes(mol: Chem.Mol) -> np.ndarray:
    rings = mol.GetRingInfo()
    return np.array([rings.MinAtomRingSize(i) for i in range(mol.GetNumAtoms())], dtype=np.int64)


def _resonance_orders(mol: Chem.Mol) -> np.ndarray:
    """Mean bond order (P,) over resonance structures of equal weight, charge-separated and all Kekulé ones included."""
    own = np.array([b.GetBondTypeAsDouble() for b in mol.GetBonds()])
    found = [
        np.array([b.GetBondTypeAsDouble() for b in form.GetBonds()])
        for form in Chem.ResonanceMolSupplier(mol, int(_RESONANCE), MAX_RESONANCE)
        if form is not None
    ]
    return np.mean(found, axis=0) if found else own
