"""Natural atomic orbitals: A. E. Reed, R. B. Weinstock, F. Weinhold, J. Chem. Phys. 83, 735 (1985): RWW.

Shapes: M basis functions, as many natural atomic orbitals (NAOs), K occupied orbitals of both spins. The k-th NAO of
an atom, l and m stands where the k-th basis function of that atom, l and m stands, so atom and l of both are equal. All
m of one l share their radial part: NAOs turn like the basis functions do.

WEIGHT_FLOOR and the split of the Rydberg set at RYDBERG_WEIGHT are the NBO program's (E. D. Glendening, A. E. Reed,
J. E. Carpenter, F. Weinhold, NBO 3). Core and valence are one set here, which gives the numbers of NBO 5; those of
NBO 7 come out with the core orthogonalised before the valence set. Tests hold both.
"""

from dataclasses import dataclass

import numpy as np

from psigraph.quantum.errors import InputError
from psigraph.quantum.scf import Integrals, Scf
from psigraph.quantum.shells import minimal_shells

CORE, VALENCE, RYDBERG = 0, 1, 2
WEIGHT_FLOOR = 1e-3
#: Rydberg orbitals with fewer electrons are orthogonalised after the others, and without weights.
RYDBERG_WEIGHT = 1e-4
#: Smallest eigenvalue of a weighted overlap matrix that can be inverted.
MIN_EIGENVALUE = 1e-13


@dataclass(frozen=True)
class NaturalOrbitals:
    """NAOs of the total density, and the density of each spin in them."""

    coefficients: np.ndarray  # (M, M) columns are NAOs in the basis functions
    kind: np.ndarray  # (M,) CORE, VALENCE or RYDBERG
    atom: np.ndarray  # (M,)
    angular_momentum: np.ndarray  # (M,)
    densities: tuple[np.ndarray, ...]  # (M, M) in NAOs: α + β of a closed shell; α, β of an open one

    @property
    def density(self) -> np.ndarray:
        """Density matrix (M, M) of both spins."""
        return sum(self.densities[1:], self.densities[0])

    @property
    def populations(self) -> np.ndarray:
        """Electrons (M,) in each NAO."""
        return np.sum([np.diagonal(d) for d in self.densities], axis=0)


@dataclass(frozen=True)
class _Family:
    """All (atom, l) pairs of one l and one number of shells, which are treated at once."""

    functions: np.ndarray  # (G, n, 2l + 1) basis functions by pair, shell and m

    @property
    def blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """Index arrays that pick (G, n, n, 2l + 1) same-m elements from a matrix (M, M)."""
        return self.functions[:, :, None, :], self.functions[:, None, :, :]


def natural_orbitals(scf: Scf) -> NaturalOrbitals:
    """Return the natural atomic orbitals of an SCF.

    Raises InputError for Cartesian d functions, for linearly dependent ones, and for an unknown core potential.
    """
    integrals = scf.integrals
    families = _families(integrals)
    kind = _kinds(scf, families)
    occupied = [spin.coefficients[:, : spin.occupied] for spin in scf.spins]
    if scf.closed_shell:
        occupied = [np.sqrt(2.0) * occupied[0]]
    split = np.cumsum([c.shape[1] for c in occupied])[:-1]
    coefficients, amplitudes = _orthogonalise(integrals.overlap, np.concatenate(occupied, axis=1), families, kind)
    return NaturalOrbitals(
        coefficients=coefficients,
        kind=kind,
        atom=integrals.atom,
        angular_momentum=integrals.angular_momentum,
        densities=tuple(part @ part.T for part in np.split(amplitudes, split, axis=1)),
    )


