"""What the parts of a prediction hand to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psigraph.training.checkpoint import LoadedModel

BATCH_SIZE = 64  # graphs; changes nothing but speed


class PredictionError(ValueError):
    """Nothing can be predicted; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, its file and the first 12 digits of the file's SHA-256."""

    path: Path
    loaded: LoadedModel
    digest: str

    @property
    def graphset(self) -> Mapping[str, Any]:
        return self.loaded.meta["graphset"]


@dataclass(frozen=True)
class Rejected:
    """An input without a prediction, and why."""

    id: str
    source: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Options:
    """How inputs are read and computed; None for what does not apply."""

    fragment_a: str | None = None  # dimers: atoms of A from 1, as in 1-6,9
    placement: str = "as_given"  # dimers: of a raw folder
    unit: str | None = None  # dimers: of V0 and Vref in a raw folder
    protein: Path | None = None  # complexes: the PDB file that holds the protein
    prepare: str = "fix"  # complexes: what is done with the protein (as_is, fix, minimise)
    relax: str = "mmff"  # molecules from SMILES: how their geometry is relaxed
    store: Path | None = None  # folder that keeps Psi4 results
    threads: int = 1  # Psi4 processes
    memory_mb: int = 2000  # of one Psi4 process
    time_limit_s: float = 3600  # for one SCF with its features
