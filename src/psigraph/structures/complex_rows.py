"""What the readers of complexes share: labels in pK, and one row's protein and ligand to a `Structure`."""

import logging
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from psigraph.config import ComplexDataset
from psigraph.structures.complexes import MEASURES, Binding
from psigraph.structures.identity import scaffold_of
from psigraph.structures.ligands import Ligand
from psigraph.structures.model import Label, Structure
from psigraph.structures.poses import check_pose
from psigraph.structures.proteins import ProteinReader
from psigraph.structures.reading import ReadResult, RowError
from psigraph.units import GAS_CONSTANT

logger = logging.getLogger(__name__)

#: Unit of `v_ref`, which complexes do not have.
UNIT = "kcal/mol"
LABELS = (Label("pK", "1", False),)
#: What binding of one site can be: 1 mol/l to far beyond biotin and avidin (pK 15).
PK_RANGE, DG_RANGE = (0.0, 16.0), (-25.0, 0.0)


def empty_result() -> ReadResult:
    return ReadResult(UNIT, label_specs=LABELS)


def checked_pk(pk: float, what: str = "pK") -> float:
    """Return it. Raises RowError where no pK is like that."""
    if not PK_RANGE[0] <= pk <= PK_RANGE[1]:
        raise RowError(
            f"{what} is {pk:g}, outside {PK_RANGE[0]:g} to {PK_RANGE[1]:g}: is it a concentration, or an energy? pK is "
            "-log10 of Kd, Ki or IC50 in mol/l"
        )
    return pk


def pk_of_energy(energy: float, temperature: float, what: str = "ΔG") -> float:
    """Return pK = -ΔG/(RT ln 10) of a binding free energy [kcal/mol] at a temperature [K].

    Raises RowError where the energy is above 0 or below -25 kcal/mol.
    """
    if not DG_RANGE[0] <= energy <= DG_RANGE[1]:
        raise RowError(
            f"{what} is {energy:g} kcal/mol, outside {DG_RANGE[0]:g} to {DG_RANGE[1]:g}: is it in kJ/mol, a difference "
            "between ligands, or without its sign?"
        )
    return -energy / (GAS_CONSTANT * temperature * math.log(10))


def measure_of(text: str) -> str:
    """Return Kd, Ki or IC50 where the text is one of them in any case, else unknown."""
    return {name.lower(): name for name in MEASURES}.get(text.strip().lower(), "unknown")


class ComplexReader:
    """Puts complexes of one dataset together; each protein is prepared once."""

    def __init__(self, dataset: ComplexDataset) -> None:
        self._dataset = dataset
        self._proteins = ProteinReader(dataset.prepare, dataset.ph)
        self._counts: Counter = Counter()

    def read_ahead(self, proteins: Iterable[tuple[Path, str]]) -> None:
        """Prepare proteins, each a file and its name, in as many processes as the dataset has threads.

        Files that are not there, and proteins that cannot be read, are left to the rows that ask for them.
        """
        files = {name: path for path, name in proteins if path.is_file()}
        if self._dataset.threads > 1 and len(files) > 1:
            self._proteins.read_ahead(files, min(self._dataset.threads, len(files)))

    def structure(
        self,
        id: str,
        target: str,
        protein: tuple[Path, str],
        ligand: Ligand,
        pk: float,
        *,
        source: str,
        measure: str = "unknown",
        side: str = "",
    ) -> Structure:
        """Return the ligand of a complex with its `binding`; `protein` is a file and the protein's name.

        Raises RowError where the protein cannot be read or the pose cannot be.
        """
        read = self._proteins.read(*protein)
        check_pose(
            ligand.z,
            ligand.positions,
            read,
            min_contact=self._dataset.min_contact,
            max_distance=self._dataset.max_distance,
        )
        self._counts["complexes"] += 1
        self._counts["ligands whose hydrogens were added"] += bool(ligand.added_hydrogens)
        return Structure(
            id=id,
            z=ligand.z,
            positions=ligand.positions,
            fragment=np.zeros(len(ligand.z)),
            v_ref=math.nan,
            group=target,
            system=scaffold_of(ligand.smiles) or ligand.smiles,
            source=source,
            charge=(ligand.charge, 0),
            labels=np.array([pk]),
            binding=Binding(
                protein=read.protein,
                atom_features=ligand.atom_features,
                bonds=ligand.bonds,
                bond_features=ligand.bond_features,
                smiles=ligand.smiles,
                measure=measure,
                side=side,
            ),
        )

    def summary(self) -> None:
        """Log what was read."""
        self._proteins.summary()
        logger.info(", ".join(f"{count} {what}" for what, count in self._counts.items() if count))
