"""Isotropic NMR shieldings of one molecule or dimer by PySCF and pyscf-properties: HF with gauge-including orbitals.

K. Wolinski, J. F. Hinton, P. Pulay, J. Am. Chem. Soc. 112, 8251 (1990). Closed shells without core potentials only.
Integrals are exact whatever the level's `scf_type` says. PySCF is an optional extra and imported inside functions.
"""

import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from psigraph.descriptors import SHIELDING_VERSION
from psigraph.quantum.model import OK, Record, failed
from psigraph.quantum.system import System
from psigraph.structures.elements import SYMBOLS

NAME = "nmr_shielding"
#: Tighter than most levels ask, so that a rotation changes shieldings by less than 1e-6 of themselves.
_CONVERGENCE = 1e-12  # hartree
_GRADIENT = 1e-8  # hartree, of the orbitals
_RESPONSE_CONVERGENCE = 1e-12


class ShieldingError(RuntimeError):
    """Shieldings cannot be computed here at all; the message says what to do."""


class _Refused(ValueError):
    """This structure cannot be computed at this level."""


def require_pyscf() -> str:
    """Return PySCF's version. Raises ShieldingError with the remedy where it or pyscf-properties is missing."""
    try:
        import pyscf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "under testing" notes of unrelated modules
            import pyscf.prop.nmr
    except ImportError as error:
        raise ShieldingError(
            f"nmr_shielding needs PySCF and pyscf-properties ({error}); install them with: pip install "
            "'psigraph[nmr]', or take nmr_shielding out of the level's features"
        ) from None
    return str(pyscf.__version__)


def identity(level: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells these results from Psi4's of the same level (normalised) in the content-addressed store."""
    return {**level, "program": "pyscf", "shielding_version": SHIELDING_VERSION}


def functions_by_element(basis: str, numbers: np.ndarray) -> dict[int, int]:
    """Return the number of basis functions of an atom by atomic number, without elements that PySCF cannot do."""
    from pyscf import gto

    found = {}
    for number in map(int, np.unique(numbers)):
        try:
            found[number] = int(_molecule(gto, np.array([number]), np.zeros((1, 3)), number % 2, basis).nao)
        except _Refused:
            continue
    return found


def shieldings(system: System, level: Mapping[str, Any], *, time_s: float, memory_mb: int) -> Record:
    """Return the record of a whole system at `level` (normalised): `nmr_shielding` (N,) [ppm], or why not.

    Open shells, missing basis sets and core potentials are failures of class input. A calculation of more than `time_s`
    seconds is stopped between two steps of PySCF and is one of class resources. Not for threads: it uses SIGALRM.
    """
    start = time.monotonic()
    limits = {"time_s": time_s, "memory_mb": memory_mb}
    version = f"pyscf {require_pyscf()}"

    def end(record: Record) -> Record:
        return Record(
            record.status, record.message, record.values, record.attempts, time.monotonic() - start, version, limits
        )

    try:
        with _time_limit(time_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return end(_computed(system, level, memory_mb))
    except _Refused as error:
        return end(failed("input", str(error)))
    except TimeoutError:
        return end(failed("resources", f"PySCF took more than {time_s:g} s"))
    except MemoryError:
        return end(failed("resources", f"PySCF ran out of memory ({memory_mb} MB)"))
    except Exception as error:  # whatever PySCF raises costs one structure, not the batch
        return end(failed("random", f"{type(error).__name__}: {' '.join(str(error).split())[:250]}"))


def _computed(system: System, level: Mapping[str, Any], memory_mb: int) -> Record:
    from pyscf import gto, scf
    from pyscf.prop import nmr

    if system.multiplicity != 1:
        raise _Refused(f"shieldings are computed of closed shells only, and the multiplicity is {system.multiplicity}")
    molecule = _molecule(gto, system.z, system.positions, system.charge, level["basis"])
    molecule.max_memory = memory_mb
    field = scf.RHF(molecule).set(
        conv_tol=_CONVERGENCE, conv_tol_grad=_GRADIENT, max_cycle=int(level["max_iterations"])
    )
    field.kernel()
    attempts = [f"RHF: {'converged' if field.converged else 'not converged'}"]
    if not field.converged:
        field = field.newton().set(conv_tol=_CONVERGENCE, conv_tol_grad=_GRADIENT, max_cycle=field.max_cycle)
        field.kernel()
        attempts.append(f"RHF, second order: {'converged' if field.converged else 'not converged'}")
        if not field.converged:
            return failed("convergence", "PySCF's SCF did not converge", attempts=tuple(attempts))
        field = field.undo_newton()
    response = nmr.RHF(field).set(verbose=0, conv_tol=_RESPONSE_CONVERGENCE, max_cycle_cphf=100, cphf=_response(field))
    tensors = np.asarray(response.kernel())  # (N, 3, 3) ppm
    values = {NAME: np.trace(tensors, axis1=1, axis2=2) / 3}
    if not np.isfinite(values[NAME]).all():
        return failed("convergence", "PySCF's response equations gave no finite shieldings", attempts=tuple(attempts))
    return Record(OK, values=values, attempts=tuple(attempts))


def _response(field: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return the potential (k, nmo, nocc) that k first-order orbitals induce.

    What pyscf-properties 0.1.0 takes by itself expects all three field directions at once; PySCF's solver leaves out
    those that have converged, which ended in a ValueError.
    """
    potential = field.gen_response(singlet=True, hermi=2)
    coefficients = field.mo_coeff
    occupied = coefficients[:, field.mo_occ > 0]

    def induced(orbitals: np.ndarray) -> np.ndarray:
        orbitals = orbitals.reshape(-1, coefficients.shape[1], occupied.shape[1])
        density = 2 * np.einsum("pm,xmi,qi->xpq", coefficients, orbitals, occupied, optimize=True)
        density = density - density.transpose(0, 2, 1)
        return np.einsum("xpq,pm,qi->xmi", potential(density), coefficients, occupied, optimize=True)

    return induced


def _molecule(gto: Any, z: np.ndarray, positions: np.ndarray, charge: int, basis: str) -> Any:
    """PySCF's molecule. Raises _Refused where an element has no basis set, or has one made for a core potential."""
    symbols = sorted({SYMBOLS[int(number)] for number in z})
    for symbol in symbols:
        try:
            gto.basis.load(basis, symbol)
        except (KeyError, RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:150] or type(error).__name__
            raise _Refused(f"PySCF has no basis set {basis!r} for {symbol} ({reason})") from None
        if _has_core_potential(gto, basis, symbol):
            raise _Refused(f"{symbol} has a core potential in {basis!r}, of which PySCF gives no shieldings")
    atoms = [(SYMBOLS[int(number)], tuple(position)) for number, position in zip(z, positions, strict=True)]
    return gto.M(atom=atoms, basis=basis, charge=charge, cart=_cartesian(basis), unit="Angstrom", verbose=0)


def _has_core_potential(gto: Any, basis: str, symbol: str) -> bool:
    try:
        return bool(gto.basis.load_ecp(basis, symbol))
    except (KeyError, RuntimeError, ValueError, OSError):
        return False


def _cartesian(basis: str) -> bool:
    """Whether Psi4 takes Cartesian d functions in this basis: Pople's double-zeta sets were made with them."""
    return basis.lower().startswith(("6-31g", "6-31+", "3-21g"))


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
