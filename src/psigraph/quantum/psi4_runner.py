"""Runs Psi4 on dimers: three explicit SCFs for counterpoise, in one warm process with one thread.

What Psi4 1.3.2 needs: `core.clean()` after every energy, failures included, else later ones end in PSIO errors;
explicit SCFs on `extract_subsets`, for `bsse_type='cp'` runs five and returns a wavefunction without orbitals.
"""

import atexit
import difflib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum import features
from psigraph.quantum.basis_cache import cache_basis_parser
from psigraph.quantum.errors import InputError, classify, one_line
from psigraph.quantum.ghosts import remove_ghost_ecps
from psigraph.quantum.levels import LevelError
from psigraph.quantum.model import OK, Dimer, DimerResult, failed
from psigraph.units import BOHR_RADIUS

LOG_NAME = "psi4.log"
#: Atoms closer than this are an error of the input [Å].
MIN_DISTANCE = 0.1


_scratch_folders: list[Path] = []


def remove_scratch() -> None:
    """Remove this process's scratch folders; Psi4 cannot be used afterwards."""
    while _scratch_folders:
        folder = _scratch_folders.pop()
        os.chdir(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class ScfResult:
    """One converged SCF. Moments refer to the coordinate origin."""

    energy: float  # hartree
    dipole: np.ndarray  # (3,) e·Å
    quadrupole: np.ndarray  # (3, 3) e·Å²
    mulliken_spd: np.ndarray  # (N, 3) electrons
    mulliken_charge: np.ndarray  # (N,) e
    integrals: features.Integrals
    orbitals: tuple[features.Orbitals, features.Orbitals]


class Psi4Session:
    """A warm Psi4 with its own scratch folder; one per process.

    The process works inside the scratch folder from here on, because Psi4 writes timer.dat where it stands, as late as
    at exit; the folder is removed after that. It lies in PSI_SCRATCH, else in the system's temporary folder.
    """

    def __init__(self, memory_mb: int, log: Path | None = None) -> None:
        self.log = log.absolute() if log else None
        self.scratch = Path(tempfile.mkdtemp(prefix="psigraph-psi4-", dir=os.environ.get("PSI_SCRATCH")))
        _scratch_folders.append(self.scratch)
        atexit.register(remove_scratch)  # before Psi4 registers its own handlers, so that it runs after them
        os.chdir(self.scratch)
        import psi4

        self.psi4 = psi4
        self.version = str(psi4.__version__)
        remove_ghost_ecps(psi4)
        from psi4.driver.qcdb.libmintsbasissetparser import Gaussian94BasisSetParser

        cache_basis_parser(Gaussian94BasisSetParser)
        psi4.core.IOManager.shared_object().set_default_path(str(self.scratch))
        psi4.set_num_threads(1, quiet=True)
        psi4.core.set_memory_bytes(memory_mb * 1000 * 1000, True)
        self.restart_log()

    def restart_log(self) -> None:
        """Send Psi4's output to the log file, or to one in the scratch folder that holds the last structure only."""
        path = self.log or self.scratch / LOG_NAME
        self.psi4.core.set_output_file(str(path), self.log is not None)

    def molecule(self, dimer: Dimer, order: np.ndarray, origin: np.ndarray) -> Any:
        """Return the Psi4 molecule of the dimer, atoms in `order` (A first), `origin` [Å] moved to zero.

        Positions are given in bohr, so that Psi4's own bohr constant changes nothing.
        """
        from qcelemental import periodictable

        charges, multiplicities = dimer.charges, dimer.multiplicities
        fragment = np.asarray(dimer.fragment)[order]
        z = np.asarray(dimer.z, dtype=int)[order]
        # Psi4 keeps one ECP per label, so an atom and a ghost of its kind must not share one: see ghosts.py
        labels = [f"{periodictable.to_E(int(n))}_{'ab'[f]}" for n, f in zip(z, fragment, strict=True)]
        return self.psi4.core.Molecule.from_arrays(
            geom=((dimer.positions[order] - origin) / BOHR_RADIUS).ravel(),
            elez=z,
            elbl=labels,
            units="Bohr",
            fragment_separators=[int((fragment == 0).sum())],
            fragment_charges=[float(c) for c in charges],
            fragment_multiplicities=[int(m) for m in multiplicities],
            molecular_charge=float(sum(charges)),
            molecular_multiplicity=sum(multiplicities) - 1,
            fix_com=True,
            fix_orientation=True,
            fix_symmetry="c1",
        )

    def scf(self, molecule: Any, level: Mapping[str, Any]) -> ScfResult:
        """Converge one SCF at `level` (normalised) and read its features. Psi4 is clean afterwards, come what may."""
        from psi4.driver.qcdb.libmintsbasisset import BasisSet

        psi4 = self.psi4
        try:
            psi4.set_options(
                {
                    "basis": level["basis"],
                    "scf_type": level["scf_type"],
                    "reference": "rhf" if molecule.multiplicity() == 1 else "uhf",
                    "e_convergence": level["e_convergence"],
                    "d_convergence": level["d_convergence"],
                    "maxiter": level["max_iterations"],
                }
            )
            energy, wavefunction = psi4.energy(level["method"], molecule=molecule, return_wfn=True)
            integrals = features.basis_integrals(wavefunction)
            spins = features.orbitals(wavefunction)
            density = sum(spin.coefficients @ spin.coefficients.T for spin in spins)
            dipole, quadrupole = features.moments(integrals, density, np.zeros(3))
            spd, charge = features.mulliken(integrals, density)
            return ScfResult(float(energy), dipole, quadrupole, spd, charge, integrals, spins)
        finally:
            psi4.core.clean()
            psi4.core.clean_options()
            psi4.core.clean_variables()
            for functions in getattr(
                BasisSet, "exp_ao", []
            ):  # a table that Psi4 lengthens with every atom of every basis set
                functions.clear()

    def check_basis(self, basis: str) -> None:
        """Raise LevelError, naming similar basis sets, where Psi4 has no file for `basis`."""
        from psi4.driver.qcdb.libmintsbasisset import BasisSet

        installed = Path(self.psi4.core.get_datadir()) / "basis"
        folders = [Path(p) for p in os.environ.get("PSIPATH", "").split(os.pathsep) if p] + [installed]
        name = BasisSet.make_filename(basis)
        name = name if name.endswith(".gbs") else name + ".gbs"
        if any((folder / name).is_file() for folder in folders):
            return
        close = difflib.get_close_matches(name, [p.name for p in installed.glob("*.gbs")], n=3)
        hint = f"; similar: {', '.join(c.removesuffix('.gbs') for c in close)}" if close else ""
        raise LevelError(f"level: basis {basis!r} is unknown to Psi4 (no file {name} in {installed}){hint}")


def check_dimer(dimer: Dimer) -> None:
    """Raise InputError for what cannot be computed: an empty fragment, fused atoms, an impossible spin."""
    for name, index in (("A", 0), ("B", 1)):
        inside = dimer.fragment == index
        if not inside.any():
            raise InputError(f"fragment {name} has no atoms")
        charge, multiplicity = dimer.charges[index], dimer.multiplicities[index]
        electrons = int(dimer.z[inside].astype(int).sum()) - charge
        if electrons < 0 or not 1 <= multiplicity <= electrons + 1 or (electrons + multiplicity) % 2 == 0:
            raise InputError(
                f"fragment {name} has {electrons} electrons (charge {charge}), which cannot have multiplicity "
                f"{multiplicity}"
            )
    if not np.isfinite(dimer.positions).all():
        raise InputError("positions are not finite")
    distance = np.linalg.norm(dimer.positions[:, None] - dimer.positions[None], axis=-1)  # (N, N) Å
    np.fill_diagonal(distance, np.inf)
    i, j = divmod(int(distance.argmin()), dimer.n_atoms)
    if distance[i, j] < MIN_DISTANCE:
        raise InputError(
            f"atoms {i} and {j} (counted from 0) are {distance[i, j]:.3f} Å apart, less than {MIN_DISTANCE} Å"
        )


def compute_dimer(
    session: Psi4Session, dimer: Dimer, level: Mapping[str, Any], *, clock: Callable[[], float] = time.perf_counter
) -> DimerResult:
    """Compute all features of one dimer; a failure is a result with its class and message, never an exception.

    A random failure is tried once more.
    """
    start = clock()
    for attempt in (1, 2):
        session.restart_log()
        try:
            return _compute(session, dimer, level, lambda: clock() - start)
        except Exception as error:
            status = classify(error)
            message = one_line(error)
            if status == "random" and attempt == 1:
                continue
            break
    return failed(status, message, dimer.n_atoms, wall_time=clock() - start, psi4_version=session.version)


def _compute(session: Psi4Session, dimer: Dimer, level: Mapping[str, Any], elapsed: Callable[[], float]) -> DimerResult:
    """Dimer, A with ghost B, B with ghost A. Raises InputError and what Psi4 raises."""
    check_dimer(dimer)
    origin = dimer.positions.mean(axis=0)  # (3,) Å
    order = np.argsort(dimer.fragment, kind="stable")  # Psi4 wants fragments contiguous
    back = np.argsort(order)
    whole = session.molecule(dimer, order, origin)
    runs = []
    for molecule in (whole, whole.extract_subsets([1], [2]), whole.extract_subsets([2], [1])):
        runs.append(session.scf(molecule, level))
    whole_run = runs[0]
    energy = np.array([run.energy for run in runs])
    ratio = features.participation_ratio(whole_run.integrals, whole_run.orbitals, dimer.fragment[order])
    return DimerResult(
        status=OK,
        energy=energy,
        interaction_energy=float(energy[0] - energy[1] - energy[2]),
        dipole=np.stack([run.dipole for run in runs]),
        quadrupole=np.stack([run.quadrupole for run in runs]),
        origin=origin,
        mulliken_spd=whole_run.mulliken_spd[back],
        mulliken_charge=whole_run.mulliken_charge[back],
        participation_ratio=ratio,
        wall_time=elapsed(),
        psi4_version=session.version,
    )
