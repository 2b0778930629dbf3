"""Turning, mirroring, moving and reordering a structure turns, keeps and reorders every Psi4 feature.

Generic over the table: `rank` says how many trailing axes turn, the scope says which atoms a row belongs to, `ends`
that a bond's first axis stands for its two atoms. The structures have no symmetry, so that no two orbitals of one kind
are degenerate.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from psigraph.config import Level
from psigraph.quantum.levels import SPHERICAL
from psigraph.quantum.registry import COMPUTE, select
from psigraph.quantum.system import System, systems_of
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import Structure

TOLERANCE = 1e-6
LEVEL = Level(e_convergence=1e-11, d_convergence=1e-10).identity()
FORMAMIDE = (
    [6, 8, 7, 1, 1, 1],
    [[0, 0.42, 0.03], [1.19, 0.24, -0.02], [-0.94, -0.56, 0.05], [-0.65, -1.52, 0.1], [-1.9, -0.33, -0.2],
     [-0.45, 1.44, 0.07]],
)  # fmt: skip
RADICAL = (
    [6, 8, 1, 1, 1],
    [[-0.69, 0.02, 0.06], [0.67, -0.12, -0.01], [-1.23, -0.87, -0.18], [-1.12, 1.01, -0.09], [1.08, 0.74, 0.05]],
)
WATERS = (
    [8, 1, 1, 8, 1, 1],
    [[0, 0, 0], [0, 0.757, 0.587], [0.2, -0.757, 0.53], [0.1, 0, -2.9], [0, 0.05, -1.94], [0.93, 0, -3.14]],
)
FORMALDEHYDE = ([6, 8, 1, 1], [[0, 0, 0.02], [0.05, 0, 1.205], [0, 0.943, -0.588], [0.1, -0.943, -0.55]])
NEED_SPHERICAL = {*SPHERICAL, "block_shape"} | {n for n, f in FEATURES.items() if f.per in ("nbo", "donation")}


@dataclass(frozen=True)
class Case:
    atoms: tuple[list[int], list[list[float]]]
    n_a: int | None = None  # atoms of A, None: all
    multiplicity: int = 1
    basis: str = "def2-svp"
    system: int = 0  # which of the structure's systems
    spherical: bool = True

    @property
    def features(self) -> tuple[str, ...]:
        names = [name for name in FEATURES if name in COMPUTE]
        return select(name for name in names if self.spherical or name not in NEED_SPHERICAL)


CASES = {
    "formamide": Case(FORMAMIDE),
    "radical": Case(RADICAL, multiplicity=2),
    "dimer": Case(WATERS, n_a=3),
    "dimer's A": Case(WATERS, n_a=3, system=1),
    "Cartesian functions": Case(FORMALDEHYDE, basis="6-31g*", spherical=False),
}


@dataclass(frozen=True)
class Move:
    """Row k of the moved structure is atom `order[k]`; its position is R r + t."""

    turn: np.ndarray  # (3, 3)
    shift: np.ndarray  # (3,) Å
    order: np.ndarray  # (N,)


def move(kind: str, n: int) -> Move:
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    shift = np.array([3.0, -7.0, 11.0])
    if kind == "turned":
        return Move(turn, np.zeros(3), np.arange(n))
    if kind == "mirrored and moved":
        return Move(-turn, shift, np.arange(n))
    return Move(np.eye(3), shift, np.roll(rng.permutation(n), 1))


KINDS = ("turned", "mirrored and moved", "reordered and moved")


def system_of(case: Case, moved: Move) -> System:
    z, x = np.array(case.atoms[0]), np.array(case.atoms[1], dtype=float) @ moved.turn.T + moved.shift
    n_a = len(z) if case.n_a is None else case.n_a
    fragment = (np.arange(len(z)) >= n_a).astype(int)
    order = moved.order
    structure = Structure("x", z[order], x[order], fragment[order], v_ref=0.0, multiplicity=(case.multiplicity, 1))
    return systems_of(structure)[1][case.system]


def job_of(case: Case, system: System) -> dict:
    arrays = {name: getattr(system, name).tolist() for name in ("z", "positions", "fragment", "ghost")}
    level = {**LEVEL, "basis": case.basis}
    return {
        **arrays,
        "charges": system.charges,
        "multiplicities": system.multiplicities,
        "level": level,
        "features": case.features,
    }


@pytest.fixture(scope="module")
def computed(psi4_jobs):
    """(case, move) -> (system, features), all in one Psi4 process."""
    import psigraph.quantum.features  # noqa: F401  registers the functions

    systems, jobs = {}, []
    for name, case in CASES.items():
        n = len(case.atoms[0])
        moves = {"as it is": Move(np.eye(3), np.zeros(3), np.arange(n))} | {kind: move(kind, n) for kind in KINDS}
        for kind, moved in moves.items():
            systems[name, kind] = (system_of(case, moved), moved)
            jobs.append(job_of(case, systems[name, kind][0]))
    results = psi4_jobs(jobs)
    for result in results:
        assert result["status"] == "ok", result
    return {key: (*systems[key], result) for key, result in zip(systems, results, strict=True)}


def turned(value: np.ndarray, rank: int, turn: np.ndarray) -> np.ndarray:
    for axis in range(value.ndim - rank, value.ndim):
        value = np.moveaxis(np.tensordot(turn, value, axes=(1, axis)), 0, axis)
    return value


def bond_rows(before: np.ndarray, after: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each bond after the move its row before it, and whether its ends have changed places."""
    rows = {(int(i), int(j)): k for k, (i, j) in enumerate(before)}
    pairs = order[after]  # atoms as they were called
    return np.array([rows[tuple(sorted(map(int, p)))] for p in pairs], int), pairs[:, 0] > pairs[:, 1]


