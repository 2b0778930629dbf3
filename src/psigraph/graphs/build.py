"""Structure stores and quantum stores to one HDF5 shard of graphs, block by block."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import numpy as np
from tqdm import tqdm

from psigraph.graphs.blocks import Block, blocks, build_block
from psigraph.graphs.complex_blocks import build_complexes
from psigraph.graphs.complex_settings import ComplexSettings
from psigraph.graphs.graph import Skipped, graph_from_structure
from psigraph.graphs.molecule_blocks import LIMITS, build_molecules
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.settings import GraphSettings, ShardSettings
from psigraph.graphs.shard_writer import ShardWriter, write_skipped
from psigraph.quantum.store import REMEDY as QUANTUM_REMEDY
from psigraph.quantum.store import QuantumFiles, QuantumSet
from psigraph.stores import StoreError, atomic_path, digest_of
from psigraph.structures.model import Label
from psigraph.structures.store import StructureFile

__all__ = ["build_shard", "graph_from_structure"]

log = logging.getLogger(__name__)

_LOG_INTERVAL = 10.0  # s
_MOST_WARNINGS = 10

#: Families whose graphs carry the labels of their structures.
_LABELLED = ("regional", "affinity")

#: Kinds of files that hold what a level of theory gives.
_OF_LEVELS = ("quantum", "shieldings")

#: Files of features: which programs' features they hold, and the command that makes them.
KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "quantum": (("psi4",), QUANTUM_REMEDY),
    "descriptors": (("rdkit", "dftd4"), QUANTUM_REMEDY),
    "shieldings": (("pyscf",), QUANTUM_REMEDY),
}


def build_shard(
    structures: Mapping[str, str | Path],
    quantum: Mapping[str, Sequence[str | Path]],
    output: str | Path,
    skipped: str | Path,
    settings: ShardSettings,
    *,
    descriptors: Mapping[str, Sequence[str | Path]] | None = None,
    shieldings: Mapping[str, Sequence[str | Path]] | None = None,
    name: str = "",
    shard: int = 0,
    shards: int = 1,
    allow_unlabelled: bool = False,
    computed: Collection[str] | None = None,
) -> tuple[int, int]:
    """Write one shard of a graphset and the list of what was left out; return how many graphs each of the two holds.

    `structures` maps dataset names to structure stores, in the graphset's order; `quantum`, `descriptors` and
    `shieldings` map them to files of features, of which those are read that the graphset needs. Shard k of s (0-based)
    takes an equal contiguous range of the concatenated datasets. Neither file is left behind on an error. Of
    datasets that are not `computed` (None: all are) nothing is known of what a level gives; molecules can do without.

    Raises StoreError where a file cannot be used or files do not belong together, ValueError for a wrong shard number.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard {shard} of {shards}: shards are counted from 0 to {shards - 1}")
    log.info("building shard %d of %d of %s", shard, shards, name or "an unnamed graphset")
    computed = structures if computed is None else computed
    files = {"quantum": quantum, "descriptors": descriptors or {}, "shieldings": shieldings or {}}
    with ExitStack() as stack:
        stores = {dataset: stack.enter_context(StructureFile(path)) for dataset, path in structures.items()}
        labels = joined_labels(stores) if settings.family in _LABELLED else None
        sources = [
            stack.enter_context(_Source(dataset, stores[dataset], rows, settings, files, labels, dataset in computed))
            for dataset, rows in _ranges({dataset: store.n for dataset, store in stores.items()}, shard, shards).items()
        ]
        inputs = {f"structures/{dataset}": store.digest for dataset, store in stores.items()}
        for source in sources:
            inputs |= source.inputs
        temporary = stack.enter_context(atomic_path(skipped))
        most_atoms = max((source.most_atoms for source in sources), default=0)
        writer = stack.enter_context(
            ShardWriter(
                output,
                settings,
                most_atoms=most_atoms,
                name=name,
                shard=shard,
                shards=shards,
                inputs=inputs,
                labels=labels,
            )
        )
        found = (block for source in sources for block in source.blocks(len(stores) > 1, allow_unlabelled))
        left_out = write_skipped(temporary, _written(found, writer, sum(len(source.rows) for source in sources)))
        writer.finish()
    log.info("wrote %s: %d graphs, %d structures left out", output, writer.n, left_out)
    return writer.n, left_out


def _ranges(counts: Mapping[str, int], shard: int, shards: int) -> dict[str, range]:
    """Return the rows of each dataset that belong to a shard, of those datasets that have some."""
    total = sum(counts.values())
    start, stop = shard * total // shards, (shard + 1) * total // shards
    result, first = {}, 0
    for dataset, n in counts.items():
        rows = range(max(start - first, 0), min(stop - first, n))
        first += n
        if rows:
            result[dataset] = rows
    return result


