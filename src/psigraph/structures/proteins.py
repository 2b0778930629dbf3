"""Proteins of complexes, each read and prepared once, and what was found in all of them."""

import logging
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from psigraph.structures.complexes import Protein
from psigraph.structures.protein_atoms import protein_of
from psigraph.structures.protein_file import ProteinText, read_protein_text
from psigraph.structures.protein_preparation import PreparedAtoms, prepare
from psigraph.structures.reading import RowError
from psigraph.structures.sources import StructureError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadProtein:
    """A protein and its atoms that a covalent ligand was linked to, by the file's own word."""

    protein: Protein
    linked: np.ndarray  # (L,) int64


@dataclass(frozen=True)
class _Reading:
    """What came of one file: a protein or the reason why there is none, and what was found in it."""

    found: ReadProtein | RowError
    counts: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)  # residues without a template, by name
    warning: str = ""


@dataclass
class ProteinReader:
    """Reads each protein once; `summary` logs what was found in all of them."""

    how: str  # as_is, fix or minimise
    ph: float
    counts: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)  # residues without a template, by name
    _known: dict[str, ReadProtein | RowError] = field(default_factory=dict)

    def read_ahead(self, files: Mapping[str, Path], processes: int) -> None:
        """Read the PDB files of proteins by their ids at once; `read` raises for those that cannot be read.

        Raises StructureError where a process ends, which is what a lack of memory does.
        """
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            work = pool.map(_read, files.values(), files, repeat(self.how), repeat(self.ph))
            progress = tqdm(work, desc="proteins", total=len(files), disable=None, mininterval=1.0)
            try:
                for id, reading in zip(files, progress, strict=True):
                    self._take(id, reading)
            except BrokenProcessPool as error:
                raise StructureError(
                    f"a process that prepared proteins has ended ({error}); lower the dataset's threads, or raise its "
                    "memory_mb"
                ) from error

    def read(self, path: Path, id: str) -> ReadProtein:
        """Return the protein `id` of a PDB file. Raises RowError naming the file where it cannot be read."""
        if id not in self._known:
            self._take(id, _read(path, id, self.how, self.ph))
        found = self._known[id]
        if isinstance(found, RowError):
            raise RowError(str(found))
        return found

    def _take(self, id: str, reading: _Reading) -> None:
        self._known[id] = reading.found
        self.counts.update(reading.counts)
        self.unknown.update(reading.unknown)
        if reading.warning:
            logger.warning(reading.warning)

    def summary(self) -> None:
        """Log the counts, and a warning of residues that have no template."""
        logger.info(", ".join(f"{count} {what}" for what, count in self.counts.items()))
        if self.unknown:
            logger.warning(
                "%d residues have no template of ff14SB: flags by element, charge 0: %s",
                sum(self.unknown.values()),
                ", ".join(f"{name} {count}" for name, count in sorted(self.unknown.items())),
            )


def _read(path: Path, id: str, how: str, ph: float) -> _Reading:
    unknown: Counter = Counter()
    try:
        text = read_protein_text(path)
    except RowError as error:  # which names the file
        return _Reading(error)
    try:
        prepared = prepare(text, how, ph)
        protein, names = protein_of(prepared, id, text.states, unknown)
    except RowError as error:
        return _Reading(RowError(f"{path.name}: {error}"))
    linked = np.flatnonzero([name in text.open_links for name in names])
    warning = f"{path.name}: not minimised, the fixed structure is used: {prepared.failure}" if prepared.failure else ""
    return _Reading(ReadProtein(protein, linked), _counts(text, prepared), unknown, warning)


def _counts(text: ProteinText, prepared: PreparedAtoms) -> Counter:
    found = {
        "proteins": 1,
        "water molecules left out": text.waters,
        "atoms of alternate locations left out": text.alternates,
        "residues with insertion codes": text.insertions,
        "selenomethionines read as methionines": text.selenomethionines,
        "atoms left out whose name another has": prepared.repeated,
        "heavy atoms added": prepared.added,
        "residues of SEQRES without atoms": prepared.missing,
        "gaps in chains": prepared.gaps,
        "proteins not minimised": int(bool(prepared.failure)),
    }
    return Counter({what: count for what, count in found.items() if count})
