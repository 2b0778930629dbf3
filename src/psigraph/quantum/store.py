"""The quantum store: the features of a batch of structures (`write_quantum`), and all batches of a dataset read as one.

`read_quantum` reads them whole, `QuantumFiles` any range of structures. Descriptors of other programs (RDKit, D4,
shieldings) are stored and read the same way.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.quantum_set import REMEDY, QuantumSet
from psigraph.quantum.store_reader import QuantumFiles
from psigraph.quantum.store_writer import store_settings, write_quantum

__all__ = ["REMEDY", "QuantumFiles", "QuantumSet", "read_quantum", "store_settings", "write_quantum"]


def read_quantum(
    paths: Sequence[str | Path],
    *,
    level: Mapping[str, Any] | None = None,
    structures_digest: str | None = None,
    ids: Sequence[str] | np.ndarray | None = None,
    features: Collection[str] | None = None,
    remedy: str = REMEDY,
) -> QuantumSet:
    """Read all batches of a dataset, in the order of the structure store.

    `level` is the level of theory that is expected, `structures_digest` and `ids` the content digest and the ids of
    the structure store that goes with it; where given they are checked. With `features` only these are read, but the
    files are verified whole. Raises StoreError naming file, both values and remedy where they differ, where batches
    differ among themselves, or where a structure is missing or stands in two batches.
    """
    with QuantumFiles(
        paths, level=level, structures_digest=structures_digest, features=features, remedy=remedy, verify=True
    ) as files:
        if ids is not None:
            files.check_count(len(ids))
        return files.rows(0, files.n, ids=ids)
