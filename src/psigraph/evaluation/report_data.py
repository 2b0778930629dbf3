"""The report's part on data: what was read, rejected, computed by Psi4, and left out of the graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.config import Config, Graphset
from psigraph.evaluation.report_tables import Table, counted, read_csv, require, table
from psigraph.quantum.store import read_quantum
from psigraph.quantum.table import FEATURES
from psigraph.structures.elements import symbol_of
from psigraph.structures.model import StructureSet
from psigraph.structures.reading import Rejection, count_kinds, read_rejected
from psigraph.structures.store import read_structures

__all__ = ["quantum_files", "read_csv", "sections", "shard_files", "used_datasets"]

FAILURES_SHOWN = 30
#: Kinds of rows that became no structure: `unreadable`, `not selected` (by a setting), `identical` (seen already).
KINDS = tuple(count_kinds([]))


#: What a graph is of, by family.
SAMPLES = {"delta": "dimers", "regional": "molecules", "affinity": "complexes"}
#: What Psi4 computes, by family.
SCF_CALCULATIONS = {
    "delta": "Of a dimer three SCF calculations: itself, and each monomer in the dimer's basis.",
    "regional": "Of a molecule one SCF calculation.",
    "affinity": "Of a ligand one SCF calculation.",
}
#: What a group is, by family.
GROUPS = {
    "delta": "an unordered pair of monomers, or the group that the source gives",
    "regional": "a molecule, whose conformers share it",
    "affinity": "a target (in splits by target)",
}


def families(config: Config) -> list[str]:
    """Return the families of the experiments, in alphabetical order."""
    return sorted({config.graphsets[item.graphset].family for item in config.experiments.values()})


def _groups(config: Config) -> str:
    return "; ".join(GROUPS[family] for family in families(config))


def used_datasets(config: Config) -> list[str]:
    """Return the datasets that an experiment uses, in the order of the configuration."""
    used = {d for e in config.experiments.values() for d in config.graphsets[e.graphset].datasets}
    return [name for name in config.datasets if name in used]


def used_graphsets(config: Config) -> dict[str, Graphset]:
    """Return the graphsets that an experiment uses."""
    used = {e.graphset for e in config.experiments.values()}
    return {name: graphset for name, graphset in config.graphsets.items() if name in used}


def computed(config: Config) -> list[tuple[str, str]]:
    """Return the pairs of dataset and level that Psi4 computed."""
    found = [g for g in used_graphsets(config).values() if g.level in config.levels]
    return list(dict.fromkeys((d, str(g.level)) for g in found for d in g.computed_datasets))


def described(config: Config) -> list[str]:
    """Return the datasets whose descriptors a graphset takes something from."""
    found = [
        dataset
        for graphset in used_graphsets(config).values()
        for dataset in graphset.datasets
        if any(FEATURES[name].program in ("rdkit", "dftd4") for name in graphset.needed_features())
    ]
    return list(dict.fromkeys(found))


def structure_file(results: Path, dataset: str) -> Path:
    """Return the structure store of a dataset."""
    return require(results / "structures" / f"{dataset}.h5")


def quantum_files(config: Config, results: Path, dataset: str, level: str) -> list[Path]:
    """Return the quantum files of a dataset at a level, one per batch."""
    folder = results / "quantum" / dataset / level
    return [require(folder / f"{batch}.h5") for batch in range(config.datasets[dataset].batches)]


def shard_files(config: Config, results: Path, graphset: str) -> list[Path]:
    """Return the shards of a graphset."""
    return [require(results / "graphs" / graphset / f"{i}.h5") for i in range(config.graphsets[graphset].shards)]


def sections(config: Config, results: Path) -> list[dict[str, Any]]:
    """Return heading, lead text and tables for structures, Psi4 and graphs."""
    stores = {d: read_structures(structure_file(results, d)) for d in used_datasets(config)}
    parts = [
        {
            "heading": "Structures",
            "text": f"A group is what never stands on two sides of a split: {_groups(config)}. Rows become no "
            "structure because they are unreadable, because a setting leaves them out, or because their geometry was "
            "seen already.",
            "tables": [structures_table(stores, results), *rejected_tables(stores, results)],
        }
    ]
    pairs = computed(config)
    if pairs:
        parts.append(
            {
                "heading": "Quantum chemistry",
                "text": " ".join(SCF_CALCULATIONS[family] for family in families(config)),
                "tables": [t for d, level in pairs for t in quantum_tables(config, results, d, level)],
            }
        )
    parts.append({"heading": "Graphs", "text": "", "tables": graph_tables(config, results)})
    return parts


def structures_table(stores: dict[str, StructureSet], results: Path) -> Table:
    """Counts, groups, elements and sizes of each dataset."""
    rows = []
    for name, store in stores.items():
        left_out = rejected(results, name)
        kinds = count_kinds(left_out)
        sizes = store.n_atoms
        rows.append(
            (
                name,
                store.n + len(left_out),
                store.n,
                *kinds.values(),
                len(set(store.group)),
                f"{sizes.min()}–{sizes.max()}" if store.n else "–",
                elements(store.z),
                ", ".join(f"{source} {n}" for source, n in counted(store.source)),
            )
        )
    header = ("dataset", "rows", "selected", *KINDS, "groups", "atoms", "elements", "selected by source")
    return table("Structures by dataset.", header, rows, numeric=(1, 2, 3, 4, 5, 6, 7))


def rejected(results: Path, dataset: str) -> list[Rejection]:
    """Return the rows of a dataset that did not become structures."""
    return read_rejected(require(results / "structures" / f"{dataset}.rejected.csv"))


def elements(z: np.ndarray) -> str:
    """Return the symbols of the elements in `z`, lightest first."""
    return ", ".join(symbol_of(int(number)) for number in np.unique(z)) or "–"


def rejected_tables(stores: dict[str, StructureSet], results: Path) -> list[Table]:
    """One table of reasons per dataset that rejected anything."""
    tables = []
    for name in stores:
        reasons = [rejection.summary for rejection in rejected(results, name)]
        if reasons:
            caption = f"{name}: rows left out, by reason ({name}.rejected.csv lists each)."
            tables.append(table(caption, ("reason", "rows"), counted(reasons), numeric=(1,)))
    return tables


def quantum_tables(config: Config, results: Path, dataset: str, level: str) -> list[Table]:
    """Counts by status, and the message of each failure."""
    store = read_quantum(quantum_files(config, results, dataset, level), features=())
    status = np.asarray(store.status, dtype=str)
    counts = [(f"{dataset} at {level}", name, n) for name, n in counted(status)]
    tables = [
        table(f"{dataset} at {level}: structures by status.", ("calculation", "status", "structures"), counts, (2,))
    ]
    failed = np.flatnonzero(status != "ok")
    if len(failed):
        rows = [(store.ids[i], status[i], str(store.message[i])) for i in failed[:FAILURES_SHOWN]]
        more = f"; the first {FAILURES_SHOWN} of {len(failed)}" if len(failed) > FAILURES_SHOWN else ""
        tables.append(table(f"{dataset} at {level}: failures{more}.", ("structure", "class", "message"), rows))
    return tables


def graph_tables(config: Config, results: Path) -> list[Table]:
    """Graphs in the shards of each graphset, and those left out by reason; one table of counts for each family."""
    tables = []
    for family in families(config):
        samples, rows, reasons = SAMPLES[family], [], []
        for name in (name for name, item in used_graphsets(config).items() if item.family == family):
            shards = shard_files(config, results, name)
            skipped = [read_csv(path.with_suffix(".skipped.csv")) for path in shards]
            left_out = pd.concat(skipped, ignore_index=True)
            rows.append((name, _graphs(shards), len(left_out), len(shards)))
            if len(left_out):
                caption = f"{name}: {samples} left out of the graphs, by reason."
                counts = counted(left_out["reason"].fillna(""))
                reasons.append(table(caption, ("reason", samples), counts, numeric=(1,)))
        header = ("graphset", samples, "left out", "shards")
        tables += [table("Graphs by graphset.", header, rows, numeric=(1, 2, 3)), *reasons]
    return tables


def _graphs(shards: list[Path]) -> int:
    import h5py

    total = 0
    for path in shards:
        with h5py.File(path, "r") as file:
            total += len(file["ids"])
    return total
