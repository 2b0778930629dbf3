"""Ligands of complexes from SDF and mol2: geometry, chemistry and partial charges by RDKit.

Charges: J. Gasteiger, M. Marsili, Tetrahedron 36, 3219 (1980), doi:10.1016/0040-4020(80)80168-2, as RDKit has them.
Flags as those of proteins (`residue_templates`): donor, nitrogen or oxygen that bears a hydrogen; acceptor, oxygen,
nitrogen with two neighbours, and that of amines, whose lone pair no neighbouring double bond or aromatic ring takes up;
hydrophobic, carbon or halogen bound to neither nitrogen nor oxygen. Hydrogens have their charge alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdPartialCharges

from psigraph.structures.complexes import ATOM_FEATURES, BOND_FEATURES
from psigraph.structures.elements import MAX_NUMBER
from psigraph.structures.reading import RowError

_DONOR, _ACCEPTOR, _HYDROPHOBIC = (
    Chem.MolFromSmarts(text)
    for text in (
        "[#7,#8;!H0]",
        "[$([#8;+0,-]),$([#7;X1,X2;+0,-]),$([NX3;v3;+0;!$(N-a);!$(N-*=*)])]",
        "[#6,F,Cl,Br,I;!$(*~[#7,#8])]",
    )
)
_ORDERS = {
    Chem.BondType.SINGLE: 1.0,
    Chem.BondType.AROMATIC: 1.5,
    Chem.BondType.DOUBLE: 2.0,
    Chem.BondType.TRIPLE: 3.0,
}
#: Elements that RDKit has parameters of Gasteiger's for.
_USUAL = frozenset(("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"))


@dataclass(frozen=True)
class Ligand:
    """A ligand with all its hydrogens, N atoms and B bonds."""

    z: np.ndarray  # (N,) uint8
    positions: np.ndarray  # (N, 3) Å
    charge: int  # e
    atom_features: np.ndarray  # (N, 5) float32
    bonds: np.ndarray  # (B, 2) int32, i < j, sorted
    bond_features: np.ndarray  # (B, 3) float32
    smiles: str
    added_hydrogens: int


@dataclass(frozen=True)
class Record:
    """One record of an SDF as text, its title and its data fields."""

    title: str
    block: str
    fields: dict[str, str]


def sdf_records(path: Path) -> Iterator[Record]:
    """Yield the records of an SDF. Raises RowError where the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RowError(f"{path.name}: cannot be read ({error.strerror})") from None
    block: list[str] = []
    for line in [*text.splitlines(), "$$$$"]:
        if not line.startswith("$$$$"):
            block.append(line)
        elif any(map(str.strip, block)):
            yield _record(block)
            block = []


def _record(lines: list[str]) -> Record:
    """A record; a data field is a line `>  <name>` and the lines below it, up to an empty one."""
    fields: dict[str, str] = {}
    for n, line in enumerate(lines):
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 : line.rindex(">")]
            values = lines[n + 1 :]
            end = next((k for k, value in enumerate(values) if not value.strip()), len(values))
            fields[name] = "\n".join(values[:end]).strip()
    return Record(lines[0].strip(), "\n".join(lines) + "\n", fields)


def read_ligand(*paths: Path) -> Ligand:
    """Read a ligand from the first of these SDF or mol2 files that RDKit can; those that do not exist are left out.

    Raises RowError with the reasons, each naming its file, where none can be read.
    """
    reasons = []
    for path in (path for path in paths if path.is_file()):
        try:
            if path.suffix.lower() == ".mol2":
                return ligand_of(_mol2(path))
            if path.suffix.lower() not in (".sdf", ".mol"):
                raise RowError(f"unknown ending {path.suffix!r}; known: .sdf, .mol, .mol2")
            records = list(sdf_records(path))
            if len(records) != 1:
                raise RowError(f"holds {len(records)} records, expected one ligand")
            return ligand_of(molecule_of(records[0].block))
        except RowError as error:
            reasons.append(f"{path.name}: {error}")
    raise RowError("; ".join(reasons) or f"no file {paths[0].name!r} in the dataset's folder")


