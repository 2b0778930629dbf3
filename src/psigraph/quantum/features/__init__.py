"""The functions that compute features from an `Scf`. Importing this package registers them all, see `registry.py`."""

from psigraph.quantum.features import (
    bonds,
    correlation,
    density,
    energies,
    multipoles,
    natural,
    nbo,
    orbitals,
    populations,
    response,
    sapt,
)

__all__ = [
    "bonds",
    "correlation",
    "density",
    "energies",
    "multipoles",
    "natural",
    "nbo",
    "orbitals",
    "populations",
    "response",
    "sapt",
]