def _orthogonalise(
    overlap: np.ndarray, occupied: np.ndarray, families: list[_Family], kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the NAOs (M, M), and the occupied orbitals (M, K) in them; densities are products of the latter."""
    minimal, rydberg = np.flatnonzero(kind != RYDBERG), np.flatnonzero(kind == RYDBERG)
    pre, weights = natural_characters(overlap, overlap @ occupied, families)  # pre-NAOs
    metric, amplitudes = pre.T @ overlap @ pre, pre.T @ (overlap @ occupied)
    orbitals = np.empty_like(overlap)
    inverse = weighted_inverse_root(metric[np.ix_(minimal, minimal)], weights[minimal])  # weighted
    orbitals[:, minimal] = pre[:, minimal] @ inverse
    if len(rydberg):
        mixed = inverse.T @ metric[np.ix_(minimal, rydberg)]  # Schmidt
        remainder = pre[:, rydberg] - orbitals[:, minimal] @ mixed
        metric = metric[np.ix_(rydberg, rydberg)] - mixed.T @ mixed
        amplitudes = amplitudes[rydberg] - mixed.T @ (inverse.T @ amplitudes[minimal])
        orbitals[:, rydberg] = remainder @ _rydberg_transform(metric, amplitudes, _restrict(families, rydberg))
    orbitals = _polish(orbitals, overlap)
    amplitudes = orbitals.T @ (overlap @ occupied)
    final, _ = natural_characters(None, amplitudes, families)  # of the whole set
    return orbitals @ final, final.T @ amplitudes


def _rydberg_transform(metric: np.ndarray, amplitudes: np.ndarray, families: list[_Family]) -> np.ndarray:
    """Return the matrix (R, R) that makes the Rydberg set natural again and orthonormal."""
    natural, weights = natural_characters(metric, amplitudes, families)
    metric = natural.T @ metric @ natural
    strong, weak = np.flatnonzero(weights >= RYDBERG_WEIGHT), np.flatnonzero(weights < RYDBERG_WEIGHT)
    transform = np.zeros_like(metric)
    if len(strong):
        inverse = weighted_inverse_root(metric[np.ix_(strong, strong)], weights[strong])
        transform[:, strong] = natural[:, strong] @ inverse
    if len(weak):
        mixed, rest = np.zeros((0, len(weak))), metric[np.ix_(weak, weak)]
        if len(strong):
            mixed = inverse.T @ metric[np.ix_(strong, weak)]
            rest = rest - mixed.T @ mixed
        remainder = natural[:, weak] - transform[:, strong] @ mixed
        transform[:, weak] = remainder @ weighted_inverse_root(rest, np.ones(len(weak)))
    return transform


def natural_characters(
    metric: np.ndarray | None, amplitudes: np.ndarray, families: list[_Family]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix (M, M) that diagonalises the density in each (atom, l), averaged over m, and the occupancies.

    Solves P N = S N W, occupancies W (M,) descending within (atom, l) and equal for all m; P is `amplitudes` (M, K)
    times its transpose, S the `metric` (M, M), None for unity.
    """
    size = len(amplitudes)
    transform, weights = np.zeros((size, size)), np.empty(size)
    for family in families:
        functions = family.functions
        pairs, n, degeneracy = functions.shape
        rows = amplitudes[functions].reshape(pairs, n, -1)
        density = rows @ rows.swapaxes(1, 2) / degeneracy  # (G, n, n)
        if metric is None:
            values, vectors = np.linalg.eigh(density)
        else:
            lower = _inverse_cholesky(metric[family.blocks].mean(axis=-1))
            values, vectors = np.linalg.eigh(lower @ density @ lower.swapaxes(1, 2))
            vectors = lower.swapaxes(1, 2) @ vectors
        transform[family.blocks] = vectors[:, :, ::-1, None]
        weights[functions] = values[:, ::-1, None]
    return transform, np.maximum(weights, 0.0)


def weighted_inverse_root(metric: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return W (W S W)^(-1/2), columns the occupancy-weighted symmetric orthogonalisation (RWW).

    The orthonormal set has the least sum of squared distances to the old one, weighted by occupancy.
    """
    scale = np.maximum(weights / weights.max(), WEIGHT_FLOOR) if weights.max() > 0 else np.ones_like(weights)
    values, vectors = np.linalg.eigh(scale[:, None] * metric * scale)
    if values[0] < MIN_EIGENVALUE:
        raise InputError(
            f"basis functions are linearly dependent (eigenvalue {values[0]:.1e} of their weighted overlap), natural "
            "atomic orbitals are not defined; use a basis with fewer diffuse functions, or features without natural "
            "orbitals"
        )
    return scale[:, None] * ((vectors / np.sqrt(values)) @ vectors.T)


def _inverse_cholesky(metric: np.ndarray) -> np.ndarray:
    """Return L⁻¹ (G, n, n) of S = L Lᵀ."""
    try:
        return np.linalg.inv(np.linalg.cholesky(metric))
    except np.linalg.LinAlgError:
        raise InputError("basis functions of one atom are linearly dependent; use another basis") from None


def _polish(orbitals: np.ndarray, overlap: np.ndarray, tolerance: float = 1e-11) -> np.ndarray:
    """Return orbitals (M, M) that are orthonormal to rounding, by Newton's iteration for the inverse root."""
    for _ in range(3):
        error = np.eye(len(overlap)) - orbitals.T @ overlap @ orbitals
        if np.abs(error).max() < tolerance:
            break
        orbitals = orbitals + 0.5 * orbitals @ error
    return orbitals


def _families(integrals: Integrals) -> list[_Family]:
    """Group basis functions by l and by how many shells of it the atom has.

    Raises InputError for shells of other than 2l + 1 functions.
    """
    starts = np.flatnonzero(np.diff(integrals.shell, prepend=-1))
    sizes = np.diff(starts, append=len(integrals.shell))
    momenta = integrals.angular_momentum[starts]
    if (sizes != 2 * momenta + 1).any():
        bad = int(np.flatnonzero(sizes != 2 * momenta + 1)[0])
        raise InputError(
            f"shell {bad} with l = {momenta[bad]} has {sizes[bad]} functions, not {2 * momenta[bad] + 1}: natural "
            "atomic orbitals need a basis of spherical functions; choose one, or features without natural orbitals"
        )
    shells: dict[tuple[int, int], list[int]] = {}
    for start, atom, momentum in zip(starts.tolist(), integrals.atom[starts].tolist(), momenta.tolist(), strict=True):
        shells.setdefault((atom, momentum), []).append(start)
    families: dict[tuple[int, int], list[list[int]]] = {}
    for (_, momentum), first in shells.items():
        families.setdefault((momentum, len(first)), []).append(first)
    return [
        _Family(np.array(first)[:, :, None] + np.arange(2 * momentum + 1)) for (momentum, _), first in families.items()
    ]


def _restrict(families: list[_Family], kept: np.ndarray) -> list[_Family]:
    """Return the families of the functions `kept` (R,) alone, numbered by their place in it."""
    place = {int(function): i for i, function in enumerate(kept)}
    groups: dict[tuple[int, int], list[list[list[int]]]] = {}
    for family in families:
        for pair in family.functions.tolist():
            rows = [[place[f] for f in row] for row in pair if row[0] in place]
            if rows:
                groups.setdefault((len(rows[0]), len(rows)), []).append(rows)
    return [_Family(np.array(group)) for group in groups.values()]


def _kinds(scf: Scf, families: list[_Family]) -> np.ndarray:
    """Return CORE, VALENCE or RYDBERG (M,) by atom, l and place in the order of occupancy; ghosts are all RYDBERG."""
    integrals, system = scf.integrals, scf.system
    kind = np.full(len(integrals.atom), RYDBERG)
    replaced = np.where(system.ghost, 0, system.z - np.rint(integrals.nuclear_charge).astype(int))
    for family in families:
        for pair in family.functions:
            atom, momentum = int(integrals.atom[pair[0, 0]]), int(integrals.angular_momentum[pair[0, 0]])
            if system.ghost[atom] or momentum > 3:
                continue
            try:
                core, valence = minimal_shells(int(system.z[atom]), int(replaced[atom]))
            except ValueError as error:
                raise InputError(f"atom {atom}: {error}") from None
            kind[pair[: core[momentum] + valence[momentum]]] = VALENCE
            kind[pair[: core[momentum]]] = CORE
    return kind
