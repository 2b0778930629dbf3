"""Graphs of many molecules at once: a block of a shard from structures and what programs computed."""

from collections.abc import Mapping, Sequence

import numpy as np

from psigraph.graphs.block_features import Reasons
from psigraph.graphs.blocks import Block
from psigraph.graphs.columns import ranges
from psigraph.graphs.graph import MAX_ATOMS, Skipped
from psigraph.graphs.molecule_graphs import bond_sizes_of, molecule_graphs
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.regional_table import PER
from psigraph.quantum.quantum_set import QuantumSet
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import FRAGMENT_B, Label, StructureSet

#: Limits of a block of molecules for `blocks`: pairs of regions take more memory than pairs of atoms.
LIMITS = {"most_rows": 1024, "most_pairs": 2**19}
#: Columns of a shard by what the features belong to, and whose rows they are.
_COLUMNS = {"atom": "offsets", "bond": "bond_offsets", "region": "region_offsets", "molecule": None}


def build_molecules(
    structures: StructureSet,
    sets: Mapping[str, QuantumSet],
    settings: MoleculeSettings,
    *,
    labels: Sequence[Label] | None = None,
    prefix: str = "",
) -> Block:
    """Return the graphs of some molecules, and why the others became none.

    `sets` maps programs to their features, row i of structure i; what failed, or whose program is not there, is NaN.
    `labels` are the columns of y, by default those of the structures; NaN where the structures have none of the name.
    `prefix` stands before each id. A molecule's numbers do not depend on the others.
    """
    reasons = _reasons(structures)
    skipped = [
        Skipped(prefix + str(structures.ids[row]), str(structures.source[row]), reasons.of[row])
        for row in sorted(reasons.of)
    ]
    chosen = np.flatnonzero(reasons.ok)
    whole = structures if not skipped else structures.select(chosen)
    values = {name: _value(name, sets.get(FEATURES[name].program), whole, chosen) for name in settings.needed()}
    graphs = molecule_graphs(whole.z, whole.positions, whole.offsets, settings, values)
    heavy = np.concatenate([[0], np.cumsum(whole.z != 1)])
    columns = {
        **graphs.columns,
        "ids": np.array([prefix + str(id) for id in whole.ids], dtype=object),
        **{name: getattr(whole, name) for name in ("group", "system", "source")},
        "charge": whole.charge[:, 0],
        "n_heavy": np.diff(heavy[whole.offsets]),
        "y": labels_of_structures(whole, whole.label_specs if labels is None else labels),
    }
    return Block(columns, graphs.counts, skipped, _missing(columns, graphs.counts, settings))


def _reasons(structures: StructureSet) -> Reasons:
    """Note structures that no graph can be made of."""
    reasons, sizes = Reasons(structures.n), structures.n_atoms
    reasons.add((sizes == 0) | (sizes > MAX_ATOMS), lambda row: f"{sizes[row]} atoms; a graph holds 1 to {MAX_ATOMS}")
    owner = np.repeat(np.arange(structures.n), sizes)
    dimer = np.bincount(owner[structures.fragment == FRAGMENT_B], minlength=structures.n) > 0
    reasons.add(dimer, lambda _: "has a second monomer; graphs of family regional are of single molecules")
    finite = np.isfinite(structures.positions).all(axis=1)
    lost = np.bincount(owner[~finite], minlength=structures.n) > 0
    reasons.add(lost, lambda _: "has positions that are not finite")
    return reasons


def _value(name: str, table: QuantumSet | None, structures: StructureSet, chosen: np.ndarray) -> np.ndarray:
    """Return a feature of the structures, rows `chosen` of the table: NaN where it failed or has other atoms or bonds.

    Of atoms (ΣN, *shape), of bonds (ΣB, *shape), else (n, *shape). Without a table all are NaN.
    """
    feature = FEATURES[name]
    sizes = np.ones(structures.n, dtype=np.int64)
    if feature.per == "atom":
        sizes = structures.n_atoms
    elif feature.per == "bond":
        sizes = bond_sizes_of(structures.z, structures.positions, structures.offsets)
    if table is None:
        return np.full((int(sizes.sum()), *feature.shape), np.nan)
    values, ok = table[name], table.ok[chosen]
    if feature.per not in ("atom", "bond"):
        found = (values[:, 0] if feature.per == "system" else values)[chosen].astype(np.float64)
        found[~ok] = np.nan
        return found
    offsets = table.offsets[feature.per]
    there = np.diff(offsets)[chosen]
    fits = ok & (there == sizes)
    found = np.full((int(sizes.sum()), *feature.shape), np.nan)
    found[np.repeat(fits, sizes)] = values[ranges(offsets[chosen[fits]], sizes[fits])]
    return found


def labels_of_structures(structures: StructureSet, labels: Sequence[Label]) -> np.ndarray:
    """Return the columns of y (n, T), NaN for labels that the structures have not."""
    place = {label.name: column for column, label in enumerate(structures.label_specs)}
    y = np.full((structures.n, len(labels)), np.nan)
    for column, label in enumerate(labels):
        if label.name in place:
            y[:, column] = structures.labels[:, place[label.name]]
    return y


def _missing(
    columns: Mapping[str, np.ndarray], counts: Mapping[str, np.ndarray], settings: MoleculeSettings
) -> dict[str, int]:
    """Return how many molecules lack a value of a feature, by `atom_features: name`, of those that some lack."""
    found = {}
    for per in PER:
        values, first = columns[f"{per}_features"], 0
        offsets = _COLUMNS[per]
        n = len(counts["offsets"])
        owner = np.arange(n) if offsets is None else np.repeat(np.arange(n), counts[offsets])
        for item in settings.columns(per):
            lacking = np.isnan(values[:, first : first + item.width]).any(axis=1)
            first += item.width
            if lacking.any():
                found[f"{per}_features: {item.name}"] = len(np.unique(owner[lacking]))
    return found
