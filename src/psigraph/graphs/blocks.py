"""Graphs of many structures at once: what `graph.graph_from_structure` makes of one, as flat arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from psigraph.fields import FIELD_RANGE
from psigraph.graphs.block_features import BlockFeatures, Reasons, block_features
from psigraph.graphs.columns import offsets_of
from psigraph.graphs.geometry import centroids, dimer_geometries, farthest
from psigraph.graphs.graph import MAX_ATOMS, Skipped
from psigraph.graphs.multipoles import field_features
from psigraph.graphs.neighbours import batched_pairs
from psigraph.graphs.settings import BASELINES, GIVEN, GraphSettings
from psigraph.quantum.quantum_set import QuantumSet
from psigraph.structures.model import StructureSet
from psigraph.units import energy_factor

#: Most structures of a block, and most pairs of atoms (of all distances) where it has more than one structure.
_MOST_ROWS, _MOST_PAIRS = 4096, 2**21


@dataclass(frozen=True)
class Block:
    """Graphs as the columns of a shard, with numbers of rows in place of offsets; and who is left out."""

    columns: Mapping[str, np.ndarray]  # by the names of `psigraph.fields`
    counts: Mapping[str, np.ndarray]  # by the names of the offsets (n,)
    skipped: list[Skipped]
    missing: Mapping[str, int] = field(default_factory=dict)  # graphs that lack a value, by what it is

    def __len__(self) -> int:
        return len(self.counts["offsets"])


def blocks(
    offsets: np.ndarray, first: int, last: int, most_rows: int | None = None, most_pairs: int | None = None
) -> list[tuple[int, int]]:
    """Return the ranges of rows that rows `first` to `last` - 1 are divided into; offsets (n+1,) count atoms.

    A range has at most so many rows, and so many pairs of atoms where it has more than one row; by default as many as
    suit dimers.
    """
    most_rows, most_pairs = most_rows or _MOST_ROWS, most_pairs or _MOST_PAIRS
    sizes = np.diff(offsets[first : last + 1]).astype(np.int64)
    before = offsets_of(sizes * (sizes - 1) // 2)  # pairs
    result, row = [], 0
    while row < last - first:
        end = int(np.searchsorted(before, before[row] + most_pairs, side="right")) - 1
        end = min(max(end, row + 1), row + most_rows, last - first)
        result.append((first + row, first + end))
        row = end
    return result


def build_block(
    structures: StructureSet,
    sets: Mapping[str, QuantumSet],
    settings: GraphSettings,
    *,
    prefix: str = "",
    allow_unlabelled: bool = False,
) -> Block:
    """Return the graphs of some structures, and why the others became none.

    `sets` maps programs to their features, row i of structure i; it is empty where nothing is needed of them. `prefix`
    stands before each id. Numbers and reasons are those of `graph_from_structure`, whatever else is in the block.
    """
    reasons = Reasons(structures.n)
    with np.errstate(invalid="ignore", over="ignore"):
        features = block_features(structures, sets, settings, reasons)
        centres = _checked_centroids(structures, reasons)
        columns = _by_graph(structures, settings, features, centres, reasons, allow_unlabelled)
    by_atom = {"atomic_node_attr": features.atoms}
    skipped = [
        Skipped(prefix + str(structures.ids[row]), str(structures.source[row]), reasons.of[row])
        for row in sorted(reasons.of)
    ]
    if skipped:
        atoms = np.repeat(reasons.ok, structures.n_atoms)
        structures = structures.select(np.flatnonzero(reasons.ok))
        columns = {name: values[reasons.ok] for name, values in columns.items()}
        by_atom = {name: values[atoms] for name, values in by_atom.items()}
    pairs, pair_offsets = batched_pairs(structures.positions, structures.offsets, settings.cutoff)
    columns |= {
        "ids": structures.ids if not prefix else np.array([prefix + str(i) for i in structures.ids], dtype=object),
        **{name: getattr(structures, name) for name in ("group", "system", "source", "charge", "fragment")},
        **by_atom,
        "z_atoms": structures.z,
        "pos_atoms": structures.positions * settings.length_scale,
        "pairs": pairs,
    }
    return Block(columns, {"offsets": structures.n_atoms, "pair_offsets": np.diff(pair_offsets)}, skipped)


def _checked_centroids(structures: StructureSet, reasons: Reasons) -> np.ndarray:
    """Return the centroids (n, 3); note structures with no atoms, too many, or one out of the field node's reach."""
    sizes = structures.n_atoms
    reasons.add((sizes == 0) | (sizes > MAX_ATOMS), lambda row: f"{sizes[row]} atoms; a graph holds 1 to {MAX_ATOMS}")
    centres = centroids(structures.positions, structures.offsets)
    reach = farthest(structures.positions, structures.offsets, centres)
    reasons.add(
        ~(reach <= FIELD_RANGE),
        lambda row: f"its farthest atom is {reach[row]:.1f} Å from the centroid; field edges reach {FIELD_RANGE:g} Å",
    )
    return centres


