"""Molecules as batches: cut from columns of shards, or made in memory."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from psigraph.graphs.batch import numpy_dtype
from psigraph.graphs.columns import Columns, layout_of, offsets_of, taken_as_batch
from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_columns import Values
from psigraph.graphs.molecule_graphs import bond_sizes_of, molecule_graphs
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import Label, Structure, StructureSet, concatenate

#: Where the rows of a batch begin, by the offsets that say so in a shard.
_POINTERS = {
    "offsets": "atoms_ptr",
    "bond_offsets": "bonds_ptr",
    "pair_offsets": "pairs_ptr",
    "member_offsets": "members_ptr",
    "region_offsets": "regions_ptr",
    "region_pair_offsets": "region_pairs_ptr",
}
#: Columns of numbers that count in a molecule: what their own columns count.
_NUMBERS = {
    "bonds": ("offsets", "offsets"),
    "pairs": ("offsets", "offsets"),
    "members": ("region_offsets", "offsets"),
    "region_pairs": ("region_offsets", "region_offsets"),
}


def assemble_molecules(
    columns: Columns,
    where: np.ndarray,
    index: np.ndarray,
    targets: np.ndarray | None = None,
    names: Callable[[list[int]], list[str]] | None = None,
) -> MoleculeBatch:
    """Return graphs `where` (B,) of `columns`, which are the graphs `index` (B,) of the graphset, as one batch.

    `targets` picks columns of y, all by default. The batch shares no memory with the columns.
    """
    taken = taken_as_batch(columns, layout_of("regional"), where, _NUMBERS, targets)
    values, offsets = taken.values, taken.offsets
    tensors = {name: torch.from_numpy(np.ascontiguousarray(found)) for name, found in values.items()}
    tensors["z_atoms"] = tensors["z_atoms"].long()
    graphs = np.arange(len(where))
    return MoleculeBatch(
        **tensors,
        **{pointer: torch.from_numpy(offsets[name]) for name, pointer in _POINTERS.items()},
        atoms_batch=torch.from_numpy(np.repeat(graphs, np.diff(offsets["offsets"]))),
        regions_batch=torch.from_numpy(np.repeat(graphs, np.diff(offsets["region_offsets"]))),
        index=torch.from_numpy(index.astype(np.int64)),
        global_size=len(where),
        names=names,
    )


def molecule_batch(
    structures: Sequence[Structure] | StructureSet,
    settings: MoleculeSettings,
    *,
    values: Values | None = None,
    y: np.ndarray | None = None,
    dtype: torch.dtype | None = None,
) -> MoleculeBatch:
    """Return molecules as one batch, made in memory.

    `values` holds features of the table by name: of atoms (ΣN, *shape), of bonds (ΣB, *shape) in the order of
    `structures.geometry.bonds`, of systems and structures (n, *shape); `descriptor_values` gives RDKit's. Features that
    are not there are NaN. `y` (n, T) takes the place of the structures' labels.
    """
    found = structures if isinstance(structures, StructureSet) else in_memory(structures)
    graphs = molecule_graphs(found.z, found.positions, found.offsets, settings, values or {})
    kind = numpy_dtype(dtype)
    columns = {name: graphs.columns[name] for name in layout_of("regional").batch if name != "y"}
    columns["y"] = found.labels if y is None else np.asarray(y, dtype=np.float64).reshape(found.n, -1)
    cast = {name: array.astype(kind) if array.dtype.kind == "f" else array for name, array in columns.items()}
    rows = np.arange(found.n)
    names = lambda which: [str(found.ids[row]) for row in which]  # noqa: E731
    offsets = {name: offsets_of(counts) for name, counts in graphs.counts.items()}
    return assemble_molecules(Columns(offsets, cast), rows, rows, names=names)


def descriptor_values(structures: Sequence[Structure] | StructureSet) -> dict[str, np.ndarray]:
    """Return what RDKit says of molecules, by the names of the table, as `molecule_batch` takes it.

    NaN where it fails (`psigraph.descriptors.compute`).
    """
    from psigraph.descriptors.compute import NAMES, descriptors  # brings RDKit

    found = [descriptors(structure) for structure in structures]
    values: dict[str, list[np.ndarray]] = {name: [] for name in NAMES if name != "bonds"}
    for structure, result in zip(structures, found, strict=True):
        bonds = bond_sizes_of(structure.z, structure.positions, np.array([0, structure.n_atoms]))
        rows = {"atom": structure.n_atoms, "bond": int(bonds[0]), "system": 1, "structure": 1}
        for name, parts in values.items():
            shape = (rows[FEATURES[name].per], *FEATURES[name].shape)
            value = result.values[name] if result.ok else np.full(shape, np.nan)
            parts.append(np.asarray(value, dtype=np.float64).reshape(shape))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def random_values(
    structures: Sequence[Structure] | StructureSet, settings: MoleculeSettings, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return random numbers for all features that graphs with these settings need, as `molecule_batch` takes them.

    Categories and labels get values that they can have; nothing follows from the geometry.
    """
    found = structures if isinstance(structures, StructureSet) else in_memory(structures)
    draw = np.random.default_rng(seed)
    bonds = int(bond_sizes_of(found.z, found.positions, found.offsets).sum())
    values = {}
    for name in settings.needed():
        feature = FEATURES[name]
        shape = ({"atom": len(found.z), "bond": bonds}.get(feature.per, found.n), *feature.shape)
        choices = _CATEGORIES.get(name)
        values[name] = draw.normal(size=shape) if choices is None else draw.choice(choices, size=shape).astype(float)
    return values


_CATEGORIES = {"hybridisation": [1, 2, 3, 4], "aromatic": [0, 1], "ring_size": [0, 3, 5, 6], "cip_label": [-1, 0, 1]}


def in_memory(structures: Sequence[Structure]) -> StructureSet:
    """Return structures as flat arrays; their labels have no names."""
    count = len(structures[0].labels) if structures else 0
    specs = [Label(f"label{number}", "1", False) for number in range(count)]
    return concatenate(structures, "kcal/mol", label_specs=specs)
