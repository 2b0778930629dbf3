"""Settings that are tried one after another where the SCF does not converge; each attempt leaves one line.

Every rung changes the way to the solution only (guess, damping, DIIS, second order), never thresholds or the level of
theory. Of transition-metal oxides an SCF has several solutions, so the rung that was taken is part of the record. Where
plain DIIS goes round in circles the rounding of the BLAS decides when it leaves them: with OpenBLAS's kernels for
Haswell and SkylakeX, at HF/def2-SVP and 100 iterations, CrO (quintet), MnO (sextet), FeO (quintet) and CoO (quartet)
never converged on the first rung but on the second to fourth (once, FeO, on none); TiC (triplet) on the first or third.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rung:
    """One set of Psi4's options; `patience` multiplies the level's max_iterations."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    patience: int = 1


@dataclass(frozen=True)
class Solution:
    """A converged SCF: energy [hartree], iterations, and Psi4's wavefunction."""

    energy: float
    iterations: int
    wavefunction: Any


class NotConverged(Exception):
    """One attempt ended without convergence: after how many iterations, the last step, the orbital gradient."""

    def __init__(self, iterations: int, energy_change: float, gradient: float) -> None:
        super().__init__(
            f"no convergence in {iterations} iterations, last energy change {energy_change:.1e} hartree, "
            f"orbital gradient {gradient:.1e}"
        )
        self.iterations = iterations


class ConvergenceError(RuntimeError):
    """No rung converged. `errors.classify` knows it by its name, like Psi4's own."""


#: SOSCF takes second-order steps once the orbital gradient is below soscf_start_convergence. Damping ends above the
#: thresholds of any sensible level, since a mixed density is not that of the orbitals.
RUNGS = (
    Rung("as given"),
    Rung("second order near the solution", {"soscf": True}),
    Rung("second order from the start", {"soscf": True, "soscf_start_convergence": 1.0, "soscf_max_iter": 20}),
    Rung("damping, late DIIS", {"damping_percentage": 40.0, "damping_convergence": 1e-3, "diis_start": 8}),
    Rung(
        "core guess, damping, second order, twice the iterations",
        {
            "guess": "core",
            "damping_percentage": 70.0,
            "damping_convergence": 1e-3,
            "soscf": True,
            "soscf_max_iter": 20,
        },
        patience=2,
    ),
)


def climb(
    solve: Callable[[Mapping[str, Any]], Solution],
    max_iterations: int,
    note: Callable[[str], None] = lambda line: None,
) -> Solution:
    """Return the first solution that `solve`, called with a rung's options and maxiter, comes to.

    `solve` raises NotConverged; `note` gets one line per attempt, as soon as it ends. Raises ConvergenceError where no
    rung converges; another exception ends the climb.
    """
    last: NotConverged | None = None
    for rung in RUNGS:
        iterations = max_iterations * rung.patience
        try:
            solution = solve({**rung.options, "maxiter": iterations})
        except NotConverged as error:
            note(f"{rung.name}: {error}")
            last = error
            continue
        note(f"{rung.name}: converged in {solution.iterations} iterations to {solution.energy:.8f} hartree")
        return solution
    raise ConvergenceError(
        f"the SCF did not converge with any of {len(RUNGS)} settings, the last with: {last}; see attempts; "
        "raising the level's max_iterations may help, or a look at geometry, charge and multiplicity"
    )
