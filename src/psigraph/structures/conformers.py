"""Conformers of drug-like molecules with quantum energies: index.csv.gz and geom.npz.

D. L. Folmsbee, G. R. Hutchison, Int. J. Quantum Chem. 121, e26381 (2021), doi:10.1002/qua.26381. The charge of a
molecule is that of its SMILES, and the bonds of each conformer, found by distances, must be those of the SMILES: a
conformer in which a proton has moved is another molecule. Labels: `energy`, and the same as `relative_energy`.
"""

import math
import zipfile
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem

from psigraph.config import Conformers
from psigraph.structures.elements import symbol_of
from psigraph.structures.embedding import read_smiles
from psigraph.structures.geometry import bonds
from psigraph.structures.identity import bare_graph, identity_of_graph, read_bare_graph, scaffold_of
from psigraph.structures.model import Label, Structure
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.sources import StructureError
from psigraph.units import energy_factor

UNIT = "hartree"
LABELS = (Label("energy", "kcal/mol", True), Label("relative_energy", "kcal/mol", True, relative=True))
_COLUMNS = ("mol", "conf", "smiles")


class _Molecule(NamedTuple):
    """What a SMILES says."""

    graph: str  # canonical text of its atoms and bonds
    charge: int
    scaffold: str


def read(dataset: Conformers) -> ReadResult:
    """Read all conformers in the order of the index; a missing energy is NaN. Raises StructureError as `_tables`."""
    table, z, positions, offsets = _tables(dataset)
    result = ReadResult(UNIT, label_specs=LABELS)
    molecules: dict[str, _Molecule | RowError] = {}
    for n, row in enumerate(table.itertuples(index=False)):
        atoms = slice(offsets[n], offsets[n + 1])
        identifier = f"{row.mol}-{row.conf}"
        try:
            molecule = _molecule(row.smiles, molecules)
            result.accept(_structure(row, identifier, molecule, z[atoms], positions[atoms]), n + 1)
        except ValueError as error:
            result.reject("index.csv.gz", n + 1, identifier, str(error))
    return result


def unselected(dataset: Conformers, structure: Structure) -> str | None:
    """Why a setting leaves a conformer out, or None."""
    return "a molecule with a charge" if dataset.neutral and structure.charge[0] else None


def _tables(dataset: Conformers) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """The index (n rows; `energy` in kcal/mol), z (ΣN,), positions (ΣN, 3) [Å] and offsets (n+1,).

    Raises StructureError where a file cannot be read, lacks columns, or the two do not go together.
    """
    index, geometry = dataset.path / "index.csv.gz", dataset.path / "geom.npz"
    try:
        table = pd.read_csv(index)
    except (OSError, ValueError, EOFError) as error:
        raise StructureError(f"{index}: cannot be read as compressed CSV ({error})") from error
    missing = [c for c in (*_COLUMNS, dataset.energy) if c not in table.columns]
    if missing:
        raise StructureError(f"{index}: lacks the columns {', '.join(missing)}; it has {list(table.columns)}")
    try:
        energy = pd.to_numeric(table[dataset.energy]) * energy_factor("hartree", "kcal/mol")
        with np.load(geometry, allow_pickle=False) as data:
            z, positions, offsets = (
                data["Z"].astype(np.uint8),
                data["R"].astype(np.float64),
                data["offset"].astype(np.int64),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StructureError(f"{dataset.path}: {dataset.energy} or geom.npz cannot be read ({error})") from error
    if (
        len(offsets) != len(table) + 1
        or len(z) != len(positions)
        or offsets[-1] != len(z)
        or (np.diff(offsets) < 0).any()
    ):
        raise StructureError(
            f"{geometry}: offsets of {len(offsets) - 1} conformers and {len(z)} atoms do not go with the {len(table)} "
            f"rows of {index.name}; fetch both files again"
        )
    return table.assign(energy=energy), z, positions, offsets


def _molecule(smiles: Any, known: dict[str, _Molecule | RowError]) -> _Molecule:
    """What a SMILES says, looked up once. Raises RowError where it cannot be read."""
    text = "" if pd.isna(smiles) else str(smiles)
    if text not in known:
        try:
            mol = read_smiles(text)
            z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
            pairs = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], int).reshape(-1, 2)
            known[text] = _Molecule(bare_graph(z, pairs)[0], Chem.GetFormalCharge(mol), scaffold_of(text))
        except RowError as error:
            known[text] = error
    found = known[text]
    if isinstance(found, RowError):
        raise RowError(str(found))
    return found


def _structure(row: Any, identifier: str, molecule: _Molecule, z: np.ndarray, positions: np.ndarray) -> Structure:
    pairs = bonds(z, positions)
    if _graph(z.tobytes(), pairs.tobytes()) != molecule.graph:
        raise RowError(f"its bonds by distances are not those of its SMILES: {_difference(z, pairs, molecule.graph)}")
    return Structure(
        id=identifier,
        z=z,
        positions=positions,
        fragment=np.zeros(len(z)),
        v_ref=math.nan,
        group=identity_of_graph(molecule.graph, molecule.charge),
        system=molecule.scaffold,
        source="index.csv.gz",
        charge=(molecule.charge, 0),
        labels=np.array([row.energy, row.energy]),
    )


@lru_cache(maxsize=64)
def _graph(z: bytes, pairs: bytes) -> str:
    """Canonical text of atoms (uint8) and bonds (int64); neighbouring rows, of one molecule, have the same."""
    return bare_graph(np.frombuffer(z, np.uint8), np.frombuffer(pairs, np.int64).reshape(-1, 2))[0]


def _difference(z: np.ndarray, pairs: np.ndarray, graph: str) -> str:
    """How many bonds of which elements are more or fewer than in a graph: `+1 H-O, -1 H-N`."""
    expected = read_bare_graph(graph)
    counts = Counter("-".join(sorted((symbol_of(int(z[i])), symbol_of(int(z[j]))))) for i, j in pairs)
    counts.subtract(
        "-".join(sorted((b.GetBeginAtom().GetSymbol(), b.GetEndAtom().GetSymbol()))) for b in expected.GetBonds()
    )
    return ", ".join(f"{n:+d} {kind}" for kind, n in sorted(counts.items()) if n) or "other partners"
