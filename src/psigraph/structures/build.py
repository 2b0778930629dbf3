"""The structures stage: a dataset's raw files to its structure store and the list of rows that are not in it."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from psigraph.config import JOB_KEYS, Dataset
from psigraph.stores import atomic_path
from psigraph.structures import (
    complex_folder,
    conformers,
    exciton_pairs,
    molecule_folder,
    openmm_systems,
    pdbbind,
    psi4_databases,
    qm9,
    raw_folder,
    reading,
    selection,
    xyz_folder,
)
from psigraph.structures.checks import check
from psigraph.structures.duplicates import find_duplicates, find_repeated_ligands
from psigraph.structures.identity import group_of, scaffold_of
from psigraph.structures.model import Structure
from psigraph.structures.reading import IDENTICAL, IDENTICAL_LIGAND, NOT_SELECTED, ReadResult, Rejection
from psigraph.structures.sources import (
    StructureError,
    file_digests,
    files_of,
    openmm_systems_folder,
    psi4_databases_folder,
    qm9_folder,
)
from psigraph.structures.store import write_structures

logger = logging.getLogger(__name__)

#: Keys of a dataset that say where it lies, how it is computed or when to stop, and nothing about its content.
_NOT_CONTENT = {"path", "batches", "max_rejected"} | JOB_KEYS


def _everything(dataset: Any, structure: Structure) -> None:
    """No filter: a reader without settings that leave structures out."""


@dataclass(frozen=True)
class Source:
    """How a kind of dataset is read, and which setting leaves a structure out (a reason, or None)."""

    read: Callable[[Any], ReadResult]
    unselected: Callable[[Any, Structure], str | None] = _everything
    molecules: bool = False  # whether it gives single molecules, without `v_ref`, and not dimers
    repeats: bool = False  # whether identical geometries all count
    complexes: bool = False  # whether the molecules are ligands of proteins


#: Readers by the `source` of a dataset's configuration.
SOURCES: dict[str, Source] = {
    "psi4_databases": Source(psi4_databases.read, psi4_databases.unselected),
    "raw_folder": Source(raw_folder.read),
    "xyz_folder": Source(xyz_folder.read),
    "exciton_pairs": Source(exciton_pairs.read),
    # 131 molecules of QM9 are mirror images of others; the customary counts of its splits include them
    "qm9": Source(qm9.read, molecules=True, repeats=True),
    "molecule_folder": Source(molecule_folder.read, molecules=True),
    "conformers": Source(conformers.read, conformers.unselected, molecules=True),
    "openmmforcefields": Source(openmm_systems.read, molecules=True, complexes=True),
    "complex_folder": Source(complex_folder.read, molecules=True, complexes=True),
    "pdbbind": Source(pdbbind.read, molecules=True, complexes=True),
}


def build_structures(dataset: Dataset, name: str, output: str | Path, rejected_csv: str | Path) -> dict[str, int]:
    """Read a dataset, write its structure store and rejected.csv, and return the counts.

    Counts: `rows`, `structures`, `groups`, `unreadable`, `not selected`, `identical`. Raises StructureError, and writes
    nothing, where a file is missing or unusable, nothing is left, or a larger share than `max_rejected` is unreadable.
    """
    result = load_dataset(dataset, name)
    settings = {k: v for k, v in dataset.model_dump(mode="json").items() if k not in _NOT_CONTENT}
    Path(rejected_csv).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(rejected_csv) as temporary:
        reading.write_rejected(temporary, result.rejected)
        write_structures(
            output,
            result.structures,
            unit=result.unit,
            settings=settings,
            inputs=_input_digests(dataset),
            label_specs=result.label_specs,
        )
    counts = _counts(result)
    logger.info("%s: %s", name, ", ".join(f"{count} {what}" for what, count in counts.items()))
    return counts


def load_dataset(dataset: Dataset, name: str) -> ReadResult:
    """Read a dataset, check, group and select its structures; `rejected` holds what is left out, with reasons.

    Relative labels are from the mean over what is left of the group; one that is alone has none.
    """
    source = SOURCES[dataset.source]
    result = check(source.read(dataset), molecules=source.molecules)
    _stop_if_unreadable(result, name, dataset.max_rejected)
    result = _leave_out(result, [_prefixed(source.unselected(dataset, s)) for s in result.structures])
    if not source.complexes:  # whose readers name them
        _name_groups(result.structures, molecules=source.molecules)
    find, words = (find_repeated_ligands, IDENTICAL_LIGAND) if source.complexes else (find_duplicates, IDENTICAL)
    repeated = {} if source.repeats else find(result.structures)
    ids = [s.id for s in result.structures]
    result = _leave_out(result, [words + ids[repeated[i]] if i in repeated else None for i in range(len(ids))])
    for key, limit in (("max_per_group", selection.limit_per_group), ("max_structures", selection.limit_total)):
        value = getattr(dataset, key)
        if value is not None:
            kept = set(limit(result.structures, value))
            reason = f"{NOT_SELECTED}beyond {key} {value}"
            result = _leave_out(result, [None if i in kept else reason for i in range(len(result.structures))])
    if not result.structures:
        raise StructureError(f"{name}: no structure is left; {_most_frequent(result.rejected)}")
    for column in (n for n, label in enumerate(result.label_specs) if label.relative):
        _relate(result.structures, column)
    return result


def _name_groups(structures: list[Structure], *, molecules: bool) -> None:
    """Set the groups that readers left open; the system of a molecule is its scaffold, one for each group.

    A reader that knows the SMILES gives the scaffold; else the identity does. Without rings it is the group.
    """
    scaffolds: dict[str, str] = {}
    for structure in tqdm(structures, desc="monomers", disable=None, mininterval=1.0):
        given = structure.group
        structure.group = given or group_of(structure)
        if molecules:
            if structure.group not in scaffolds:
                known = structure.system if structure.system != structure.id else ""
                scaffold = known or scaffold_of(group_of(structure) if given else structure.group)
                scaffolds[structure.group] = scaffold or structure.group
            structure.system = scaffolds[structure.group]


def _relate(structures: list[Structure], column: int) -> None:
    """Subtract from a label its mean over the group; a structure that alone of its group has it loses it."""
    values = pd.Series([structure.labels[column] for structure in structures])
    by_group = values.groupby([structure.group for structure in structures])
    relative = (values - by_group.transform("mean")).where(by_group.transform("count") > 1)
    for structure, value in zip(structures, relative, strict=True):
        structure.labels[column] = value


def _prefixed(reason: str | None) -> str | None:
    return None if reason is None else NOT_SELECTED + reason


def _leave_out(result: ReadResult, reasons: list[str | None]) -> ReadResult:
    """Move the structures with a reason to the rejected rows."""
    rest = ReadResult(result.unit, rejected=result.rejected, label_specs=result.label_specs)
    for structure, row, reason in zip(result.structures, result.rows, reasons, strict=True):
        if reason is None:
            rest.accept(structure, row)
        else:
            rest.reject(structure.source, row, structure.id, reason)
    return rest


def _stop_if_unreadable(result: ReadResult, name: str, limit: float) -> None:
    unreadable = [r for r in result.rejected if r.kind == "unreadable"]  # a reader may leave rows out by settings
    failed, rows = len(unreadable), len(unreadable) + len(result.structures)
    if rows == 0:
        what = _most_frequent(result.rejected) if result.rejected else "the dataset has no rows"
        raise StructureError(f"{name}: {what}")
    for item in unreadable[:20]:
        logger.warning("%s, row %s (%s): %s", item.source, item.row, item.id, item.reason)
    if failed > 20:
        logger.warning("%s: %d more rows are unreadable", name, failed - 20)
    if failed / rows > limit:
        raise StructureError(
            f"{name}: {failed} of {rows} rows cannot be used, more than max_rejected {limit:g}; "
            f"{_most_frequent(unreadable)}; correct them, or raise max_rejected"
        )


def _most_frequent(rejected: list[Rejection]) -> str:
    if not rejected:
        return "the dataset is empty"
    common = Counter(r.reason for r in rejected).most_common(3)
    first = {r.reason: r for r in reversed(rejected)}
    return "most frequent: " + "; ".join(
        f"{reason} ({count}×, first {first[reason].source} row {first[reason].row})" for reason, count in common
    )


def _counts(result: ReadResult) -> dict[str, int]:
    return {
        "rows": len(result.structures) + len(result.rejected),
        "structures": len(result.structures),
        "groups": len({s.group for s in result.structures}),
        **reading.count_kinds(result.rejected),
    }


def _input_digests(dataset: Dataset) -> dict[str, str]:
    path = getattr(dataset, "path", None)
    packaged = {"qm9": qm9_folder, "openmmforcefields": openmm_systems_folder}
    if dataset.source in packaged:
        return file_digests(files_of(dataset), packaged[dataset.source](path))
    return file_digests(files_of(dataset), Path(path) if path else psi4_databases_folder())
