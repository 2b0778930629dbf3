"""Runs Psi4 on one system after another, in one warm process with one thread.

What Psi4 1.3.2 needs: `core.clean()` after every energy, failures included, else later ones end in PSIO errors;
explicit SCFs for counterpoise, for `bsse_type='cp'` runs five and returns a wavefunction without orbitals.
"""

import atexit
import difflib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.basis_cache import cache_basis_parser
from psigraph.quantum.errors import FeatureError, InputError
from psigraph.quantum.file47 import write_file47
from psigraph.quantum.ghosts import remove_ghost_ecps
from psigraph.quantum.ladder import NotConverged, Solution, climb
from psigraph.quantum.levels import LevelError, cartesian_error, reference_of
from psigraph.quantum.registry import COMPUTE
from psigraph.quantum.scf import Scf, scf_of
from psigraph.quantum.system import System
from psigraph.quantum.table import FEATURES
from psigraph.structures.geometry import distance_matrix
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


class Psi4Session:
    """A warm Psi4 with its own scratch folder; one per process.

    The process works inside the scratch folder from here on, because Psi4 writes timer.dat where it stands, as late as
    at exit; the folder is removed after that. It lies in PSI_SCRATCH, else in the system's temporary folder.
    """

    def __init__(self, memory_mb: int, log: Path | None = None, scratch: Path | None = None) -> None:
        """Start Psi4 in `scratch`, a folder that the caller removes; without one in a folder of its own."""
        self.log = log.absolute() if log else None
        if scratch is None:
            scratch = Path(tempfile.mkdtemp(prefix="psigraph-psi4-", dir=os.environ.get("PSI_SCRATCH")))
            _scratch_folders.append(scratch)
            atexit.register(remove_scratch)  # before Psi4 registers its own handlers, so that it runs after them
        self.scratch = scratch
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

    def molecule(self, system: System) -> Any:
        """Return the Psi4 molecule of a system.

        Positions are given in bohr, so that Psi4's own bohr constant changes nothing.
        """
        from qcelemental import periodictable

        # Psi4 keeps one ECP per label, so an atom and a ghost of its kind must not share one: see ghosts.py
        labels = [
            f"{'@' if ghost else ''}{periodictable.to_E(int(z))}_{'ab'[fragment]}"
            for z, fragment, ghost in zip(system.z, system.fragment, system.ghost, strict=True)
        ]
        return self.psi4.core.Molecule.from_arrays(
            geom=(system.positions / BOHR_RADIUS).ravel(),
            elbl=labels,
            units="Bohr",
            molecular_charge=float(system.charge),
            molecular_multiplicity=system.multiplicity,
            fix_com=True,
            fix_orientation=True,
            fix_symmetry="c1",
        )

    def compute(
        self,
        system: System,
        level: Mapping[str, Any],
        names: Sequence[str],
        *,
        note: Callable[[str], None] = lambda line: None,
        file47: Path | None = None,
    ) -> dict[str, np.ndarray]:
        """Converge one SCF at `level` (normalised) and return the features `names` of it, by name.

        Of a system with ghosts only features per system are computed. `note` gets a line per SCF attempt as soon as it
        ends; `file47` is where the input of the NBO program goes. Psi4 is clean afterwards, come what may.
        """
        if self.log is None:
            self.restart_log()
        try:
            solution = climb(lambda options: self._solve(system, level, options), level["max_iterations"], note)
            scf = scf_of(system, level, solution.energy, solution.wavefunction, self.psi4)
            if file47 is not None:
                write_file47(scf, file47)
            return feature_values(scf, names)
        finally:
            self._clean()

    def _solve(self, system: System, level: Mapping[str, Any], options: Mapping[str, Any]) -> Solution:
        """Run one SCF with the level's settings and those of a rung. Raises NotConverged."""
        from psi4.driver.p4util.exceptions import SCFConvergenceError

        self._clean()
        self.psi4.set_options(
            {
                "basis": level["basis"],
                "scf_type": level["scf_type"],
                "reference": reference_of(level, system.multiplicity),
                "e_convergence": level["e_convergence"],
                "d_convergence": level["d_convergence"],
                "guess": "sad",  # Psi4's own choice for a single atom, core, leads Li to an excited state
                **options,
            }
        )
        try:
            energy, wfn = self.psi4.energy(level["method"], molecule=self.molecule(system), return_wfn=True)
        except SCFConvergenceError as error:  # holds the wavefunction, so it must not live on as a cause
            numbers = error.iteration, error.e_conv, error.d_conv
        else:
            return Solution(float(energy), int(wfn.iteration_), wfn)
        raise NotConverged(*numbers)

    def _clean(self) -> None:
        """Put Psi4 back to where it was after its start."""
        from psi4.driver.qcdb.libmintsbasisset import BasisSet

        self.psi4.core.clean()
        self.psi4.core.clean_options()
        self.psi4.core.clean_variables()
        # a table that Psi4 lengthens with every atom of every basis set
        for functions in getattr(BasisSet, "exp_ao", []):
            functions.clear()

    def check_basis(self, basis: str, features: Sequence[str] = ()) -> None:
        """Raise LevelError where Psi4 has no file for `basis`, naming similar ones, or it does not allow `features`."""
        from psi4.driver.qcdb.libmintsbasisset import BasisSet

        installed = Path(self.psi4.core.get_datadir()) / "basis"
        folders = [Path(p) for p in os.environ.get("PSIPATH", "").split(os.pathsep) if p] + [installed]
        name = BasisSet.make_filename(basis)
        name = name if name.endswith(".gbs") else name + ".gbs"
        found = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if found is None:
            close = difflib.get_close_matches(name, [p.name for p in installed.glob("*.gbs")], n=3)
            hint = f"; similar: {', '.join(c.removesuffix('.gbs') for c in close)}" if close else ""
            raise LevelError(f"level: basis {basis!r} is unknown to Psi4 (no file {name} in {installed}){hint}")
        error = cartesian_error(basis, features)
        if error and is_cartesian(found):
            raise LevelError(error)