def _by_graph(
    structures: StructureSet,
    settings: GraphSettings,
    features: BlockFeatures,
    centres: np.ndarray,
    reasons: Reasons,
    allow_unlabelled: bool,
) -> dict[str, np.ndarray]:
    """Return the columns with one row per graph (n, ...), text apart."""
    separation, theta, defined = _separations_and_angles(structures, reasons)
    factor = energy_factor(structures.unit, settings.unit)
    v_ref = structures.v_ref * factor
    if not allow_unlabelled:
        reasons.add(~np.isfinite(v_ref), lambda _: "no reference V_ref")
    v_0 = _baselines(structures, settings, features, factor, reasons)
    pr = _participation_ratios(structures, settings, features, reasons)
    moments = features.moments_about(centres, structures.charge.astype(np.float64).sum(axis=1))
    r_internal = separation * settings.length_scale
    return {
        "field_node_features": (
            np.zeros((structures.n, 8)) if moments is None else field_features(*moments, settings.length_scale)
        ),
        "u": np.stack([r_internal, theta, v_0, pr], axis=1),
        "y": v_ref - v_0,
        "y_true_vref": v_ref,
        "R_internal_val": r_internal,
        "theta_defined": defined,
    }


def _separations_and_angles(structures: StructureSet, reasons: Reasons) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R [Å], theta [rad] and whether theta has a meaning: the raw data's where given, else the geometry's."""
    separation, theta = structures.separation.copy(), structures.theta.copy()
    defined = np.ones(structures.n, dtype=bool)
    lacking = np.flatnonzero(~(np.isfinite(separation) & np.isfinite(theta)) & reasons.ok)
    if len(lacking):
        part = structures if len(lacking) == structures.n else structures.select(lacking)
        r, angle, has_angle = dimer_geometries(part.z, part.positions, part.fragment, part.offsets)
        separation[lacking] = np.where(np.isfinite(separation[lacking]), separation[lacking], r)
        given = np.isfinite(theta[lacking])
        theta[lacking], defined[lacking] = np.where(given, theta[lacking], angle), given | has_angle
    reasons.add(
        ~(np.isfinite(separation) & np.isfinite(theta)),
        lambda row: f"separation {separation[row]} Å and angle {theta[row]} rad must be finite",
    )
    return separation, theta, defined


def _baselines(
    structures: StructureSet, settings: GraphSettings, features: BlockFeatures, factor: float, reasons: Reasons
) -> np.ndarray:
    """Return V_0 (n,) in the graphset's unit; `factor` turns the structures' unit into it."""
    if settings.v0 == "zero":
        return np.zeros(structures.n)
    if settings.v0 == "column":
        v_0 = structures.v_0 * factor
        reason = "no V0 in the raw data (v0: column)"
    else:
        v_0 = features.baseline * energy_factor("hartree", settings.unit)
        reason = f"no {' and '.join(BASELINES[settings.v0])} (v0: {settings.v0})"
    reasons.add(~np.isfinite(v_0), lambda _: reason)
    return v_0


def _participation_ratios(
    structures: StructureSet, settings: GraphSettings, features: BlockFeatures, reasons: Reasons
) -> np.ndarray:
    """Return PR (n,): the raw data's, else Psi4's; 0 where it is switched off or there is no level."""
    if not settings.participation:
        return np.zeros(structures.n)
    given = np.isfinite(structures.pr)
    if settings.level is None:
        return np.where(given, structures.pr, 0.0)
    if settings.level == GIVEN:
        reasons.add(~given, lambda _: "no PR in the raw data (level: given)")
        return structures.pr
    found = np.where(given, structures.pr, features.participation_ratio)
    reasons.add(~np.isfinite(found), lambda _: "no participation ratio")
    return found
