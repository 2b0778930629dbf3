"""What every structure must satisfy, whatever it was read from."""

import numpy as np
from scipy.spatial.distance import pdist

from psigraph.structures.elements import MAX_NUMBER
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult, RowError

#: No two nuclei of a molecule are closer than this [Å]; the shortest bond, of H2, measures 0.74.
SHORTEST_DISTANCE = 0.3


def check(result: ReadResult, *, labels: bool = True, molecules: bool = False) -> ReadResult:
    """Return the result with every structure that cannot be moved to the rejected rows, with its reason.

    `labels=False` allows a missing `v_ref` (new dimers to predict). `molecules=True` expects molecules, which have
    fragment A only and no `v_ref`, instead of dimers.
    """
    checked = ReadResult(result.unit, rejected=list(result.rejected), label_specs=result.label_specs)
    first_row: dict[str, str] = {}
    for structure, row in zip(result.structures, result.rows, strict=True):
        try:
            if structure.id in first_row:
                raise RowError(f"duplicate id {structure.id!r}, which row {first_row[structure.id]} has already")
            check_structure(structure, labels=labels, molecules=molecules)
        except RowError as error:
            checked.reject(structure.source, row, structure.id, str(error))
        else:
            first_row[structure.id] = row
            checked.accept(structure, row)
    return checked


def check_structure(s: Structure, *, labels: bool = True, molecules: bool = False) -> None:
    """Raise RowError with the reason where the structure cannot be; arguments as in `check`."""
    if not s.id.strip():
        raise RowError("id is empty")
    if labels and not molecules and not np.isfinite(s.v_ref):
        raise RowError(f"the reference value is {s.v_ref}, not a finite number")
    if not np.isfinite(s.positions).all():
        raise RowError("a coordinate is not a finite number")
    unknown = s.z[(s.z < 1) | (s.z > MAX_NUMBER)]
    if len(unknown):
        raise RowError(f"unknown element with atomic number {unknown[0]}; known are 1 (H) to {MAX_NUMBER} (Rn)")
    if molecules:
        _check_single(s)
    for m, name in ((0, "molecule"),) if molecules else ((0, "fragment A"), (1, "fragment B")):
        z = s.monomer(m)[0]
        if len(z) == 0:
            raise RowError(f"{name} has no atoms")
        _check_electrons(name, int(z.astype(int).sum()), s.charge[m], s.multiplicity[m])
    if s.n_atoms > 1:
        _check_distances(s)


def _check_single(s: Structure) -> None:
    if s.is_dimer or (s.charge[1], s.multiplicity[1]) != (0, 1):
        raise RowError(
            f"a molecule has fragment A only, this one has {int((s.fragment != 0).sum())} other atoms, and of B charge "
            f"{s.charge[1]:+d} and multiplicity {s.multiplicity[1]}"
        )


def _check_electrons(name: str, protons: int, charge: int, multiplicity: int) -> None:
    electrons, unpaired = protons - charge, multiplicity - 1
    where = f"{name}: charge {charge:+d} and multiplicity {multiplicity} cannot be"
    if multiplicity < 1:
        raise RowError(f"{where}: a multiplicity is 1 or more")
    if electrons < 1:
        raise RowError(f"{where}: {protons} protons leave {electrons} electrons")
    if unpaired > electrons or (electrons - unpaired) % 2:
        kind = "even" if electrons % 2 == 0 else "odd"
        raise RowError(f"{where}: {electrons} electrons, an {kind} number, cannot have {unpaired} unpaired")


def _check_distances(s: Structure) -> None:
    distances = pdist(s.positions)
    closest = int(np.argmin(distances))
    if distances[closest] < SHORTEST_DISTANCE:
        i, j = (int(index[closest]) + 1 for index in np.triu_indices(s.n_atoms, k=1))
        raise RowError(f"atoms {i} and {j} are {distances[closest]:.2f} Å apart")