def is_cartesian(basis_file: Path) -> bool:
    """Return whether a basis set file in Gaussian's format asks, on top, for Cartesian functions."""
    for line in basis_file.read_text(errors="replace").splitlines():
        word = line.strip().lower()
        if word in ("cartesian", "spherical"):
            return word == "cartesian"
        if word == "****":
            break
    return False


def feature_values(scf: Scf, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the features `names` of an SCF, each function called once; of ghosted systems those per system only."""
    import psigraph.quantum.features  # noqa: F401  registers the functions

    values: dict[str, np.ndarray] = {}
    for name in names:
        feature = FEATURES[name]
        if name in values or feature.program != "psi4" or not (scf.system.is_whole or feature.per == "system"):
            continue
        if name in COMPUTE:
            try:
                result = COMPUTE[name](scf)
            except Exception as error:
                raise FeatureError(name, error) from error
            values.update(result if isinstance(result, dict) else {name: result})
    return {name: np.asarray(values[name], dtype=FEATURES[name].dtype) for name in names if name in values}


def check_system(system: System, names: Sequence[str] = ()) -> None:
    """Raise InputError for what cannot be computed: no atoms, fused atoms, an impossible spin, SAPT0 of open shells."""
    if not (~system.ghost).any():
        raise InputError("there are no atoms")
    electrons, multiplicity = system.n_electrons, system.multiplicity
    if electrons < 0 or not 1 <= multiplicity <= electrons + 1 or (electrons + multiplicity) % 2 == 0:
        raise InputError(f"{electrons} electrons (charge {system.charge}) cannot have multiplicity {multiplicity}")
    if not np.isfinite(system.positions).all():
        raise InputError("positions are not finite")
    distance = distance_matrix(system.positions)  # (N, N) Å
    np.fill_diagonal(distance, np.inf)
    i, j = divmod(int(distance.argmin()), system.n_atoms)
    if distance[i, j] < MIN_DISTANCE:
        raise InputError(
            f"atoms {i} and {j} (counted from 0) are {distance[i, j]:.3f} Å apart, less than {MIN_DISTANCE} Å"
        )
    if "sapt0" in names and system.is_dimer and set(system.multiplicities) != {1}:
        raise InputError(
            f"the feature sapt0 is for closed shells, and A and B have multiplicities {system.multiplicities}; "
            "take sapt0 out of the level's features, or the structure out of the dataset",
            features=("sapt0",),
        )