def expected_of(name: str, value: np.ndarray, moved: Move, bonds: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return what the feature must be after the move; of scopes system, structure, atom and bond."""
    feature = FEATURES[name]
    value = turned(value, feature.rank, moved.turn)
    if feature.per == "atom":
        return value[moved.order]
    if feature.per == "bond":
        rows, flipped = bonds
        value = value[rows]
        if feature.ends:
            value = np.where(flipped.reshape(-1, *[1] * (value.ndim - 1)), np.flip(value, axis=1), value)
    return value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_values_move_along(computed, name, kind, record_property):
    _, _, before = computed[name, "as it is"]
    _, moved, after = computed[name, kind]
    names = [f for f in before if f in FEATURES and FEATURES[f].per in ("system", "structure", "atom", "bond")]
    assert "energy" in names and set(before) == set(after)
    rows = (np.zeros(0, int), np.zeros(0, bool))
    if "bonds" in before:
        rows = bond_rows(np.array(before["bonds"]), np.array(after["bonds"]), moved.order)
    for feature in names:
        if feature == "bonds":
            continue  # `bond_rows` has found each one
        expected = expected_of(feature, np.array(before[feature]), moved, rows)
        found = np.array(after[feature])
        worst = np.nanmax(np.abs(found - expected), initial=0.0)
        record_property(feature, float(worst))
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=feature)


def orbitals(values: dict, order: np.ndarray) -> list[tuple]:
    """Return each NBO as numbers, its atoms called as before the move and in rising order."""
    found = []
    for k, pair in enumerate(np.array(values["nbo_atoms"])):
        atoms = [int(order[a]) if a >= 0 else -1 for a in pair]
        share, character = np.array(values["nbo_share"][k]), np.array(values["nbo_character"][k])
        if -1 < atoms[1] < atoms[0]:
            atoms, share, character = atoms[::-1], share[::-1], character[::-1]
        label = (values["nbo_spin"][k], values["nbo_type"][k], *atoms)
        numbers = (values["nbo_occupancy"][k], values["nbo_energy"][k], *share, *character.ravel())
        found.append((label, numbers))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.system == 0 and case.spherical])
def test_natural_bond_orbitals_move_along(computed, name, kind, record_property):
    """The same orbitals, and the same donations between them, in whatever order."""
    _, _, before = computed[name, "as it is"]
    _, moved, after = computed[name, kind]
    old, new = orbitals(before, np.arange(len(moved.order))), orbitals(after, moved.order)
    first, second = (sorted(o, key=lambda row: (row[0], round(row[1][0], 5), row[1][1])) for o in (old, new))
    assert [label for label, _ in first] == [label for label, _ in second]
    difference = np.abs(np.array([n for _, n in first]) - np.array([n for _, n in second]))
    record_property("nbo", float(difference.max()))
    assert difference.max() < TOLERANCE
    donations = []
    for values, known in ((before, old), (after, new)):
        pairs = zip(values["donation_nbos"], values["donation_energy"], strict=True)
        donations.append(sorted((known[i][0], known[j][0], energy) for (i, j), energy in pairs))
    assert [row[:2] for row in donations[0]] == [row[:2] for row in donations[1]]
    worst = np.abs(np.array([row[2] for row in donations[0]]) - [row[2] for row in donations[1]]).max()
    record_property("donation_energy", float(worst))
    assert worst < TOLERANCE  # kcal/mol


def harmonics(l_value: int, r: np.ndarray) -> np.ndarray:
    """Real solid harmonics (n, 2l + 1) in the order of `density_block`: m = 0, +1, −1, +2, −2."""
    x, y, z = r.T
    if l_value == 0:
        return np.ones((len(r), 1))
    if l_value == 1:
        return np.stack([z, x, y], axis=1)
    assert l_value == 2
    d = [z**2 - (x**2 + y**2) / 2, np.sqrt(3) * x * z, np.sqrt(3) * y * z, np.sqrt(3) / 2 * (x**2 - y**2)]
    return np.stack([*d, np.sqrt(3) * x * y], axis=1)


def wigner(l_value: int, turn: np.ndarray) -> np.ndarray:
    """Return D with Y(R⁻¹ r) = Y(r) D: an orbital Y(r) c turns into Y(r) D c."""
    points = np.random.default_rng(0).normal(size=(30, 3))
    return np.linalg.lstsq(harmonics(l_value, points), harmonics(l_value, points @ turn), rcond=None)[0]


SHELLS = {1: (0, 0, 1), 6: (0, 0, 0, 1, 1, 2), 7: (0, 0, 0, 1, 1, 2), 8: (0, 0, 0, 1, 1, 2)}  # def2-SVP


def turn_of(z: int, turn: np.ndarray) -> np.ndarray:
    """Return the block-diagonal matrix that turns an atom's functions."""
    parts = [wigner(l_value, turn) for l_value in SHELLS[z]]
    size = sum(len(p) for p in parts)
    result, at = np.zeros((size, size)), 0
    for part in parts:
        result[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return result


def blocks(values: dict) -> list[np.ndarray]:
    flat, ends = np.array(values["density_block"]), np.cumsum([i * j for i, j in values["block_shape"]])
    assert len(flat) == ends[-1]
    return [b.reshape(s) for b, s in zip(np.split(flat, ends[:-1]), values["block_shape"], strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["formamide", "radical", "dimer"])
def test_density_blocks_turn_by_their_l(computed, name, kind, record_property):
    system, _, before = computed[name, "as it is"]
    _, moved, after = computed[name, kind]
    rows, flipped = bond_rows(np.array(before["bonds"]), np.array(after["bonds"]), moved.order)
    old, worst = blocks(before), 0.0
    for found, row, flip in zip(blocks(after), rows, flipped, strict=True):
        i, j = before["bonds"][row]
        expected = turn_of(system.z[i], moved.turn) @ old[row] @ turn_of(system.z[j], moved.turn).T
        worst = max(worst, np.abs(found - (expected.T if flip else expected)).max())
    record_property("density_block", float(worst))
    assert worst < TOLERANCE
