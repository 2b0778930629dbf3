"""One dimer's graph: which arrays it has, and how a structure and its features become them."""

from dataclasses import dataclass

import numpy as np

from psigraph.fields import FIELD_RANGE
from psigraph.graphs.features import Features, SkippedStructure, given_features
from psigraph.graphs.multipoles import field_features
from psigraph.graphs.neighbours import pairs_within
from psigraph.graphs.settings import BASELINES, GIVEN, GraphSettings
from psigraph.structures.elements import MASSES
from psigraph.structures.geometry import DimerGeometry, dimer_geometry
from psigraph.structures.model import FRAGMENT_A, FRAGMENT_B, Structure
from psigraph.units import energy_factor

#: Atoms of a graph: pairs count them in at most 16 bits.
MAX_ATOMS = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Graph:
    """One dimer as arrays in internal units; the fields are those of `psigraph.fields`, without the leading n."""

    id: str
    group: str
    system: str
    source: str
    charge: tuple[int, int]  # e, of A and B
    z_atoms: np.ndarray  # (N,) uint8
    pos_atoms: np.ndarray  # (N, 3) internal
    fragment: np.ndarray  # (N,) uint8
    atomic_node_attr: np.ndarray  # (N, K) the graphset's atom features
    field_node_features: np.ndarray  # (8,) internal
    u: np.ndarray  # (4,) R internal, theta rad, V_0, PR
    y: float  # V
    y_true_vref: float  # V
    R_internal_val: float  # internal
    theta_defined: bool
    pairs: np.ndarray  # (P, 2) uint16


@dataclass(frozen=True)
class Skipped:
    """A structure that became no graph."""

    id: str
    source: str
    reason: str


def graph_from_structure(
    structure: Structure,
    settings: GraphSettings,
    features: Features | None,
    *,
    unit: str,
    id: str | None = None,
    allow_unlabelled: bool = False,
) -> Graph:
    """Return the graph of one dimer.

    `features` is None where the graphset takes none from anywhere (its columns, moments and PR are then 0). `unit` is
    the unit of the structure's `v_ref` and `v_0`. Separation, angle and PR are those of the raw data where it gives
    them.

    Raises SkippedStructure with the reason where the dimer has no label (unless `allow_unlabelled`) or no baseline, is
    larger than the field edges reach, or has numbers that are not finite.
    """
    _check_size(structure)
    separation, theta, theta_defined = _separation_and_angle(structure)
    factor = energy_factor(unit, settings.unit)
    v_ref = structure.v_ref * factor
    if not np.isfinite(v_ref) and not allow_unlabelled:
        raise SkippedStructure("no reference V_ref")
    v_0 = _baseline(structure, settings, features, factor)
    r_internal = separation * settings.length_scale
    attributes, moments = _node_features(structure, settings, features)
    return Graph(
        id=structure.id if id is None else id,
        group=structure.group,
        system=structure.system,
        source=structure.source,
        charge=structure.charge,
        z_atoms=structure.z,
        pos_atoms=structure.positions * settings.length_scale,
        fragment=structure.fragment,
        atomic_node_attr=attributes,
        field_node_features=moments,
        u=np.array([r_internal, theta, v_0, _participation_ratio(structure, settings, features)]),
        y=v_ref - v_0,
        y_true_vref=v_ref,
        R_internal_val=r_internal,
        theta_defined=theta_defined,
        pairs=pairs_within(structure.positions, settings.cutoff).astype(np.uint16),
    )


def _check_size(structure: Structure) -> None:
    """Raise SkippedStructure where a dimer has no atoms, too many, or one out of reach of the field node."""
    n = structure.n_atoms
    if not 0 < n <= MAX_ATOMS:
        raise SkippedStructure(f"{n} atoms; a graph holds 1 to {MAX_ATOMS}")
    farthest = np.linalg.norm(structure.positions - structure.positions.mean(axis=0), axis=1).max()
    if not farthest <= FIELD_RANGE:
        raise SkippedStructure(
            f"its farthest atom is {farthest:.1f} Å from the centroid; field edges reach {FIELD_RANGE:g} Å"
        )


def _separation_and_angle(structure: Structure) -> tuple[float, float, bool]:
    """Return R [Å], theta [rad] and whether theta has a meaning: the raw data's where given, else the geometry's."""
    separation, theta, defined = structure.separation, structure.theta, True
    if not (np.isfinite(separation) and np.isfinite(theta)):
        found = _geometry(structure)
        separation = separation if np.isfinite(separation) else found.separation
        if not np.isfinite(theta):
            theta, defined = found.theta, bool(found.theta_defined)
    if not (np.isfinite(separation) and np.isfinite(theta)):
        raise SkippedStructure(f"separation {separation} Å and angle {theta} rad must be finite")
    return float(separation), float(theta), defined


def _geometry(structure: Structure) -> DimerGeometry:
    """Return separation and angle; 0 for a molecule, which has neither, NaN where an atom has no mass."""
    monomers = [structure.monomer(which)[0] for which in (FRAGMENT_A, FRAGMENT_B)]
    if not all(len(z) for z in monomers):
        return DimerGeometry(0.0, 0.0, False)
    if not all(np.isfinite(MASSES[z]).all() for z in monomers):
        return DimerGeometry(np.nan, np.nan, False)
    return dimer_geometry(structure.z, structure.positions, structure.fragment)


def _baseline(structure: Structure, settings: GraphSettings, features: Features | None, factor: float) -> float:
    """Return V_0 in the graphset's unit; `factor` turns the structure's unit into it."""
    if settings.v0 == "zero":
        return 0.0
    if settings.v0 == "column":
        v_0 = structure.v_0 * factor
        reason = "no V0 in the raw data (v0: column)"
    else:
        v_0 = (features.baseline if features else np.nan) * energy_factor("hartree", settings.unit)
        reason = f"no {' and '.join(BASELINES[settings.v0])} (v0: {settings.v0})"
    if not np.isfinite(v_0):
        raise SkippedStructure(reason)
    return float(v_0)


def _participation_ratio(structure: Structure, settings: GraphSettings, features: Features | None) -> float:
    """Return PR: the raw data's, else Psi4's; 0 where it is switched off or there is no level.

    Raises SkippedStructure where a level gives none.
    """
    if not settings.participation:
        return 0.0
    if np.isfinite(structure.pr):
        return structure.pr
    if settings.level is None:
        return 0.0
    if settings.level == GIVEN:
        raise SkippedStructure("no PR in the raw data (level: given)")
    if features is None or not np.isfinite(features.participation_ratio):
        raise SkippedStructure("no participation ratio")
    return features.participation_ratio


def _node_features(
    structure: Structure, settings: GraphSettings, features: Features | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms' features (N, K) and the field node's (8,) about the unweighted centroid, zeros without any."""
    n, width = structure.n_atoms, settings.atom_width
    if features is None:
        return np.zeros((n, width)), np.zeros(8)
    centroid = structure.positions.mean(axis=0)
    moments = features.moments_about(centroid, float(sum(structure.charge)))
    if moments is None:
        return features.atoms, np.zeros(8)
    return features.atoms, field_features(*moments, settings.length_scale)


def features_of(structure: Structure, settings: GraphSettings) -> Features | None:
    """Return what the raw data says about a dimer where the graphset's level is `given`, None where it has no level."""
    return given_features(structure, settings) if settings.level == GIVEN else None