def molecule_of(block: str) -> Chem.Mol:
    """Return the molecule of a molfile's text, not yet sanitised. Raises RowError."""
    if "M  END" not in block:
        raise RowError("the record is truncated: it has no line 'M  END'; fetch the file again")
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False, strictParsing=True)
    if mol is None:
        raise RowError("the record cannot be read as a molfile; write it again as V2000 or V3000")
    return mol


def _mol2(path: Path) -> Chem.Mol:
    with rdBase.BlockLogs():
        mol = Chem.MolFromMol2File(str(path), sanitize=False, removeHs=False)
    if mol is None:
        raise RowError("cannot be read as a mol2 file")
    return mol


def ligand_of(mol: Chem.Mol) -> Ligand:
    """Return a ligand; hydrogens that are not written out are added with coordinates.

    Raises RowError where it is not one molecule in three dimensions that RDKit can sanitise and give charges.
    """
    _check_record(mol)
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(mol)
        except ValueError as error:
            raise RowError(f"RDKit cannot sanitise it: {str(error).strip()}") from None
        Chem.AssignStereochemistryFrom3D(mol)
        whole = Chem.AddHs(mol, addCoords=True)
        smiles = Chem.MolToSmiles(Chem.RemoveHs(whole))
    z = np.array([atom.GetAtomicNum() for atom in whole.GetAtoms()], dtype=np.uint8)
    pairs, bond_features = _bonds(whole)
    return Ligand(
        z=z,
        positions=whole.GetConformer().GetPositions(),
        charge=Chem.GetFormalCharge(whole),
        atom_features=_atom_features(whole),
        bonds=pairs,
        bond_features=bond_features,
        smiles=smiles,
        added_hydrogens=whole.GetNumAtoms() - mol.GetNumAtoms(),
    )


def _check_record(mol: Chem.Mol) -> None:
    if not mol.GetNumHeavyAtoms():
        raise RowError("the record has no atoms other than hydrogen")
    unknown = [a.GetSymbol() for a in mol.GetAtoms() if not 1 <= a.GetAtomicNum() <= MAX_NUMBER]
    if unknown:
        raise RowError(f"unknown element {unknown[0]!r}; known are the symbols H to Rn")
    parts = [len(part) for part in Chem.GetMolFrags(mol)]
    if len(parts) > 1:
        raise RowError(
            f"has {len(parts)} parts that are not bonded to each other, of {', '.join(map(str, sorted(parts)))} atoms; "
            "keep the ligand alone, without counter-ions and solvent"
        )
    positions = mol.GetConformer().GetPositions() if mol.GetNumConformers() else np.zeros((1, 3))
    if mol.GetNumAtoms() > 3 and np.ptp(positions[:, 2]) == 0:
        raise RowError("is a drawing in two dimensions; give the pose in the protein's coordinates")


def _atom_features(mol: Chem.Mol) -> np.ndarray:
    """Features (N, 5). Raises RowError where an atom has no Gasteiger charge."""
    features = np.zeros((mol.GetNumAtoms(), ATOM_FEATURES), dtype=np.float32)
    for column, pattern in ((0, _DONOR), (1, _ACCEPTOR), (3, _HYDROPHOBIC)):
        features[[match[0] for match in mol.GetSubstructMatches(pattern, maxMatches=mol.GetNumAtoms())], column] = 1
    features[[atom.GetIdx() for atom in mol.GetAtoms() if atom.GetIsAromatic()], 2] = 1
    rdPartialCharges.ComputeGasteigerCharges(mol, throwOnParamFailure=False)
    for atom in mol.GetAtoms():
        charge = atom.GetDoubleProp("_GasteigerCharge")
        if not math.isfinite(charge):
            unusual = sorted({a.GetSymbol() for a in mol.GetAtoms()} - _USUAL)
            raise RowError(f"has no Gasteiger charges; unusual elements: {', '.join(unusual) or 'none'}")
        features[atom.GetIdx(), 4] = charge
    return features


def _bonds(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Bonds (B, 2), sorted, and their features (B, 3)."""
    rows = sorted(
        (
            *sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())),
            _ORDERS.get(bond.GetBondType(), 1.0),
            float(bond.GetIsConjugated()),
            float(bond.IsInRing()),
        )
        for bond in mol.GetBonds()
    )
    table = np.array(rows, dtype=np.float64).reshape(-1, 2 + BOND_FEATURES)
    return table[:, :2].astype(np.int32), table[:, 2:].astype(np.float32)
