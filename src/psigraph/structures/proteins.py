"""Proteins of complexes, each read and prepared once, and what was found in all of them."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from psigraph.structures.complexes import Protein
from psigraph.structures.protein_atoms import protein_of
from psigraph.structures.protein_file import ProteinText, read_protein_text
from psigraph.structures.protein_preparation import PreparedAtoms, prepare
from psigraph.structures.reading import RowError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadProtein:
    """A protein and its atoms that a covalent ligand was linked to, by the file's own word."""

    protein: Protein
    linked: np.ndarray  # (L,) int64


@dataclass
class ProteinReader:
    """Reads each protein once; `summary` logs what was found in all of them."""

    how: str  # as_is, fix or minimise
    ph: float
    counts: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)  # residues without a template, by name
    _known: dict[str, ReadProtein | RowError] = field(default_factory=dict)

    def read(self, path: Path, id: str) -> ReadProtein:
        """Return the protein `id` of a PDB file. Raises RowError naming the file where it cannot be read."""
        if id not in self._known:
            try:
                self._known[id] = self._read(path, id)
            except RowError as error:
                self._known[id] = error
        found = self._known[id]
        if isinstance(found, RowError):
            raise RowError(str(found))
        return found

    def _read(self, path: Path, id: str) -> ReadProtein:
        text = read_protein_text(path)
        try:
            prepared = prepare(text, self.how, self.ph)
            protein, names = protein_of(prepared, id, text.states, self.unknown)
        except RowError as error:
            raise RowError(f"{path.name}: {error}") from None
        if prepared.failure:
            logger.warning("%s: not minimised, the fixed structure is used: %s", path.name, prepared.failure)
        self._count(text, prepared)
        return ReadProtein(protein, np.flatnonzero([name in text.open_links for name in names]))

    def _count(self, text: ProteinText, prepared: PreparedAtoms) -> None:
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
        self.counts.update({what: count for what, count in found.items() if count})

    def summary(self) -> None:
        """Log the counts, and a warning of residues that have no template."""
        logger.info(", ".join(f"{count} {what}" for what, count in self.counts.items()))
        if self.unknown:
            logger.warning(
                "%d residues have no template of ff14SB: flags by element, charge 0: %s",
                sum(self.unknown.values()),
                ", ".join(f"{name} {count}" for name, count in sorted(self.unknown.items())),
            )
