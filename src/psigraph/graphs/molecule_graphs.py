"""Graphs of many molecules with their regions at once, as flat arrays.

Legend: n molecules, ΣN atoms, ΣB bonds, ΣP pairs of atoms, ΣM memberships, ΣR regions, ΣQ pairs of regions. Atoms and
regions count in their own molecule, as shards have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from psigraph.descriptors.radii import VDW_RADII
from psigraph.graphs.columns import offsets_of
from psigraph.graphs.geometry import owners, sums
from psigraph.graphs.hops import bond_counts, bonded, longest_bond
from psigraph.graphs.molecule_columns import (
    Frame,
    Known,
    Values,
    atom_columns,
    bond_columns,
    molecule_columns,
    region_columns,
)
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.neighbours import batched_pairs, pair_distances
from psigraph.graphs.region_pairs import region_pair_features
from psigraph.graphs.regional_table import PAIR_FEATURE
from psigraph.graphs.regions import membership, regions_by_atom, regions_of


@dataclass(frozen=True)
class MoleculeGraphs:
    """The columns of n graphs by the names of `psigraph.fields`, and how many rows of those each graph has."""

    columns: Mapping[str, np.ndarray]
    counts: Mapping[str, np.ndarray]  # by the names of the offsets (n,)


def molecule_graphs(
    z: np.ndarray, positions: np.ndarray, offsets: np.ndarray, settings: MoleculeSettings, values: Values
) -> MoleculeGraphs:
    """Return the graphs of molecules: z (ΣN,), positions (ΣN, 3) [Å], offsets (n+1,); every molecule has atoms.

    `values` holds features of the table by name: of atoms (ΣN, *shape), of bonds (ΣB, *shape) in the order of
    `structures.geometry.bonds`, of systems and structures (n, *shape). NaN stands for what is not there. A molecule's
    numbers do not depend on the others.
    """
    atom_owner = owners(offsets)
    near, distances = _near_pairs(z, positions, offsets, settings.cutoff)
    bond_rows = bonded(z, near, distances)
    bonds = near[bond_rows]
    bond_sizes = np.bincount(atom_owner[bonds[:, 0]], minlength=len(offsets) - 1)
    between = bond_counts(offsets, bonds)
    regions = regions_of(offsets, z, bonds, between, settings.regions, settings.hops, settings.patch_atoms, positions)
    frame = Frame(
        offsets=offsets,
        z=z,
        positions=positions,
        bonds=bonds,
        bond_lengths=distances[bond_rows],
        bond_offsets=offsets_of(bond_sizes),
        regions=regions,
        centres=_centres(regions.members[regions.core], positions, int(regions.offsets[-1])),
        inside=membership(regions, offsets),
        atom_regions=regions_by_atom(regions, len(z)),
    )
    known = Known(values, frame)
    region_pairs, region_pair_offsets = batched_pairs(frame.centres, regions.offsets, settings.region_cutoff)
    in_all = region_pairs + np.repeat(regions.offsets[:-1], np.diff(region_pair_offsets))[:, None]
    labels = np.nan_to_num(known[PAIR_FEATURE], nan=0.0)
    pairs = near[distances <= settings.cutoff]
    local_regions, local_atoms = regions.offsets[:-1], offsets[:-1]
    member_owner = atom_owner[regions.members[:, 1]]
    columns = {
        "z_atoms": z,
        "pos_atoms": positions,
        "atom_features": atom_columns(settings.columns("atom"), known),
        "bonds": bonds - local_atoms[atom_owner[bonds[:, 0]]][:, None],
        "bond_features": bond_columns(settings.columns("bond"), known),
        "pairs": pairs - local_atoms[atom_owner[pairs[:, 0]]][:, None],
        "members": regions.members - np.stack([local_regions[member_owner], local_atoms[member_owner]], axis=1),
        "core": regions.core,
        "region_features": region_columns(settings.columns("region"), known),
        "region_pairs": region_pairs,
        "region_pair_features": region_pair_features(frame, between, in_all, near, distances, labels),
        "molecule_features": molecule_columns(settings.columns("molecule"), known),
    }
    n = len(offsets) - 1
    counts = {
        "offsets": np.diff(offsets),
        "bond_offsets": bond_sizes,
        "pair_offsets": np.bincount(atom_owner[pairs[:, 0]], minlength=n),
        "member_offsets": np.bincount(member_owner, minlength=n),
        "region_offsets": np.diff(regions.offsets),
        "region_pair_offsets": np.diff(region_pair_offsets),
    }
    return MoleculeGraphs(columns, counts)


def bond_sizes_of(z: np.ndarray, positions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the number of bonds of each molecule (n,)."""
    near, distances = _near_pairs(z, positions, offsets, 0.0)
    first = near[bonded(z, near, distances), 0]
    return np.bincount(owners(offsets)[first], minlength=len(offsets) - 1)


def _near_pairs(
    z: np.ndarray, positions: np.ndarray, offsets: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (P, 2) of atoms, counted in all, that are within the cutoff, bonded or in contact; distances."""
    reach = max(cutoff, longest_bond(z), 2 * float(VDW_RADII[z].max(initial=0.0)))
    if not len(z):
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    pairs, ends = batched_pairs(positions, offsets, reach)
    pairs = pairs + np.repeat(offsets[:-1], np.diff(ends))[:, None]
    return pairs, pair_distances(positions, pairs)


def _centres(core: np.ndarray, positions: np.ndarray, n_regions: int) -> np.ndarray:
    """Return where the regions lie (ΣR, 3) [Å]: the mean of their core atoms, (m, 2) as (region, atom)."""
    counts = np.bincount(core[:, 0], minlength=n_regions)
    return sums(positions[core[:, 1]], core[:, 0], n_regions) / counts[:, None]
