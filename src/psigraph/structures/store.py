"""The structure store: one HDF5 file per dataset. Uses only NumPy and h5py: the Psi4 interpreter imports it too."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from psigraph.stores import Column, StoreError, canonical_json, open_store, write_store
from psigraph.structures.complexes import ComplexSet, concatenate_complexes
from psigraph.structures.model import BY_ATOM, NOT_COLUMNS, Label, Structure, StructureSet, concatenate
from psigraph.units import ENERGY_UNITS

FORMAT = "psigraph-structures"
VERSION = 2

#: Unit and description of every column; `V` stands for the unit of v_ref and v_0, which one store has one of.
COLUMNS: dict[str, tuple[str, str]] = {
    "ids": ("", "unique name of each structure"),
    "z": ("1", "atomic numbers of all structures, one after another; offsets says where each begins"),
    "positions": ("Å", "Cartesian coordinates"),
    "fragment": ("1", "0: monomer A, or the molecule; 1: monomer B"),
    "offsets": ("1", "structure i is rows offsets[i] to offsets[i+1]-1 of the columns by atom"),
    "charge": ("e", "total charge of A and B; B of a molecule: 0"),
    "multiplicity": ("1", "spin multiplicity 2S+1 of A and B; B of a molecule: 1"),
    "group": ("", "identity of the molecule, or of both monomers in any order; never on two sides of a split"),
    "system": ("", "all separations of one system share it; of a molecule its Bemis-Murcko scaffold"),
    "source": ("", "database or file it was read from"),
    "v_ref": ("V", "reference interaction energy or coupling; NaN for a molecule"),
    "v_0": ("V", "baseline from the raw data; NaN where none is given"),
    "separation": ("Å", "separation from the raw data; NaN where none is given"),
    "theta": ("rad", "angle from the raw data; NaN where none is given"),
    "pr": ("1", "participation ratio from the raw data; NaN where none is given"),
    "given_mulliken_spd": ("electrons", "Mulliken populations by s, p, d from the raw data; NaN where none are given"),
    "given_dipole": ("e·Å", "dipole of the dimer from the raw data"),
    "given_quadrupole": (
        "e·Å²",
        "traceless quadrupole of the dimer from the raw data, sum q (r_a r_b - delta_ab r²/3)",
    ),
    "given_origin": ("Å", "point the given moments refer to"),
    "labels": (
        "various",
        "properties of molecules; the root attribute labels names them with their units; NaN: unknown",
    ),
    "has_given": ("1", "whether the raw data gives populations, dipole and quadrupole"),
}
_FEATURES = "donor, acceptor, aromatic, hydrophobic [1] and partial charge [e]"
#: The columns that a store of complexes has beside these, whose structures are the ligands.
COMPLEX_COLUMNS: dict[str, tuple[str, str]] = {
    "atom_features": ("1, e", f"of the ligands' atoms: {_FEATURES}; of hydrogens the charge alone"),
    "bond_offsets": ("1", "ligand i has rows bond_offsets[i] to bond_offsets[i+1]-1 of bonds"),
    "bonds": ("1", "bonded atoms i < j of a ligand, counted from 0, sorted"),
    "bond_features": ("1", "order (1, 1.5 aromatic, 2, 3), whether conjugated, whether in a ring"),
    "smiles": ("", "canonical SMILES of the ligand, with stereochemistry"),
    "measure": ("", "what was measured: Kd, Ki, IC50, or unknown"),
    "side": ("", "side of the split that the source proposes: train, validation or test; empty where it does not"),
    "protein": ("1", "row of protein_ids that the ligand is bound to"),
    "protein_ids": ("", "unique name of each protein"),
    "protein_offsets": (
        "1",
        "protein j is rows protein_offsets[j] to protein_offsets[j+1]-1 of what follows",
    ),
    "protein_z": ("1", "atomic numbers of the proteins, without hydrogens"),
    "protein_positions": ("Å", "Cartesian coordinates of the proteins"),
    "protein_residue": ("1", "residue of each atom, counted from 0 in its protein"),
    "protein_features": ("1, e", f"of the proteins' atoms: {_FEATURES}; a charge has those of bound hydrogens in it"),
    "residue_offsets": ("1", "protein j has rows residue_offsets[j] to residue_offsets[j+1]-1 of residue_names"),
    "residue_names": ("", "chain, name, number and insertion code of each residue of the proteins"),
}
_BY_BOND = ("bonds", "bond_features")
_BY_PROTEIN_ATOM = ("protein_z", "protein_positions", "protein_residue", "protein_features")
#: Key of the settings, which enter the digest, and root attribute: JSON list of name, unit and extensive.
_LABELS = "labels"
if {f.name for f in fields(StructureSet)} != {*COLUMNS, *NOT_COLUMNS}:
    raise AssertionError("StructureSet and COLUMNS list different columns")
if {f.name for f in fields(ComplexSet)} != set(COMPLEX_COLUMNS):
    raise AssertionError("ComplexSet and COMPLEX_COLUMNS list different columns")


def write_structures(
    path: str | Path,
    structures: Sequence[Structure],
    *,
    unit: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    label_specs: Sequence[Label] = (),
) -> str:
    """Write structures to an HDF5 file and return its content digest.

    `unit` is the unit of `v_ref` and `v_0`; `settings` the dataset's entry in the configuration, `label_specs` what
    the columns of `labels` are. Structures with a `binding` are complexes, and all of them or none are. Raises
    ValueError for an unknown unit, an id that occurs twice, or a mixture of complexes and others.
    """
    if unit not in ENERGY_UNITS:
        raise ValueError(f"unknown energy unit {unit!r}; known units: {', '.join(ENERGY_UNITS)}")
    flat = concatenate(structures, unit, label_specs=label_specs)
    names, counts = np.unique(flat.ids.astype(str), return_counts=True)
    if len(names) < flat.n:
        raise ValueError(f"{path}: the id {str(names[counts > 1][0])!r} occurs {counts.max()} times; ids must differ")
    labels = [asdict(label) for label in label_specs]
    columns = {
        name: Column(getattr(flat, name), unit if column_unit == "V" else column_unit, description)
        for name, (column_unit, description) in COLUMNS.items()
    }
    bound = [s.binding for s in structures if s.binding is not None]
    if bound:
        if len(bound) < flat.n:
            raise ValueError(f"{path}: {len(bound)} of {flat.n} structures are complexes; all must be, or none")
        complexes = concatenate_complexes(bound)
        columns |= {name: Column(getattr(complexes, name), *about) for name, about in COMPLEX_COLUMNS.items()}
    return write_store(
        path,
        format=FORMAT,
        version=VERSION,
        columns=columns,
        settings={**settings, _LABELS: labels},
        inputs=inputs,
        attributes={"unit": unit, _LABELS: canonical_json(labels)},
    )


def read_structures(path: str | Path, *, remedy: str | None = None) -> StructureSet:
    """Read and verify a structure store. Raises StoreError naming the file, what is wrong and how to rebuild it."""
    with StructureFile(path, remedy=remedy, verify=True) as file:
        return file.rows(0, file.n)


class StructureFile:
    """A structure store on disk, a context manager that reads any range of its rows; memory holds the offsets alone.

    Raises StoreError naming the file, what is wrong and how to rebuild it: `verify` as in `stores.open_store`.
    """

    def __init__(
        self, path: str | Path, *, remedy: str | None = None, verify: bool | Literal["as read"] = "as read"
    ) -> None:
        remedy = remedy or f"snakemake --cores 1 {path}"
        self._store = open_store(path, format=FORMAT, version=VERSION, remedy=remedy, verify=verify)
        try:
            self.digest = self._store.digest
            self.unit = self._checked_unit()
            self.label_specs = tuple(Label(**label) for label in json.loads(self._store.attributes[_LABELS]))
            self.offsets = self._store.columns["offsets"][:]  # (n+1,)
            self.has_complexes = "protein" in self._store.columns
        except BaseException:
            self.close()
            raise

    @property
    def n(self) -> int:
        return len(self.offsets) - 1

    def rows(self, first: int, last: int) -> StructureSet:
        """Return the structures of rows `first` to `last` - 1."""
        atoms = slice(int(self.offsets[first]), int(self.offsets[last]))
        columns = self._store.columns
        values = {name: columns[name][atoms if name in BY_ATOM else slice(first, last)] for name in COLUMNS}
        values["offsets"] = self.offsets[first : last + 1] - self.offsets[first]
        return StructureSet(unit=self.unit, digest=self.digest, label_specs=self.label_specs, **values)

    def complexes(self, first: int, last: int) -> ComplexSet:
        """Return what rows `first` to `last` - 1 have as complexes, with the proteins of these rows alone.

        Proteins stand in the order of the file, and `protein` counts among them. Raises StoreError where the store
        holds no complexes.
        """
        if not self.has_complexes:
            raise StoreError(f"{self._store.path}: holds molecules or dimers, not complexes of a protein and a ligand")
        columns = self._store.columns
        names = ("smiles", "measure", "side")
        values = {name: columns[name][first:last] for name in names}
        values["atom_features"] = columns["atom_features"][int(self.offsets[first]) : int(self.offsets[last])]
        bounds = columns["bond_offsets"][first : last + 1]
        values["bond_offsets"] = bounds - bounds[0]
        values |= {name: columns[name][int(bounds[0]) : int(bounds[-1])] for name in _BY_BOND}
        rows, values["protein"] = np.unique(columns["protein"][first:last], return_inverse=True)
        values["protein"] = values["protein"].astype(np.int32)
        return ComplexSet(**values, **self._proteins(rows))

    def _proteins(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of these proteins, ascending."""
        columns = self._store.columns
        values: dict[str, np.ndarray] = {"protein_ids": columns["protein_ids"][:][rows]}
        for bounds_name, names in (("protein_offsets", _BY_PROTEIN_ATOM), ("residue_offsets", ("residue_names",))):
            bounds = columns[bounds_name][:]
            values[bounds_name] = np.concatenate([[0], np.cumsum(np.diff(bounds)[rows])]).astype(np.int64)
            for name in names:
                parts = [columns[name][int(bounds[row]) : int(bounds[row + 1])] for row in rows]
                values[name] = np.concatenate(parts) if parts else columns[name][0:0]
        return values

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> "StructureFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checked_unit(self) -> str:
        """Return the unit of the labels. Raises StoreError where a column is missing or has another unit."""
        path, remedy, columns = self._store.path, self._store.remedy, self._store.columns
        expected_units = COLUMNS | (COMPLEX_COLUMNS if "protein" in columns else {})
        missing = [name for name in expected_units if name not in columns]
        if missing:
            raise StoreError(f"{path}: lacks the columns {', '.join(missing)}; rebuild it with: {remedy}")
        unit = columns["v_ref"].unit
        for name, (expected, _) in expected_units.items():
            found = columns[name].unit
            if found != (unit if expected == "V" else expected) or unit not in ENERGY_UNITS:
                wanted = "an energy unit" if expected == "V" else repr(expected)
                raise StoreError(f"{path}: column {name} is in {found!r}, expected {wanted}; rebuild it with: {remedy}")
        return unit
