"""One molecule or dimer, and many of them stored flat with offsets.

Uses only NumPy: the Psi4 interpreter imports it too. Legend of shapes: n structures, N atoms of one structure, ΣN atoms
of all structures, T labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from psigraph.structures.complexes import Binding

#: Value of `fragment` for the atoms of monomer A and of monomer B.
FRAGMENT_A, FRAGMENT_B = 0, 1
#: Columns of a `StructureSet` with one row per atom.
BY_ATOM = ("z", "positions", "fragment", "given_mulliken_spd")
#: What a `StructureSet` has beside columns.
NOT_COLUMNS = ("unit", "digest", "label_specs")


def _nan(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan)


@dataclass(frozen=True)
class Label:
    """A property of molecules; `extensive` where it grows with the molecule, as an energy does.

    A `relative` one is known up to a constant for each molecule, such as the energies of conformers.
    """

    name: str
    unit: str  # "1" for none
    extensive: bool
    relative: bool = False


@dataclass
class Structure:
    """One molecule, dimer or bound ligand as it came from its source.

    A molecule has fragment A only; the charge of B is 0 then, its multiplicity 1. `v_ref` and `v_0` share one unit,
    which the store states. Values that a source does not give are NaN; the `given_*` features come from raw data with
    an NPZ only and count where `has_given` is set.
    """

    id: str
    z: np.ndarray  # (N,) uint8 atomic numbers
    positions: np.ndarray  # (N, 3) float64 Å
    fragment: np.ndarray  # (N,) uint8, 0 = A, 1 = B
    v_ref: float
    group: str = ""
    system: str = ""
    source: str = ""
    charge: tuple[int, int] = (0, 0)  # e, of A and B
    multiplicity: tuple[int, int] = (1, 1)  # of A and B
    v_0: float = np.nan
    separation: float = np.nan  # Å
    theta: float = np.nan  # rad
    pr: float = np.nan  # dimensionless
    has_given: bool = False
    given_mulliken_spd: np.ndarray = field(default_factory=lambda: _nan(0, 3))  # (N, 3) electrons
    given_dipole: np.ndarray = field(default_factory=lambda: _nan(3))  # (3,) e·Å
    given_quadrupole: np.ndarray = field(default_factory=lambda: _nan(3, 3))  # (3, 3) e·Å², traceless
    given_origin: np.ndarray = field(default_factory=lambda: _nan(3))  # (3,) Å, what the moments refer to
    labels: np.ndarray = field(default_factory=lambda: _nan(0))  # (T,) properties of a molecule; NaN: not known
    binding: Binding | None = None  # of the ligand of a complex

    def __post_init__(self) -> None:
        self.z = np.asarray(self.z, dtype=np.uint8)
        self.positions = np.asarray(self.positions, dtype=np.float64).reshape(-1, 3)
        self.fragment = np.asarray(self.fragment, dtype=np.uint8)
        self.labels = np.asarray(self.labels, dtype=np.float64).reshape(-1)
        n = len(self.z)
        if len(self.given_mulliken_spd) == 0 and n:
            self.given_mulliken_spd = _nan(n, 3)
        lengths = {len(self.positions), len(self.fragment), len(self.given_mulliken_spd)}
        if lengths != {n}:
            raise ValueError(
                f"{self.id}: {n} atomic numbers, {len(self.positions)} positions, {len(self.fragment)} fragment labels "
                f"and {len(self.given_mulliken_spd)} rows of populations do not go together"
            )
        self.system = self.system or self.id

    @property
    def n_atoms(self) -> int:
        return len(self.z)

    @property
    def is_dimer(self) -> bool:
        """Whether there is a fragment B."""
        return bool((self.fragment == FRAGMENT_B).any())

    def monomer(self, which: int) -> tuple[np.ndarray, np.ndarray]:
        """Return atomic numbers (N_m,) and positions (N_m, 3) [Å] of monomer 0 (A) or 1 (B)."""
        mask = self.fragment == which
        return self.z[mask], self.positions[mask]


@dataclass(frozen=True)
class StructureSet:
    """All structures of one store; arrays as in the file.

    `unit` is the unit of `v_ref` and `v_0`, `label_specs` say what the columns of `labels` are; dimers have none.
    """

    unit: str
    digest: str
    ids: np.ndarray  # (n,) text
    offsets: np.ndarray  # (n+1,) int64
    z: np.ndarray  # (ΣN,) uint8
    positions: np.ndarray  # (ΣN, 3) float64 Å
    fragment: np.ndarray  # (ΣN,) uint8
    charge: np.ndarray  # (n, 2) int8 e
    multiplicity: np.ndarray  # (n, 2) uint8
    group: np.ndarray  # (n,) text
    system: np.ndarray  # (n,) text
    source: np.ndarray  # (n,) text
    v_ref: np.ndarray  # (n,) unit
    v_0: np.ndarray  # (n,) unit
    separation: np.ndarray  # (n,) Å
    theta: np.ndarray  # (n,) rad
    pr: np.ndarray  # (n,)
    given_mulliken_spd: np.ndarray  # (ΣN, 3) electrons
    given_dipole: np.ndarray  # (n, 3) e·Å
    given_quadrupole: np.ndarray  # (n, 3, 3) e·Å²
    given_origin: np.ndarray  # (n, 3) Å
    has_given: np.ndarray  # (n,) bool
    labels: np.ndarray  # (n, T), units of label_specs; NaN where not known
    label_specs: tuple[Label, ...] = ()

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms per structure (n,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Structure]:
        return (self.structure(i) for i in range(self.n))

    def select(self, rows: np.ndarray) -> "StructureSet":
        """Return the structures of these rows (m,), in their order."""
        sizes = self.n_atoms[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        atoms = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], sizes)
        values = {
            f.name: getattr(self, f.name)[atoms if f.name in BY_ATOM else rows]
            for f in fields(self)
            if f.name not in NOT_COLUMNS and f.name != "offsets"
        }
        return StructureSet(unit=self.unit, digest=self.digest, label_specs=self.label_specs, offsets=offsets, **values)

    def structure(self, i: int) -> Structure:
        """Return structure `i` (0-based). Raises IndexError outside 0..n-1."""
        if not 0 <= i < self.n:
            raise IndexError(f"structure {i}: the store holds structures 0 to {self.n - 1}")
        a, b = int(self.offsets[i]), int(self.offsets[i + 1])
        return Structure(
            id=str(self.ids[i]),
            z=self.z[a:b],
            positions=self.positions[a:b],
            fragment=self.fragment[a:b],
            v_ref=float(self.v_ref[i]),
            group=str(self.group[i]),
            system=str(self.system[i]),
            source=str(self.source[i]),
            charge=(int(self.charge[i, 0]), int(self.charge[i, 1])),
            multiplicity=(int(self.multiplicity[i, 0]), int(self.multiplicity[i, 1])),
            v_0=float(self.v_0[i]),
            separation=float(self.separation[i]),
            theta=float(self.theta[i]),
            pr=float(self.pr[i]),
            has_given=bool(self.has_given[i]),
            given_mulliken_spd=self.given_mulliken_spd[a:b],
            given_dipole=self.given_dipole[i],
            given_quadrupole=self.given_quadrupole[i],
            given_origin=self.given_origin[i],
            labels=self.labels[i],
        )


def concatenate(
    structures: Sequence[Structure], unit: str, digest: str = "", label_specs: Sequence[Label] = ()
) -> StructureSet:
    """Return the structures as flat arrays, in the given order. An empty sequence gives empty arrays.

    Raises ValueError naming a structure that has not as many labels as `label_specs`.
    """
    for s in structures:
        if len(s.labels) != len(label_specs):
            names = ", ".join(label.name for label in label_specs) or "none"
            raise ValueError(f"{s.id}: has {len(s.labels)} labels, expected {len(label_specs)}: {names}")
    text = lambda values: np.array(values, dtype=object)  # noqa: E731
    rows = lambda values, *shape: np.array(values, dtype=np.float64).reshape(len(structures), *shape)  # noqa: E731
    atoms = lambda values, dtype, *shape: (  # noqa: E731
        np.concatenate(values).astype(dtype) if values else np.zeros((0, *shape), dtype)
    )
    return StructureSet(
        unit=unit,
        digest=digest,
        ids=text([s.id for s in structures]),
        offsets=np.cumsum([0, *(s.n_atoms for s in structures)], dtype=np.int64),
        z=atoms([s.z for s in structures], np.uint8),
        positions=atoms([s.positions for s in structures], np.float64, 3),
        fragment=atoms([s.fragment for s in structures], np.uint8),
        charge=np.array([s.charge for s in structures], dtype=np.int8).reshape(-1, 2),
        multiplicity=np.array([s.multiplicity for s in structures], dtype=np.uint8).reshape(-1, 2),
        group=text([s.group for s in structures]),
        system=text([s.system for s in structures]),
        source=text([s.source for s in structures]),
        v_ref=rows([s.v_ref for s in structures]),
        v_0=rows([s.v_0 for s in structures]),
        separation=rows([s.separation for s in structures]),
        theta=rows([s.theta for s in structures]),
        pr=rows([s.pr for s in structures]),
        given_mulliken_spd=atoms([s.given_mulliken_spd for s in structures], np.float64, 3),
        given_dipole=rows([s.given_dipole for s in structures], 3),
        given_quadrupole=rows([s.given_quadrupole for s in structures], 3, 3),
        given_origin=rows([s.given_origin for s in structures], 3),
        has_given=np.array([s.has_given for s in structures], dtype=bool),
        labels=rows([s.labels for s in structures], len(label_specs)),
        label_specs=tuple(label_specs),
    )
