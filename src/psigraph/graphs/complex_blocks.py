"""Complexes of a shard: a ligand without its hydrogens, the protein's atoms around it, and their contacts.

Legend: N atoms of one ligand, P of its whole protein, S of those near the ligand, C contacts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from psigraph.fields import COMPLEX_ATOM_FEATURES
from psigraph.graphs.blocks import Block
from psigraph.graphs.complex_settings import ComplexSettings
from psigraph.graphs.graph import MAX_ATOMS, Skipped
from psigraph.graphs.molecule_blocks import labels_of_structures
from psigraph.quantum.quantum_set import QuantumSet
from psigraph.structures.complexes import ComplexSet
from psigraph.structures.model import Label, StructureSet

_CHARGE = [name for name, *_ in COMPLEX_ATOM_FEATURES].index("charge")
#: Columns by the offsets that count their rows.
_ROWS = {
    "offsets": ("z_atoms", "pos_atoms", "atom_features"),
    "bond_offsets": ("bonds", "bond_features"),
    "site_offsets": ("site_z", "site_pos", "site_features", "in_pocket", "site_residue"),
    "contact_offsets": ("contacts",),
}
#: Type and shape of a row of what an empty block has.
_EMPTY = {
    "bonds": (np.int64, (2,)),
    "contacts": (np.int64, (2,)),
    "pos_atoms": (float, (3,)),
    "site_pos": (float, (3,)),
}


class _Left(ValueError):
    """A complex that becomes no sample; the message is the reason."""


@dataclass(frozen=True)
class Site:
    """What a ligand finds around it: atoms of the protein (S,), those of the pocket (S,), and contacts (C, 2)."""

    atoms: np.ndarray
    in_pocket: np.ndarray
    contacts: np.ndarray


def build_complexes(
    structures: StructureSet,
    complexes: ComplexSet,
    sets: Mapping[str, QuantumSet],
    settings: ComplexSettings,
    *,
    labels: Sequence[Label] | None = None,
    prefix: str = "",
) -> Block:
    """Return the samples of some complexes, and why the others became none.

    `structures` are the ligands, `complexes` what is around them, row for row; `sets` has Psi4's charges where the
    settings ask for them. `labels` are the columns of y, by default those of the structures; NaN where a dataset has
    none of the name. `prefix` stands before each id.
    """
    charges = sets["psi4"] if settings.charges == "psi4" else None
    samples: list[dict[str, np.ndarray]] = []
    chosen: list[int] = []
    skipped: list[Skipped] = []
    for row in range(structures.n):
        try:
            samples.append(_sample(structures, complexes, row, settings, charges))
            chosen.append(row)
        except _Left as reason:
            skipped.append(Skipped(prefix + str(structures.ids[row]), str(structures.source[row]), str(reason)))
    whole = structures if not skipped else structures.select(np.array(chosen, dtype=np.int64))
    columns = {
        "ids": np.array([prefix + str(id) for id in whole.ids], dtype=object),
        **{name: getattr(whole, name) for name in ("group", "system", "source")},
        "ligand": complexes.smiles[chosen],
        "side": complexes.side[chosen],
        "measure": complexes.measure[chosen],
        "charge": whole.charge[:, 0],
        "n_heavy": np.array([len(sample["z_atoms"]) for sample in samples], dtype=np.int64),
        "y": labels_of_structures(whole, whole.label_specs if labels is None else labels),
        **{name: _joined([sample[name] for sample in samples], name) for names in _ROWS.values() for name in names},
    }
    counts = {
        offsets: np.array([len(sample[names[0]]) for sample in samples], dtype=np.int64)
        for offsets, names in _ROWS.items()
    }
    return Block(columns, counts, skipped)


def site_of(ligand: np.ndarray, protein: np.ndarray, residue: np.ndarray, settings: ComplexSettings) -> Site:
    """Return what stands around a ligand (N, 3) in a protein (P, 3) [Å], whose atoms are of these residues (P,)."""
    distances = cdist(ligand, protein)  # (N, P)
    nearest = distances.min(axis=0)  # (P,)
    atoms = np.flatnonzero(nearest <= settings.protein_radius)
    pocket = np.unique(residue[nearest <= settings.pocket_radius])
    contacts = np.argwhere(distances[:, atoms] <= settings.contact_cutoff)
    return Site(atoms, np.isin(residue[atoms], pocket), contacts)


def _sample(
    structures: StructureSet, complexes: ComplexSet, row: int, settings: ComplexSettings, charges: QuantumSet | None
) -> dict[str, np.ndarray]:
    """Return the columns of one complex. Raises _Left where it becomes no sample."""
    a, b = int(structures.offsets[row]), int(structures.offsets[row + 1])
    z, positions = structures.z[a:b], structures.positions[a:b]
    features = complexes.atom_features[a:b].copy()
    if charges is not None:
        features[:, _CHARGE] = _psi4_charges(charges, row, b - a)
    p = int(complexes.protein[row])
    atoms = slice(int(complexes.protein_offsets[p]), int(complexes.protein_offsets[p + 1]))
    heavy = np.flatnonzero(z > 1)
    if not len(heavy):
        raise _Left("the ligand has no atom but hydrogen")
    residue = complexes.protein_residue[atoms]
    site = site_of(positions[heavy], complexes.protein_positions[atoms], residue, settings)
    if not len(site.atoms):
        raise _Left(f"no atom of the protein within protein_radius {settings.protein_radius:g} Å of the ligand")
    if max(len(heavy), len(site.atoms)) > MAX_ATOMS:
        raise _Left(f"{len(site.atoms)} atoms of the protein; a sample holds {MAX_ATOMS}")
    ends = slice(int(complexes.bond_offsets[row]), int(complexes.bond_offsets[row + 1]))
    bonds = complexes.bonds[ends]
    between = (z[bonds] > 1).all(axis=1)
    place = np.cumsum(z > 1) - 1
    return {
        "z_atoms": z[heavy],
        "pos_atoms": positions[heavy],
        "atom_features": with_hydrogens_charges(z, features, bonds)[heavy],
        "bonds": place[bonds[between]],
        "bond_features": complexes.bond_features[ends][between],
        "site_z": complexes.protein_z[atoms][site.atoms],
        "site_pos": complexes.protein_positions[atoms][site.atoms],
        "site_features": complexes.protein_features[atoms][site.atoms],
        "in_pocket": site.in_pocket,
        "site_residue": residue[site.atoms],
        "contacts": site.contacts,
    }


def with_hydrogens_charges(z: np.ndarray, features: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Return features (N, 5) in which each atom has its hydrogens' charges too; bonds (B, 2)."""
    found = features.copy()
    ends = np.concatenate([bonds, bonds[:, ::-1]])  # (2B, 2)
    ends = ends[(z[ends[:, 0]] == 1) & (z[ends[:, 1]] > 1)]  # hydrogen, the atom it is bound to
    np.add.at(found[:, _CHARGE], ends[:, 1], features[ends[:, 0], _CHARGE])
    return found


def _psi4_charges(table: QuantumSet, row: int, n_atoms: int) -> np.ndarray:
    """Return Mulliken charges (N,) [e] of one ligand. Raises _Left where Psi4 has none."""
    offsets = table.offsets["atom"]
    values = table["mulliken_charge"][int(offsets[row]) : int(offsets[row + 1])].reshape(-1)
    if not table.ok[row] or len(values) != n_atoms or not np.isfinite(values).all():
        raise _Left("quantum calculation failed: no Mulliken charges of the ligand (charges: psi4)")
    return values


def _joined(parts: list[np.ndarray], name: str) -> np.ndarray:
    if parts:
        return np.concatenate(parts)
    dtype, row = _EMPTY.get(name, (np.float64, ()))
    if name.endswith("_features"):
        row = (3,) if name == "bond_features" else (len(COMPLEX_ATOM_FEATURES),)
    return np.zeros((0, *row), dtype=dtype)
