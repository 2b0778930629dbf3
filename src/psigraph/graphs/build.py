"""Structure stores and quantum stores to one HDF5 shard of graphs."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from psigraph.graphs.features import Features, SkippedStructure, computed_features
from psigraph.graphs.graph import Graph, Skipped, features_of, graph_from_structure
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shards import write_shard, write_skipped
from psigraph.quantum.store import REMEDY as QUANTUM_REMEDY
from psigraph.quantum.store import QuantumSet, read_quantum
from psigraph.stores import StoreError, atomic_path, digest_of
from psigraph.structures.model import StructureSet
from psigraph.structures.store import read_structures

__all__ = ["build_shard", "graph_from_structure"]

log = logging.getLogger(__name__)

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
    settings: GraphSettings,
    *,
    descriptors: Mapping[str, Sequence[str | Path]] | None = None,
    shieldings: Mapping[str, Sequence[str | Path]] | None = None,
    name: str = "",
    shard: int = 0,
    shards: int = 1,
    allow_unlabelled: bool = False,
) -> tuple[int, int]:
    """Write one shard of a graphset and the list of what was left out; return how many graphs each of the two holds.

    `structures` maps dataset names to structure stores, in the graphset's order; `quantum`, `descriptors` and
    `shieldings` map them to files of features, of which those are read that the graphset needs. Shard k of s (0-based)
    takes an equal contiguous range of the concatenated datasets. Neither file is left behind on an error.

    Raises StoreError where a file cannot be used or files do not belong together, ValueError for a wrong shard number.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard {shard} of {shards}: shards are counted from 0 to {shards - 1}")
    log.info("building shard %d of %d of %s", shard, shards, name or "an unnamed graphset")
    sets = {dataset: read_structures(path) for dataset, path in structures.items()}
    total = sum(len(s) for s in sets.values())
    start, stop = shard * total // shards, (shard + 1) * total // shards
    inputs = {f"structures/{dataset}": s.digest for dataset, s in sets.items()}
    graphs: list[Graph] = []
    left_out: list[Skipped] = []
    first = 0
    for dataset, members in sets.items():
        rows = range(max(start - first, 0), min(stop - first, len(members)))
        first += len(members)
        if not rows:
            continue
        prefix = f"{dataset}/" if len(sets) > 1 else ""
        files = {
            kind: (paths or {}).get(dataset, ())
            for kind, paths in (("quantum", quantum), ("descriptors", descriptors), ("shieldings", shieldings))
        }
        source = _Source(members, settings, files, dataset)
        inputs |= source.inputs
        for item in source.graphs(rows, prefix, allow_unlabelled):
            (graphs if isinstance(item, Graph) else left_out).append(item)  # type: ignore[arg-type]
    with atomic_path(skipped) as temporary:
        write_skipped(temporary, left_out)
        write_shard(output, graphs, settings, name=name, shard=shard, shards=shards, inputs=inputs)
    _report(output, graphs, left_out)
    return len(graphs), len(left_out)


class _Source:
    """One dataset's structures with their features."""

    def __init__(
        self, structures: StructureSet, settings: GraphSettings, files: Mapping[str, Sequence[str | Path]], dataset: str
    ) -> None:
        self.structures, self.settings = structures, settings
        self.sets: dict[str, QuantumSet] = {}  # by program
        self.inputs: dict[str, str] = {}
        for kind, (programs, remedy) in KINDS.items():
            if not settings.needed(*programs):
                continue
            if not files[kind]:
                raise StoreError(f"dataset {dataset}: no {kind} files were given; make them with: {remedy}")
            found = read_features(kind, files[kind], structures, settings)
            self.sets |= dict.fromkeys(programs, found)
            self.inputs[f"{kind}/{dataset}"] = digest_of(sorted(found.digests.values()))

    def graphs(self, rows: range, prefix: str, allow_unlabelled: bool) -> Iterator[Graph | Skipped]:
        for row in rows:
            structure = self.structures.structure(row)
            name = prefix + structure.id
            try:
                if self.sets:
                    features: Features | None = computed_features(self.sets, row, structure, self.settings)
                else:
                    features = features_of(structure, self.settings)
                yield graph_from_structure(
                    structure,
                    self.settings,
                    features,
                    unit=self.structures.unit,
                    id=name,
                    allow_unlabelled=allow_unlabelled,
                )
            except SkippedStructure as error:
                yield Skipped(name, structure.source, str(error))


def read_features(
    kind: str, paths: Sequence[str | Path], structures: StructureSet, settings: GraphSettings
) -> QuantumSet:
    """Return what the files of one kind (quantum, descriptors, shieldings) hold for all structures of a dataset.

    Raises StoreError where they belong to other structures or another level of theory, or lack a feature.
    """
    programs, remedy = KINDS[kind]
    level = settings.level if isinstance(settings.level, Mapping) and kind != "descriptors" else None
    needed = settings.needed(*programs)
    found = read_quantum(
        paths, level=level, structures_digest=structures.digest, ids=structures.ids, features=needed, remedy=remedy
    )
    for feature in needed:
        found[feature]
    return found


def _report(output: str | Path, graphs: Sequence[Graph], left_out: Sequence[Skipped]) -> None:
    log.info("wrote %s: %d graphs, %d structures left out", output, len(graphs), len(left_out))
    for item in left_out[:10]:
        log.warning("left out %s (%s): %s", item.id, item.source, item.reason)
    if len(left_out) > 10:
        log.warning("%d more were left out; see the list beside the shard", len(left_out) - 10)
