"""What a complex has beside its ligand's `Structure`, and the same of many complexes as flat arrays.

Uses only NumPy: the Psi4 interpreter imports it too. Legend of shapes: n complexes, N atoms of one ligand with its
hydrogens, ΣN of all ligands, ΣB bonds of all ligands; p proteins, P atoms of one protein without hydrogens, ΣP of all
proteins, R residues of one protein, ΣR of all. The 5 features of an atom are `psigraph.fields.COMPLEX_ATOM_FEATURES`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psigraph.fields import COMPLEX_ATOM_FEATURES

#: Columns of the features of an atom, and of a bond: order (1, 1.5 aromatic, 2, 3), conjugated, in a ring.
ATOM_FEATURES, BOND_FEATURES = len(COMPLEX_ATOM_FEATURES), 3
#: What may have been measured, and the sides of the split that a source may propose.
MEASURES = ("Kd", "Ki", "IC50", "unknown")
SIDES = ("", "train", "validation", "test")


@dataclass(frozen=True)
class Protein:
    """A protein with its metals and cofactors, without hydrogens: an atom's charge has those of its hydrogens in it."""

    id: str
    z: np.ndarray  # (P,) uint8
    positions: np.ndarray  # (P, 3) float64 Å
    residue: np.ndarray  # (P,) int32, row of residue_names
    residue_names: np.ndarray  # (R,) text: chain, name, number and insertion code, such as A:ASP25
    features: np.ndarray  # (P, 5) float32


@dataclass(frozen=True)
class Binding:
    """The protein that a ligand is bound to, the ligand's chemistry and what was measured.

    Ligands of one protein share the object. Hydrogens of the ligand have their own charge and no other feature.
    """

    protein: Protein
    atom_features: np.ndarray  # (N, 5) float32
    bonds: np.ndarray  # (B, 2) int32, i < j, sorted; those to hydrogens too
    bond_features: np.ndarray  # (B, 3) float32
    smiles: str  # canonical, with stereochemistry: the ligand's identity
    measure: str = "unknown"  # of MEASURES
    side: str = ""  # of SIDES


@dataclass(frozen=True)
class ComplexSet:
    """Many complexes; arrays as in the file. `atom_features` goes by atom with the `StructureSet` of these rows."""

    atom_features: np.ndarray  # (ΣN, 5) float32
    bond_offsets: np.ndarray  # (n+1,) int64
    bonds: np.ndarray  # (ΣB, 2) int32, atoms i < j of their ligand
    bond_features: np.ndarray  # (ΣB, 3) float32
    smiles: np.ndarray  # (n,) text
    measure: np.ndarray  # (n,) text
    side: np.ndarray  # (n,) text
    protein: np.ndarray  # (n,) int32, row of protein_ids
    protein_ids: np.ndarray  # (p,) text
    protein_offsets: np.ndarray  # (p+1,) int64
    protein_z: np.ndarray  # (ΣP,) uint8
    protein_positions: np.ndarray  # (ΣP, 3) float64 Å
    protein_residue: np.ndarray  # (ΣP,) int32, residue of its protein
    protein_features: np.ndarray  # (ΣP, 5) float32
    residue_offsets: np.ndarray  # (p+1,) int64
    residue_names: np.ndarray  # (ΣR,) text

    @property
    def n(self) -> int:
        return len(self.smiles)

    def protein_of(self, row: int) -> Protein:
        """Return protein `row` (0-based)."""
        atoms = slice(int(self.protein_offsets[row]), int(self.protein_offsets[row + 1]))
        residues = slice(int(self.residue_offsets[row]), int(self.residue_offsets[row + 1]))
        return Protein(
            id=str(self.protein_ids[row]),
            z=self.protein_z[atoms],
            positions=self.protein_positions[atoms],
            residue=self.protein_residue[atoms],
            residue_names=self.residue_names[residues],
            features=self.protein_features[atoms],
        )


def concatenate_complexes(bindings: Sequence[Binding]) -> ComplexSet:
    """Return the complexes as flat arrays in the given order, each protein once, in the order of first appearance.

    Raises ValueError where two different proteins have one id.
    """
    proteins: dict[str, Protein] = {}
    for binding in bindings:
        known = proteins.setdefault(binding.protein.id, binding.protein)
        if known is not binding.protein:
            raise ValueError(f"two proteins have the id {known.id!r}; ids of proteins must differ")
    rows = {name: row for row, name in enumerate(proteins)}
    of_proteins = list(proteins.values())
    return ComplexSet(
        atom_features=_stacked([b.atom_features for b in bindings], np.float32, ATOM_FEATURES),
        bond_offsets=_offsets([len(b.bonds) for b in bindings]),
        bonds=_stacked([b.bonds for b in bindings], np.int32, 2),
        bond_features=_stacked([b.bond_features for b in bindings], np.float32, BOND_FEATURES),
        smiles=_text([b.smiles for b in bindings]),
        measure=_text([b.measure for b in bindings]),
        side=_text([b.side for b in bindings]),
        protein=np.array([rows[b.protein.id] for b in bindings], dtype=np.int32),
        protein_ids=_text(list(proteins)),
        protein_offsets=_offsets([len(p.z) for p in of_proteins]),
        protein_z=_stacked([p.z for p in of_proteins], np.uint8),
        protein_positions=_stacked([p.positions for p in of_proteins], np.float64, 3),
        protein_residue=_stacked([p.residue for p in of_proteins], np.int32),
        protein_features=_stacked([p.features for p in of_proteins], np.float32, ATOM_FEATURES),
        residue_offsets=_offsets([len(p.residue_names) for p in of_proteins]),
        residue_names=_text([name for p in of_proteins for name in p.residue_names]),
    )


def _offsets(sizes: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *sizes], dtype=np.int64)


def _text(values: Sequence[str]) -> np.ndarray:
    return np.array([str(value) for value in values], dtype=object)


def _stacked(values: Sequence[np.ndarray], dtype: type, *columns: int) -> np.ndarray:
    return np.concatenate([np.asarray(v, dtype).reshape(-1, *columns) for v in (*values, np.zeros((0, *columns)))])