def joined_labels(stores: Mapping[str, StructureFile]) -> tuple[Label, ...]:
    """Return the labels of all datasets, each once, in the order in which they come.

    Raises StoreError where two datasets mean different things by one name.
    """
    found: dict[str, tuple[Label, str]] = {}
    for dataset, store in stores.items():
        for label in store.label_specs:
            known, first = found.setdefault(label.name, (label, dataset))
            if known != label:
                raise StoreError(
                    f"label {label.name} of dataset {dataset} is in {_kind(label)}, but in {_kind(known)} "
                    f"in dataset {first}; rename one of them in its table, or take them to graphsets of their own"
                )
    return tuple(label for label, _ in found.values())


def _kind(label: Label) -> str:
    kinds = ("extensive" if label.extensive else "not extensive", "relative" if label.relative else "not relative")
    return f"{label.unit!r}, {' and '.join(kinds)}"


class _Source:
    """The part of one dataset that a shard takes, with its files of features open; a context manager."""

    def __init__(
        self,
        dataset: str,
        structures: StructureFile,
        rows: range,
        settings: ShardSettings,
        files: Mapping[str, Mapping[str, Sequence[str | Path]]],
        labels: Sequence[Label] | None,
        computed: bool,
    ) -> None:
        self.labels = labels
        self.dataset, self.structures, self.rows, self.settings = dataset, structures, rows, settings
        self.most_atoms = int(np.diff(structures.offsets[rows.start : rows.stop + 1]).max())
        self.inputs: dict[str, str] = {}
        self._files: list[tuple[tuple[str, ...], QuantumFiles]] = []  # programs, their files
        with ExitStack() as stack:
            for kind, (programs, remedy) in KINDS.items():
                if not settings.needed(*programs) or (kind in _OF_LEVELS and not computed):
                    continue
                paths = files[kind].get(dataset, ())
                if not paths:
                    raise StoreError(f"dataset {dataset}: no {kind} files were given; make them with: {remedy}")
                found = stack.enter_context(open_features(kind, paths, structures, settings))
                self._files.append((programs, found))
                self.inputs[f"{kind}/{dataset}"] = digest_of(sorted(found.digests.values()))
            self._stack = stack.pop_all()

    def blocks(self, name_dataset: bool, allow_unlabelled: bool) -> Iterator[Block]:
        """Yield the graphs of all rows; where asked for, their ids begin with the name of the dataset."""
        prefix = f"{self.dataset}/" if name_dataset else ""
        limits = {} if self.labels is None else LIMITS
        for first, last in blocks(self.structures.offsets, self.rows.start, self.rows.stop, **limits):
            structures = self.structures.rows(first, last)
            sets: dict[str, QuantumSet] = {}
            for programs, files in self._files:
                sets |= dict.fromkeys(programs, files.rows(first, last, ids=structures.ids))
            if self.labels is None:
                dimers = cast(GraphSettings, self.settings)
                yield build_block(structures, sets, dimers, prefix=prefix, allow_unlabelled=allow_unlabelled)
            elif isinstance(self.settings, ComplexSettings):
                around = self.structures.complexes(first, last)
                yield build_complexes(structures, around, sets, self.settings, prefix=prefix, labels=self.labels)
            else:
                molecules = cast(MoleculeSettings, self.settings)
                yield build_molecules(structures, sets, molecules, prefix=prefix, labels=self.labels)

    def __enter__(self) -> "_Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def open_features(
    kind: str, paths: Sequence[str | Path], structures: StructureFile, settings: ShardSettings
) -> QuantumFiles:
    """Open the files of one kind (quantum, descriptors, shieldings) of a dataset; they are proved as they are read.

    Raises StoreError where they belong to other structures or another level of theory, or lack a feature.
    """
    programs, remedy = KINDS[kind]
    level = settings.level if isinstance(settings.level, Mapping) and kind != "descriptors" else None
    needed = settings.needed(*programs)
    files = QuantumFiles(
        paths, level=level, structures_digest=structures.digest, features=needed, remedy=remedy, history=False
    )
    try:
        files.check_count(structures.n)
        files.check_features(needed)
    except BaseException:
        files.close()
        raise
    return files


def _reported(found: Iterator[Block], total: int) -> Iterator[Block]:
    """Yield the blocks, with a progress bar on a terminal and a line now and then in a log."""
    with tqdm(total=total, desc="graphs", unit=" structures", disable=None, mininterval=1.0) as bar:
        done, said = 0, time.monotonic()
        for block in found:
            yield block
            done += len(block) + len(block.skipped)
            bar.update(done - bar.n)
            if bar.disable and done < total and time.monotonic() - said > _LOG_INTERVAL:
                said = time.monotonic()
                log.info("%d of %d structures", done, total)


def _written(found: Iterator[Block], writer: ShardWriter, total: int) -> Iterator[Skipped]:
    """Write the graphs of all blocks and yield what was left out; say so of the first ten, and what graphs lack."""
    said, missing = 0, Counter[str]()
    for block in _reported(found, total):
        writer.append(block)
        missing.update(block.missing)
        for item in block.skipped:
            if said < _MOST_WARNINGS:
                log.warning("left out %s (%s): %s", item.id, item.source, item.reason)
            elif said == _MOST_WARNINGS:
                log.warning("more were left out; see the list beside the shard")
            said += 1
            yield item
    for what, count in missing.items():
        log.warning("%d of %d graphs lack values (NaN) of %s", count, writer.n, what)
