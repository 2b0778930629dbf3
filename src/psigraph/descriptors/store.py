"""The descriptor store of a dataset: the layout of the quantum store, without a level of theory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from psigraph.descriptors import DESCRIPTOR_VERSION
from psigraph.descriptors.compute import NAMES
from psigraph.quantum.model import Result
from psigraph.quantum.store import QuantumSet, read_quantum, write_quantum
from psigraph.stores import StoreError
from psigraph.structures.model import StructureSet

#: What stands as `program` in a store's settings; the version counts, since no level of theory tells stores apart.
PROGRAM = f"rdkit and dftd4, version {DESCRIPTOR_VERSION}"
REMEDY = "snakemake --cores 8 features"


def write_descriptors(path: str | Path, structures: StructureSet, results: Sequence[Result]) -> str:
    """Write the descriptors of all structures of a store, in its order, and return the content digest."""
    return write_quantum(
        path,
        ids=[str(i) for i in structures.ids],
        index=range(structures.n),
        results=results,
        names=NAMES,
        level=None,
        structures_digest=structures.digest,
        program=PROGRAM,
    )


def read_descriptors(
    path: str | Path,
    *,
    structures_digest: str | None = None,
    ids: Sequence[str] | np.ndarray | None = None,
    remedy: str = REMEDY,
) -> QuantumSet:
    """Read a descriptor store. Raises StoreError where it is not of these structures or of another version."""
    found = read_quantum([path], structures_digest=structures_digest, ids=ids, remedy=remedy)
    if found.settings.get("program") != PROGRAM:
        raise StoreError(
            f"{path}: holds features by {found.settings.get('program')!r}, expected {PROGRAM!r}; "
            f"rebuild it with: {remedy}"
        )
    return found
